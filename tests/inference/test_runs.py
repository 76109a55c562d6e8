import json
import os
import pickle
import signal
import subprocess
import sys
from multiprocessing import resource_tracker
from pathlib import Path

import numpy as np
import pytest

from facegender.errors import InputError, OutputError, WeightsError
from facegender.faces.types import PhotoResult
from facegender.inference.engines import InProcess, Workers
from facegender.inference.options import Options
from facegender.inference.pipeline import FaceAnalyzer
from facegender.inference.run import analyze, collect

pytestmark = pytest.mark.slow


@pytest.fixture
def options(tiny_model, tiny_detector):
    return Options(model=tiny_model, detector=tiny_detector)


@pytest.fixture
def photos(save, tmp_path):
    """A folder of 5 photos of a red square each, and a letter."""
    for number in range(5):
        image = np.full((110, 120, 3), 60, np.uint8)
        image[30:80, 40:90] = (255, 0, number)
        save(f"photos/{number}.png", image)
    (tmp_path / "photos" / "letter.jpg").write_text("Dear reader")
    return tmp_path / "photos"


class Recorder:
    """Progress, and an engine that notes what it is given."""

    def __init__(self):
        self.done, self.passed, self.tasks, self.engine = [], 0, [], InProcess()

    def skipped(self):
        self.passed += 1

    def analyzed(self, results):
        self.done += [result.path for result in results]

    def provenance(self, options):
        return self.engine.provenance(options) | {"engine": "recorder"}

    def run(self, tasks, job):
        self.tasks = list(tasks)
        yield from self.engine.run(self.tasks, job)


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize("engine", [InProcess(), Workers(), Workers(2)], ids=repr)
def test_results_come_in_order(engine, photos, options):
    results = list(analyze(photos, options=options, engine=engine))
    assert [result.path for result in results] == [str(path) for path in sorted(photos.iterdir())]
    assert [len(result.faces) for result in results] == [1] * 5 + [0]
    assert results[5].error.kind == "not_an_image"


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet", "sqlite"])
def test_a_run_goes_on(suffix, photos, options, save, tmp_path):
    recorder, out = Recorder(), tmp_path / f"out.{suffix}"

    def run():
        return analyze(photos, options=options, output=out, engine=recorder, progress=recorder)

    first = run()
    assert (first.output, first.photos, first.faces, first.errors, first.skipped) == (out, 6, 5, 1, 0)
    assert recorder.done == [str(path) for path in sorted(photos.iterdir())]
    added = save("photos/3a.png", np.zeros((9, 9, 3), np.uint8))
    second = run()
    assert (second.photos, second.faces, second.errors, second.skipped) == (1, 0, 0, 6)
    assert [task.source.name for task in recorder.tasks] == [str(added)]
    assert recorder.passed == 6
    provenance = json.loads((tmp_path / f"out.{suffix}.run.json").read_text())
    assert (provenance["engine"], provenance["model"]["name"], provenance["sample"]) == ("recorder", "tiny", None)
    with pytest.raises(InputError, match=r"made with --min-face default; this command has --min-face 30 .*--no-resume"):
        analyze(photos, options=Options(model=options.model, detector=options.detector, min_face=30), output=out)


def test_a_photo_replaced_while_it_is_analysed_is_analysed_again(photos, options, tmp_path, monkeypatch):
    out, photo = tmp_path / "out.jsonl", photos / "0.png"
    analyzed = FaceAnalyzer.analyze_named

    def replace_after(self, named):
        results = list(analyzed(self, named))
        photo.write_bytes(b"x" * photo.stat().st_size)  # as long as before
        yield from results

    monkeypatch.setattr(FaceAnalyzer, "analyze_named", replace_after)
    analyze(photo, options=options, output=out, engine=InProcess())
    assert json.loads(out.read_text())["error"] is None
    monkeypatch.setattr(FaceAnalyzer, "analyze_named", analyzed)
    assert analyze(photo, options=options, output=out, engine=InProcess()).photos == 1
    assert json.loads(out.read_text())["error"]["kind"] == "not_an_image"


def test_sources_of_every_kind(photos, options, tmp_path):
    (tmp_path / "list.txt").write_text(f"{photos / '4.png'}\n")
    sources = [photos / "0.png", str(photos / "[12].png"), tmp_path / "list.txt"]
    results = analyze(iter(sources), options=options, engine=InProcess())
    assert [os.path.basename(result.path) for result in results] == ["0.png", "1.png", "2.png", "4.png"]  # noqa: PTH119
    drawn = collect(photos, draw=3, seed=1)
    assert (drawn.total, drawn.weight, drawn.sample) == (3, 2.0, {"drawn": 3, "population": 6, "seed": 1})
    assert [result.weight for result in analyze(drawn, options=options, engine=InProcess())] == [2.0] * 3


def test_formats(photos, options, tmp_path):
    analyze(photos / "0.png", options=options, output=tmp_path / "out.txt", format="jsonl", engine=InProcess())
    assert json.loads((tmp_path / "out.txt").read_text())["path"] == str(photos / "0.png")
    for bad in ({"output": tmp_path / "out.docx"}, {"output": tmp_path / "o.csv", "format": "xml"}, {"format": "csv"}):
        with pytest.raises(InputError, match="format"):
            analyze(photos, options=options, **bad)


