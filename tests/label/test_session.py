"""Answers: on disk at every key, taken up again, taken back, and what a survey makes of them."""

import csv
import json

import pytest

from facegender.errors import InputError, OutputError
from facegender.label.draw import draw
from facegender.label.precision import precision
from facegender.label.session import LabellingSession, agreement_files, all_labels
from facegender.survey.estimate import survey
from facegender.survey.labels import read_labels
from facegender.survey.measuring import local_rates
from facegender.survey.results import read_results
from facegender.tables import read_table

from .conftest import is_woman


def read_rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def truth(session, place):
    item = session.item(place)
    return "female" if is_woman(2 * int(item.photo[:3]) + int(item.box[0] > 40)) else "male"


def test_each_answer_is_on_disk_with_weights_that_stand_for_all_faces(start):
    session = start()
    for place in range(40):
        session.answer(place, "unclear" if place == 5 else truth(session, place))
        rows = read_rows(session.path)
        assert len(rows) == place + 1
    sizes = {row["stratum"]: float(row["stratum_faces"]) for row in rows}
    assert sum(float(row["weight"]) for row in rows) == pytest.approx(sum(sizes.values()), rel=1e-4)
    assert (session.done, session.next) == (40, 40)


def test_another_session_goes_on_where_the_last_one_ended(start):
    first = start()
    for place in (0, 1, 3):
        first.answer(place, "female")
    again = start()
    assert (again.done, again.next, again.item(3).answer, again.item(2).answer) == (3, 2, "female", None)
    assert start(count=100).next == 2
    assert again.undo() == 3
    assert [row["label"] for row in read_rows(again.path)] == ["female", "female"]


def test_answers_are_changed_and_taken_back_in_turn(start):
    session = start()
    for place, answer in ((0, "female"), (1, "male"), (0, "unclear")):
        session.answer(place, answer)
    assert session.item(0).answer == "unclear"
    assert [session.undo(), session.undo(), session.undo()] == [0, 1, None]
    assert read_rows(session.path) == []


def test_an_answer_that_cannot_be_written_does_not_count(start):
    session = start()
    session.answer(0, "female")
    session.path.unlink()
    session.path.mkdir()
    with pytest.raises(OutputError):
        session.answer(1, "male")
    with pytest.raises(OutputError):
        session.undo()
    assert (session.item(0).answer, session.item(1).answer) == ("female", None)


def test_answers_that_another_program_gives_meanwhile_are_not_lost(start):
    first, second = start(), start()
    first.answer(0, "female")
    with pytest.raises(OutputError, match=r"changed meanwhile.*start facegender label again"):
        second.answer(1, "male")
    assert second.item(1).answer is None
    assert [row["label"] for row in read_rows(first.path)] == ["female"]
    again = start()
    again.answer(1, "male")
    with pytest.raises(OutputError):
        first.undo()
    again.path.unlink()  # then nothing of others is lost
    again.answer(2, "male")
    assert [row["label"] for row in read_rows(again.path)] == ["female", "male", "male"]


def test_a_survey_takes_the_same_labels_with_the_same_weights(start, collection):
    session = start(count=60)
    for place in range(60):
        session.answer(place, "unclear" if place % 10 == 9 else truth(session, place))
    mine, read = session.labelled(), read_labels([session.path], collection)
    assert read.rows.tolist() == mine.rows.tolist()
    assert read.labels.tolist() == mine.labels.tolist()
    assert read.weights == pytest.approx(mine.weights)
    assert read.unclear == mine.unclear == 6


def test_uncertain_faces_are_reviewed_in_the_same_file(start, collection):
    session = start(review=True, count=None)
    assert len(session) == (collection.faces["label"] == "uncertain").sum() > 5
    assert {collection.faces["label"].iloc[row] for row in session.rows} == {"uncertain"}
    for place in range(len(session)):
        session.answer(place, truth(session, place))
    assert all("uncertain" in row["stratum"] for row in read_rows(session.path))
    # All faces of these strata are labelled, so each stands for itself.
    assert {float(row["weight"]) for row in read_rows(session.path)} == {1.0}
    assert start().done > 0


