"""Sets of labelled photos: who is in which split, and labelling that was interrupted."""

import json

import numpy as np
import pytest

from facegender.errors import DatasetError
from facegender.lab.detection.photos import LONGEST_SIDE, label_photos, open_photos, photos_below, split_of

SPLITS = ("train", "validation", "test")


@pytest.fixture
def folder(save, paint, named, tmp_path):
    """Photos of all splits, some without a face."""
    for split in SPLITS:
        for number, name in enumerate(named(split, 4)):
            face = [] if number == 3 else [(20 + number, 24, 20)]
            save(f"source/{split}/{name}", paint(50 + number, 40, *face)[0])
    return tmp_path / "source"


def files(photos):
    return [photo.file for photo in photos]


def every(output):
    return [photo for split in SPLITS for photo in open_photos(output, split)]


def test_the_photos_of_one_person_are_in_one_split():
    people = [f"Person{number}" for number in range(1000)]
    splits = [split_of(f"{person}_Lastname_0001.jpg") for person in people]
    for number in (2, 17):
        again = [split_of(f"some/folder/{person}_Lastname_{number:04d}.png") for person in people]
        assert again == splits
    shares = [splits.count(split) / len(splits) for split in SPLITS]
    assert shares == pytest.approx([0.7, 0.1, 0.2], abs=0.04)


def test_the_splits_stay_what_they_are():
    # The test photos of the card must never have been trained on: another rule would mix them.
    splits = {"George": "validation", "Serena": "train", "Tony": "train", "Ann": "test", "0": "train"}
    assert {name: split_of(f"{name}_0001.jpg") for name in splits} == splits


def test_photos_and_labels_come_back(folder, teacher, named, tmp_path, paint):
    label_photos(lambda: teacher, [folder], [], 100, tmp_path / "set")
    assert teacher.labelled == 8  # nobody looks at the test photos
    assert open_photos(tmp_path / "set", "test") == []
    for split in ("train", "validation"):
        photos = open_photos(tmp_path / "set", split)
        assert files(photos) == sorted(f"{split}/{name}" for name in named(split, 4))
        for photo in photos:
            number = photo.image.shape[1] - 50
            image, rows = paint(50 + number, 40, *([] if number == 3 else [(20 + number, 24, 20)]))
            assert np.array_equal(photo.image, image)
            np.testing.assert_allclose(photo.faces, rows, atol=0.006)
            assert photo.unsure.shape == (0, 15)
            assert (photo.source, photo.split) == (str(folder), split)


def test_folders_for_training_only(folder, teacher, tmp_path):
    label_photos(lambda: teacher, [], [folder], 100, tmp_path / "set")
    assert len(open_photos(tmp_path / "set", "train")) == 12
    assert open_photos(tmp_path / "set", "validation") == []


def test_a_folder_in_another_one_would_be_in_two_splits(folder, teacher, tmp_path):
    for sources, train_only in (([folder], [folder / "test"]), ([folder / "test", folder], []), ([folder], [folder])):
        with pytest.raises(DatasetError, match="lies in"):
            label_photos(teacher, sources, train_only, 100, tmp_path / "labels")
    assert not (tmp_path / "labels").exists()


def test_a_few_of_many_are_spread_evenly(save, noise, teacher, tmp_path):
    for number in range(20):
        save(f"many/{number:02d}.png", noise)
    label_photos(lambda: teacher, [], [tmp_path / "many"], 3, tmp_path / "set")
    assert files(open_photos(tmp_path / "set", "train")) == ["00.png", "10.png", "19.png"]


def test_large_photos_are_shrunk(save, paint, teacher, tmp_path):
    save("large/a.png", paint(1280, 30, (600, 15, 24))[0])
    label_photos(lambda: teacher, [], [tmp_path / "large"], 9, tmp_path / "set")
    [photo] = open_photos(tmp_path / "set", "train")
    assert photo.image.shape == (15, LONGEST_SIDE, 3)
    assert photo.faces[0, :4] == pytest.approx([294, 1.5, 12, 12], abs=1)


def test_labelling_goes_on_after_an_interruption(folder, teacher, tmp_path):
    label_photos(lambda: teacher, [folder], [], 100, tmp_path / "whole")

    class Interrupted(type(teacher)):
        def label(self, image, annotated=None):
            if self.labelled == 3:
                raise KeyboardInterrupt
            return super().label(image, annotated)

    with pytest.raises(KeyboardInterrupt):
        label_photos(Interrupted, [folder], [], 100, tmp_path / "killed")
    second = type(teacher)()
    label_photos(lambda: second, [folder], [], 100, tmp_path / "killed")
    assert second.labelled == 5
    for file in ("pixels.bin", "photos.jsonl"):
        assert (tmp_path / "killed" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    label_photos(lambda: second, [folder], [], 100, tmp_path / "killed")
    assert second.labelled == 5


@pytest.mark.parametrize("kept", [0, 1, 40, -1], ids=["no line", "a byte", "40 bytes", "no line end"])
def test_a_half_line_and_pixels_without_a_line(folder, teacher, tmp_path, kept):
    output = tmp_path / "set"
    label_photos(lambda: teacher, [folder], [], 100, output)
    before = every(output)
    *lines, last = (output / "photos.jsonl").read_bytes().splitlines(keepends=True)
    (output / "photos.jsonl").write_bytes(b"".join(lines) + last[:kept])
    with (output / "pixels.bin").open("ab") as pixels:
        pixels.write(b"half a photo")
    assert len(every(output)) == len(before) - 1

    for _ in range(2):
        label_photos(lambda: teacher, [folder], [], 100, output)
        assert teacher.labelled == len(before) + 1
        assert sorted(files(every(output))) == sorted(files(before))
        for photo in every(output):
            [same] = [other for other in before if other.file == photo.file]
            assert np.array_equal(photo.image, same.image)
            assert np.array_equal(photo.faces, same.faces)
    for line in (output / "photos.jsonl").read_text().splitlines():
        assert json.loads(line)["file"]


def test_photos_that_cannot_be_read_are_passed_over(folder, teacher, tmp_path):
    broken = next((folder / "train").iterdir())
    broken.write_bytes(broken.read_bytes()[:50])
    (folder / "text.jpg").write_text("no photo")
    label_photos(lambda: teacher, [folder], [], 100, tmp_path / "set")
    assert f"train/{broken.name}" not in files(every(tmp_path / "set"))


def test_not_one_photo_to_learn_from(save, noise, named, teacher, tmp_path):
    save(f"source/{named('test', 1)[0]}", noise)
    label_photos(lambda: teacher, [tmp_path / "source"], [], 100, tmp_path / "set")
    assert every(tmp_path / "set") == []


def test_folders_without_photos(tmp_path, teacher):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".hidden.jpg").write_bytes(b"")
    (tmp_path / "empty" / "notes.txt").write_text("")
    for name in ("empty", "absent"):
        with pytest.raises(DatasetError, match=f"no photos below .*{name}"):
            photos_below(tmp_path / name)
        with pytest.raises(DatasetError, match=name):
            label_photos(lambda: teacher, [tmp_path / name], [], 9, tmp_path / "set")


def test_photos_below_lists_all_kinds_in_order(tmp_path):
    (tmp_path / "b").mkdir()
    for name in ("b/1.JPG", "b/2.webp", "a.jpeg", "c.png", "d.gif"):
        (tmp_path / name).write_bytes(b"")
    assert [path.relative_to(tmp_path).as_posix() for path in photos_below(tmp_path)] == [
        "a.jpeg",
        "b/1.JPG",
        "b/2.webp",
        "c.png",
    ]