def test_pictures(photos, options, tmp_path):
    for again in (False, True):
        results = list(analyze(photos, options=options, annotate=photos, crops=str(tmp_path / "c"), engine=InProcess()))
        assert len(results) == 6, again
    assert len(list(photos.glob("*.faces.jpg"))) == len(list((tmp_path / "c").iterdir())) == 5
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file"):
        analyze(photos, options=options, crops=tmp_path / "file")


@pytest.mark.parametrize("source", [None, 7, b"bytes", [b"bytes"], [np.zeros((4, 4, 3), np.uint8)]], ids=repr)
def test_what_is_no_source_is_named(source, options):
    with pytest.raises((InputError, TypeError)):
        analyze(source, options=options)


def test_nothing_is_started_for_what_cannot_be(photos, tmp_path):
    with pytest.raises(InputError, match="no photos"):
        analyze(tmp_path)
    with pytest.raises(WeightsError, match="nobody"):
        analyze(photos, options=Options(model="nobody"), output=tmp_path / "out.csv")
    assert not list(tmp_path.glob("out.csv*"))
    for bad in ({"workers": 0}, {"time_limit": 0.0}):
        with pytest.raises(InputError):
            Workers(**bad)


class Killer:
    """A detector that ends its process, or waits for ever, when it sees a photo of a certain width."""

    min_face = min_score = None

    def scale(self, width, height):
        return 1.0

    def detect(self, pictures):
        for picture in pictures:
            if picture.width == 13:
                os.kill(os.getpid(), signal.SIGKILL)
            if picture.width == 14:
                signal.pause()
        return [[] for _ in pictures]


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize("workers", [None, 1])
def test_limits_hold_for_few_photos(workers, save, tiny_model):
    paths = [save(f"{width}.png", np.zeros((9, width, 3), np.uint8)) for width in (12, 13, 14, 15)]
    options = Options(model=tiny_model, detector=Killer())
    results = list(analyze(paths, options=options, engine=Workers(workers, time_limit=3.0)))
    assert [result.path for result in results] == list(map(str, paths))
    assert [result.error and result.error.kind for result in results] == [None, "crashed", "timeout", None]
    [alone] = analyze(paths[1], options=options, engine=Workers(workers))
    assert alone.error.kind == "crashed"


def test_a_detector_that_cannot_be_sent_is_named(photos, tiny_model):
    class Local(Killer):
        pass

    options = Options(model=tiny_model, detector=Local())
    with pytest.raises(InputError, match="InProcess"):
        list(analyze(photos, options=options))
    assert [result.error for result in analyze(photos / "1.png", options=options, engine=InProcess())] == [None]


def test_a_script_without_a_guard(photos, options, tmp_path):
    script = tmp_path / "script.py"
    (tmp_path / "options.pickle").write_bytes(pickle.dumps(options))
    script.write_text(
        "import pickle, pathlib\n"
        "from facegender.inference.run import analyze\n"
        "here = pathlib.Path(__file__).parent\n"
        "options = pickle.loads((here / 'options.pickle').read_bytes())\n"
        "print(sum(len(result.faces) for result in analyze(here / 'photos', options=options)))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("5\n", "", 0)


@pytest.fixture
def script(tmp_path, tiny_model, save):
    """A program of its own that analyses photos with the detector of these tests, given its engine and widths."""

    def start(engine, widths):
        for width in widths:
            save(f"{width}.png", np.zeros((9, width, 3), np.uint8))
        code = (
            f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
            "from facegender import InProcess, Options, Workers, analyze\n"
            f"from {Path(__file__).stem} import Killer\n"
            f"paths = [{str(tmp_path)!r} + f'/{{width}}.png' for width in {widths!r}]\n"
            f"options = Options(model={str(tiny_model)!r}, detector=Killer())\n"
            f"for result in analyze(paths, options=options, engine={engine}):\n"
            "    print(result.error and result.error.kind, flush=True)\n"
        )
        return subprocess.Popen([sys.executable, "-W", "error", "-c", code], stdout=-1, stderr=-1, text=True)

    return start


@pytest.mark.parametrize("engine", ["Workers(time_limit=3)", "Workers(2, time_limit=3)"])
def test_limits_hold_in_a_program_of_its_own(engine, script):
    with script(engine, [12, 13, 14, 15]) as process:
        stdout, stderr = process.communicate()
    assert (stdout.split(), stderr, process.returncode) == (["None", "crashed", "timeout", "None"], "", 0)


@pytest.mark.parametrize("engine", ["Workers()", "Workers(2)"])
def test_a_killed_program_leaves_no_process(engine, script):
    psutil = pytest.importorskip("psutil")
    with script(engine, [12] * 16 + [14]) as process:
        assert process.stdout.readline() == "None\n"  # the photo that takes for ever is next
        children = psutil.Process(process.pid).children()
        process.kill()
    assert children
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive


def test_an_iteration_that_is_left_leaves_no_process(photos, options):
    psutil = pytest.importorskip("psutil")
    resource_tracker.ensure_running()  # multiprocessing's own, which stays
    before = len(psutil.Process().children())
    results = analyze(photos, options=options, engine=Workers(2))
    assert isinstance(next(results), PhotoResult)
    assert len(psutil.Process().children()) > before
    results.close()
    assert len(psutil.Process().children()) == before