def test_two_people_label_the_same_faces(start):
    anna, ben = start("labels.anna.csv", labeller="anna"), start("labels.ben.csv", labeller="ben")
    assert anna.rows == ben.rows
    for place in range(40):
        anna.answer(place, truth(anna, place))
        ben.answer(place, "unclear" if place < 4 else truth(ben, place))
    agreed = all_labels(anna).agreement
    stand_for = [float(row["weight"]) for row in read_rows(anna.path)]
    assert (agreed.faces, agreed.share) == (40, pytest.approx(sum(stand_for[4:]) / sum(stand_for), rel=1e-4))
    with pytest.raises(InputError, match="the labels of anna"):
        start("labels.anna.csv", labeller="ben")


def test_which_files_are_of_the_other_labellers(tmp_path):
    names = ["faces.csv", "faces.labels.csv", "faces.labels.anna.csv", "faces.labels.ben.csv", "labels.csv"]
    for name in [*names, "faces.labels.ben.csv.part"]:
        (tmp_path / name).touch()
    for path, labeller in (("faces.labels.csv", ""), ("faces.labels.ben.csv", "ben")):
        found = [each.name for each in agreement_files(tmp_path / path, labeller)]
        assert found == ["faces.labels.anna.csv", "faces.labels.ben.csv", "faces.labels.csv"]


def test_photos_whose_names_begin_with_a_blank(results, tmp_path):
    """A table's cells are read without the blanks around them."""
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    lines[0]["path"] = f" {lines[0]['path']}"
    file = tmp_path / "faces.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    file.with_name("faces.jsonl.run.json").write_text(results.with_name("faces.jsonl.run.json").read_text())
    collection = read_results([file])
    for _ in range(2):
        session = LabellingSession(collection, draw(collection, 0), tmp_path / "labels.csv")
        for place, row in enumerate(session.rows):
            if session.item(place).photo.startswith(" "):
                session.answer(place, "female" if row % 2 else "male")
    assert len(read_table(tmp_path / "labels.csv", ["path"])) == 2


def test_labels_of_other_results_are_noticed(start, collection, results, tmp_path):
    """Each photo has come a second time, under another name."""
    session = start()
    for place in range(40):
        session.answer(place, truth(session, place))
    labels = session.path
    assert read_labels([labels], collection).moved == 0
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    file = tmp_path / "faces.jsonl"
    file.write_text(
        "".join(json.dumps(line) + "\n" for line in [*lines, *({**x, "path": f"b/{x['path']}"} for x in lines)])
    )
    file.with_name("faces.jsonl.run.json").write_text(results.with_name("faces.jsonl.run.json").read_text())
    grown = read_results([file])
    known = read_labels([labels], grown)
    assert known.moved == 40
    rates = local_rates(grown, known, source="labels", command="pytest")
    found = survey(grown, rates, labelled=known, replicates=100)
    assert found.warnings[0].startswith("40 of the labels were drawn from other results than these")
    before = labels.read_text()
    with pytest.raises(InputError, match="drawn from results of another size") as caught:
        LabellingSession(grown, draw(grown), labels)
    assert "--output NEW.csv" in caught.value.remedy
    assert labels.read_text() == before
    # A file by hand says nothing of strata.
    labels.write_text(
        "path,face,label\n" + "".join(f"{row['path']},{row['face']},{row['label']}\n" for row in read_rows(labels))
    )
    assert read_labels([labels], grown).moved == 0


HEADER = "path,face,label,weight,stratum,stratum_faces,labeller\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\n000.png,male\n", "no file of facegender label"),
        (HEADER + "x.png,0,male,1,a,1,\n", "does not go with these results"),
        (HEADER + "000.png,0,male,1,a,1,\n", "does not go with these results"),
        (HEADER + "000.png,0,boy,1,a,1,\n", "does not go with these results"),
        (HEADER + "000.png,9,male,1,a,1,\n", "does not go with these results"),
    ],
)
def test_a_file_of_something_else_is_left_alone(start, tmp_path, text, message):
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        start()
    assert (tmp_path / "labels.csv").read_text() == text


def test_the_interval_narrows_as_labels_come(start, collection):
    session = start(count=240)
    assert precision(collection, session.labelled(), 20.0).now is None
    widths = []
    for place in range(240):
        session.answer(place, truth(session, place))
        if place + 1 in (30, 60, 110, 180, 240):
            found = precision(collection, session.labelled(), 20.0)
            widths.append(found.now)
            assert found.before == 20.0
            assert found.more <= found.now
    assert widths == sorted(widths, reverse=True)
    assert widths[3] < 0.7 * widths[0]
    assert widths[-1] == pytest.approx(0.0, abs=1e-9)  # every face is labelled
    assert found.enough
