"""studies/accuracy/peers.py without the peers: the draw, the counting, and a worker that is stopped and resumed."""

import importlib
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from facegender.errors import FacegenderError
from facegender.lab.datasets.listing import Entry, ImageRoot, Listing

SCRIPTS = Path(__file__).parents[2] / "studies" / "accuracy"

#: Answers by the photo's name, notes what it was asked, and ends at a photo named "stop".
WORKER = """
import json, sys
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    path = json.loads(line)
    name = path.rpartition("/")[2]
    if name == "stop":
        sys.exit("out of photos")
    with open(sys.argv[1], "a") as file:
        file.write(name + "\\n")
    gender = {"f": "female", "m": "male"}.get(name[0])
    print(json.dumps({"faces": 1 if gender else 0, "gender": gender, "ms": 2.5}), flush=True)
"""


@pytest.fixture
def peers(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    yield importlib.import_module("peers")
    for name in ("peers", "peers_tools"):
        del sys.modules[name]


@pytest.fixture
def tool(peers, tmp_path):
    """A tool whose worker is WORKER, and the list of what that was asked."""
    script, asked = tmp_path / "worker.py", tmp_path / "asked.txt"
    script.write_text(WORKER)
    asked.touch()
    made = peers.Tool("drawn by name", "1", "none", (sys.executable, str(script), str(asked)))
    return made, lambda: asked.read_text().split()


def listing(tmp_path, name="utkface", each=40):
    entries = [
        Entry(
            f"{number:03d}.jpg", f"below/{number:03d}.jpg", number % 2, "test" if number % 4 < 2 else "train", f"p{n}"
        )
        for n, number in enumerate(range(4 * each))
    ]
    return Listing(name=name, sources=[ImageRoot(str(tmp_path))], entries=entries)


def photos(peers, *names):
    return [peers.Photo(name, f"/photos/{name}", int(name[1] == "1")) for name in names]


def test_the_draw_is_balanced_from_the_test_split_and_always_the_same(peers, tmp_path):
    drawn = peers.draw(listing(tmp_path), 25)
    assert drawn == peers.draw(listing(tmp_path), 25)
    assert [photo.label for photo in drawn].count(0) == [photo.label for photo in drawn].count(1) == 25
    assert len({photo.name for photo in drawn}) == 50
    assert all(int(photo.name[:3]) % 4 < 2 for photo in drawn)
    assert drawn[0].path == str(tmp_path / "below" / drawn[0].name)
    # A part of it from the beginning has both labels, in no order that tells them.
    assert {photo.label for photo in drawn[:12]} == {0, 1}
    assert [photo.name for photo in drawn] != sorted(photo.name for photo in drawn)


def test_the_order_of_a_listing_does_not_change_the_draw(peers, tmp_path):
    one = listing(tmp_path)
    other = Listing(name=one.name, sources=one.sources, entries=[*reversed(one.entries)])
    assert peers.draw(one, 10) == peers.draw(other, 10)


def test_lfw_is_drawn_of_all_its_photos(peers, tmp_path):
    drawn = peers.draw(listing(tmp_path, "lfw"), 80)
    assert len({photo.name for photo in drawn}) == 160


def test_too_few_photos_to_draw_from(peers, tmp_path):
    with pytest.raises(FacegenderError, match="utkface: 41 female photos are to be drawn of only 40"):
        peers.draw(listing(tmp_path), 41)


def test_no_face_counts_as_wrong_and_as_not_found(peers):
    drawn = photos(peers, "f0a", "f0b", "f0c", "f0d", "m1a", "m1b", "f1c", "x1d", "x0e")
    answers = {photo.name: {"f": "female", "m": "male"}.get(photo.name[0]) for photo in drawn}
    counted = peers.count(drawn, answers)
    assert (counted["photos"], counted["found"]) == (9, 7)
    assert (counted["accuracy"], counted["women"], counted["men"]) == ("0.6667", "0.8000", "0.5000")
    assert (counted["accuracy_found"], counted["women_found"], counted["men_found"]) == ("0.8571", "1.0000", "0.6667")
    # Wilson's interval of 6 in 9
    assert (counted["accuracy_low"], counted["accuracy_high"]) == ("0.3542", "0.8794")


def test_a_tool_that_finds_nobody_has_no_accuracy_among_the_found(peers):
    counted = peers.count(photos(peers, "x0a", "x1b"), {"x0a": None, "x1b": None})
    assert (counted["found"], counted["accuracy"], counted["accuracy_found"]) == (0, "0.0000", "")


def test_photos_of_one_person_widen_the_interval(peers):
    drawn = [peers.Photo(f"f{n}", "", n % 2, f"person {n // 8}") for n in range(80)]
    answers = {photo.name: "female" if int(photo.name[1:]) // 8 % 2 else None for photo in drawn}
    alone = peers.count([peers.Photo(p.name, "", p.label) for p in drawn], answers)
    assert peers.count(drawn, answers)["accuracy_low"] < alone["accuracy_low"]


def test_answers_are_kept_and_only_missing_photos_are_asked_for(peers, tool, tmp_path):
    made, asked = tool
    kept = peers.answer_file(tmp_path, "drawn", made)
    assert peers.measure(photos(peers, "f0", "x1"), made, kept, tmp_path) == {"f0": "female", "x1": None}
    with kept.open("a") as file:
        file.write('{"name": "m1", "gen')  # stopped while it wrote
    both = peers.measure(photos(peers, "f0", "x1", "m1"), made, kept, tmp_path)
    assert both == peers.read_answers(kept) == {"f0": "female", "x1": None, "m1": "male"}
    assert asked() == ["f0", "x1", "m1"]
    assert kept.name == "drawn-drawn-by-name-1.jsonl"


def test_a_tool_that_stops_is_named_and_leaves_its_answers(peers, tool, tmp_path):
    made, asked = tool
    kept = peers.answer_file(tmp_path, "drawn", made)
    drawn = [*photos(peers, "f0"), peers.Photo("last", "/photos/stop", 1)]
    with pytest.raises(FacegenderError, match="drawn by name stopped at /photos/stop") as stopped:
        peers.measure(drawn, made, kept, tmp_path)
    log = Path(str(stopped.value).rpartition("see ")[2].rstrip(")"))
    assert log.read_text() == "out of photos\n"
    assert peers.read_answers(kept) == {"f0": "female"}
    assert asked() == ["f0"]


def test_rows_are_those_measured_whole_and_time_is_of_the_timed_set(peers, tool, tmp_path, capsys):
    made, _ = tool
    drawn = photos(peers, "f0", "m1")
    sets = {"lfw": drawn, "utkface": drawn, "fairface": photos(peers, "f0", "f1")}
    for name in ("lfw", "utkface"):
        peers.measure(drawn, made, peers.answer_file(tmp_path, name, made), tmp_path)
    peers.write_json(tmp_path / "times.json", peers.timed(drawn, [made], tmp_path))
    rows = peers.rows(sets, [made], tmp_path)
    assert [(row["set"], row["accuracy"], row["ms"], row["ms_photos"]) for row in rows] == [
        ("lfw", "1.0000", "2.5", 2),
        ("utkface", "1.0000", "", ""),
    ]
    assert "drawn by name on fairface" in capsys.readouterr().err


def test_times_of_another_version_are_left_out(peers, tool, tmp_path):
    made, _ = tool
    drawn = photos(peers, "f0", "m1")
    peers.measure(drawn, made, peers.answer_file(tmp_path, "lfw", made), tmp_path)
    peers.write_json(tmp_path / "times.json", {"photos": 2, "ms": {"drawn-by-name-0": 9.0}})
    assert [row["ms"] for row in peers.rows({"lfw": drawn}, [made], tmp_path)] == [""]


def test_our_own_worker_answers_for_a_photo_without_a_face_and_stops_at_what_is_none(peers, tmp_path):
    ours = next(tool for tool in peers.known_tools(tmp_path) if tool.name == "facegender research")
    plain, broken = tmp_path / "plain.png", tmp_path / "broken.png"
    cv2.imwrite(str(plain), np.full((64, 64, 3), 128, np.uint8))
    broken.write_text("none")
    with peers.started(ours, tmp_path) as ask:
        record = ask(str(plain))
        assert (record["faces"], record["gender"]) == (0, None)
        assert record["ms"] > 0
        with pytest.raises(FacegenderError, match=r"stopped at .*broken\.png"):
            ask(str(broken))


def test_every_tool_of_ours_has_the_digest_of_its_weights_in_its_version(peers, tmp_path):
    tools = peers.known_tools(tmp_path)
    for model in ("research", "open"):
        card = json.loads((SCRIPTS.parents[1] / f"src/facegender/weights/{model}.json").read_text())
        assert card["sha256"][:8] in next(tool.version for tool in tools if tool.name == f"facegender {model}")
