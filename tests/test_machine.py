import pytest

from facegender.machine import bound_cores, cpu_quota, usable_cores


def written(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "groups", folder / "mount"


@pytest.mark.parametrize(
    ("groups", "files", "quota"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/\n", {}, None),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "50000 100000\n", "cpu.max": "max 1\n"}, 0.5),
        ("0::/a/b\n", {"a/b/cpu.max": "400000 100000\n", "a/cpu.max": "800000 100000\n"}, 4.0),
        ("2:memory:/x\n1:cpu:/\n", {"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2.0),
        ("1:cpu,cpuacct:/x\n", {f"cpu,cpuacct/x/cpu.cfs_{n}_us": "70000\n" for n in ("quota", "period")}, 1.0),
        ("1:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ("3:cpuset:/\n", {"cpuset/cpu.max": "100000 100000"}, None),
        ("0::/\n", {"cpu.max": "nonsense"}, None),
    ],
)
def test_the_quota_of_control_groups(groups, files, quota, tmp_path):
    assert cpu_quota(*written(tmp_path, {"groups": groups, **{f"mount/{n}": t for n, t in files.items()}})) == quota


def test_no_control_groups(tmp_path):
    assert cpu_quota(tmp_path / "absent", tmp_path) is None


@pytest.mark.parametrize(("quota", "cores"), [(None, 8), (0.3, 1), (1.5, 2), (3.0, 3), (100.0, 8)])
def test_cores_are_what_the_quota_leaves(quota, cores, monkeypatch):
    monkeypatch.setattr("facegender.machine.bound_cores", lambda: 8)
    monkeypatch.setattr("facegender.machine.cpu_quota", lambda: quota)
    assert usable_cores() == cores


def test_here():
    assert 1 <= usable_cores() <= bound_cores()
