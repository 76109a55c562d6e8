"""A small CelebA: the authors' text files, whole and cut, and images in copies of several shapes."""

import gzip
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from facegender.errors import DatasetError, InputError
from facegender.lab.datasets.celeba import FRAME, list_celeba, read_annotations
from facegender.lab.datasets.listing import prepare
from facegender.lab.datasets.store import open_store

DATA = Path(os.environ.get("FACEGENDER_DATA", Path(__file__).parents[4] / "shared" / "datasets"))
REAL = DATA / "celeba"

pytestmark = pytest.mark.usefixtures("red_squares_are_faces")

#: Image to its value of Male and its partition: two for training, one for validation, three for the test.
IMAGES = {1: (-1, 0), 2: (1, 0), 3: (1, 1), 4: (-1, 2), 5: (1, 2), 6: (-1, 2)}


def jpg(number):
    return f"{number:06d}.jpg"


@pytest.fixture
def celeba(tmp_path, draw):
    """All images in `whole`; 2 to 5 as 64x64 in `small.tar`; the files of annotations in their original layouts."""
    (tmp_path / "whole").mkdir()
    (tmp_path / "dataset").mkdir()
    for number in IMAGES:
        picture = draw(number, (0.5, 0.6), FRAME, 0.14)
        picture.save(tmp_path / "whole" / jpg(number), quality=95)
        if 2 <= number <= 5:
            picture.resize((64, 64)).save(tmp_path / "dataset" / jpg(number), quality=95)
    with tarfile.open(tmp_path / "small.tar", "w") as tar:
        tar.add(tmp_path / "dataset", arcname="dataset")
    rows = [f"{jpg(number)} -1 {male:2d}  1" for number, (male, _) in IMAGES.items()]
    (tmp_path / "list_attr_celeba.txt").write_bytes(
        "\r\n".join([str(len(rows)), "Smiling Male Young ", *rows]).encode()
    )
    (tmp_path / "list_eval_partition.txt").write_text("".join(f"{jpg(n)} {part}\n" for n, (_, part) in IMAGES.items()))
    (tmp_path / "identity_CelebA.txt").write_text("".join(f"{jpg(n)} {n // 2 + 70}\n" for n in IMAGES if n != 6))
    table = "".join(f"{jpg(n)},{(male + 1) // 2},{part}\n" for n, (male, part) in IMAGES.items())
    (tmp_path / "male_and_partition.csv.gz").write_bytes(gzip.compress(f",Male,Partition\n{table}".encode()))
    return tmp_path


def test_original_files(celeba):
    listing = list_celeba(
        [celeba / "whole"],
        celeba / "list_attr_celeba.txt",
        celeba / "list_eval_partition.txt",
        identities=celeba / "identity_CelebA.txt",
    )
    assert [(e.name, e.label, e.split, e.identity) for e in listing.entries] == [
        ("000001.jpg", 0, "train", "70"),
        ("000002.jpg", 1, "train", "71"),
        ("000003.jpg", 1, "validation", "71"),
        ("000004.jpg", 0, "test", "72"),
        ("000005.jpg", 1, "test", "72"),
        ("000006.jpg", 0, "test", ""),
    ]
    assert listing.entries[0].attributes == {"young": "yes", "smiling": "no", "source": "whole"}
    assert listing.counts == [("images with attributes", 3, 3)]
    assert not any(listing.findings.values())


def test_one_table_of_both_says_the_same(celeba):
    texts = list_celeba([celeba / "whole"], celeba / "list_attr_celeba.txt", celeba / "list_eval_partition.txt")
    table = list_celeba([celeba / "whole"], celeba / "male_and_partition.csv.gz")
    assert [(e.name, e.label, e.split) for e in table.entries] == [(e.name, e.label, e.split) for e in texts.entries]
    mixed = list_celeba([celeba / "whole"], celeba / "list_attr_celeba.txt", celeba / "male_and_partition.csv.gz")
    assert mixed.entries == texts.entries


def test_a_squeezed_copy_gives_the_crops_of_the_whole_one(celeba):
    annotations = celeba / "male_and_partition.csv.gz"
    prepare(list_celeba([celeba / "whole"], annotations), celeba / "one")
    report = prepare(list_celeba([], annotations, squeezed=[celeba / "small.tar"]), celeba / "other")
    one, other = open_store(celeba / "one"), open_store(celeba / "other")
    assert report.fallbacks == ()
    assert list(other.images) == [jpg(n) for n in (2, 3, 4, 5)]
    assert np.abs(one.crops[1:5].astype(int) - other.crops).mean() < 10


def test_the_first_source_that_has_an_image_gives_it(celeba):
    (celeba / "whole" / jpg(2)).unlink()
    listing = list_celeba([celeba / "whole"], celeba / "male_and_partition.csv.gz", squeezed=[celeba / "small.tar"])
    assert [e.source for e in listing.entries] == [0, 1, 0, 0, 0, 0]
    assert {e.attributes["source"] for e in listing.entries} == {"whole", "small.tar"}
    assert listing.findings["photos in several sources, taken from the first"] == 3


@pytest.mark.parametrize("sources", [("whole",), ("small.tar",), ("small.tar", "whole"), ("whole", "small.tar")])
def test_nothing_of_the_test_partition_is_trained_on(celeba, sources):
    prepare(
        list_celeba(
            [celeba / sources[0]], celeba / "male_and_partition.csv.gz", squeezed=[celeba / s for s in sources]
        ),
        celeba / "store",
    )
    store = open_store(celeba / "store")
    for image, split in zip(store.images, store.splits, strict=True):
        assert split == ("train", "validation", "test")[IMAGES[int(image[:6])][1]]


def test_a_cut_file_goes_as_far_as_it_goes(celeba):
    path = celeba / "list_attr_celeba.txt"
    path.write_bytes(path.read_bytes().replace(b"6\r\n", b"202599\r\n", 1)[:-3])  # the last row lacks a cell
    listing = list_celeba([celeba / "whole"], path, celeba / "list_eval_partition.txt")
    assert [e.name for e in listing.entries] == [jpg(n) for n in (1, 2, 3, 4, 5)]
    assert listing.findings["rows that the attribute file promises and lacks"] == 202_594
    assert listing.findings["photos without attributes, left out"] == 1


def test_images_without_a_partition_are_left_out(celeba):
    (celeba / "list_eval_partition.txt").write_text("000001.jpg 0\n000005.jpg 2\n")
    listing = list_celeba([celeba / "whole"], celeba / "list_attr_celeba.txt", celeba / "list_eval_partition.txt")
    assert [(e.name, e.split) for e in listing.entries] == [("000001.jpg", "train"), ("000005.jpg", "test")]
    assert listing.findings["photos without a partition, left out"] == 4


def test_png_copies_go_by_the_same_names(celeba, draw):
    (celeba / "png").mkdir()
    draw(1, size=FRAME).save(celeba / "png" / "000004.png")
    listing = list_celeba([celeba / "png"], celeba / "male_and_partition.csv.gz")
    assert [(e.name, e.path, e.split) for e in listing.entries] == [("000004.jpg", "000004.png", "test")]


def test_without_a_partition_nothing_is_prepared(celeba):
    with pytest.raises(DatasetError, match=r"does not tell the partition.*list_eval_partition\.txt as --partition"):
        list_celeba([celeba / "whole"], celeba / "list_attr_celeba.txt")
    with pytest.raises(DatasetError, match=r"list_eval_partition\.txt does not name its columns"):
        list_celeba([celeba / "whole"], celeba / "list_eval_partition.txt", celeba / "list_eval_partition.txt")
    with pytest.raises(InputError, match="no source"):
        list_celeba([], celeba / "male_and_partition.csv.gz")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is empty"),
        ("image,Partition\n1.jpg,0\n", "does not tell the male.*--attributes"),
        ("2\nMale Young\n000001.jpg 1\n000002.jpg 1 1\n", "no image with 2 values"),
        ("image,Male,Partition\n1.jpg,1,7\n", r"1\.jpg the partition '7'"),
        ("image,Male,Partition\n1.jpg,maybe,0\n", r"1\.jpg the male 'maybe'"),
    ],
)
def test_files_of_another_layout(celeba, text, complaint):
    (celeba / "labels").write_text(text)
    with pytest.raises(DatasetError, match=complaint):
        list_celeba([celeba / "whole"], celeba / "labels")


def test_the_command(invoke, celeba):
    arguments = ["prepare", "celeba", str(celeba / "whole"), "--attributes", str(celeba / "list_attr_celeba.txt")]
    arguments += ["--partition", str(celeba / "list_eval_partition.txt"), "--squeezed", str(celeba / "small.tar")]
    arguments += ["--identities", str(celeba / "identity_CelebA.txt"), "--output", str(celeba / "store")]
    result = invoke(*arguments)
    printed = " ".join(result.output.split())
    assert "Table 2, as printed │ 118,165 │ 84,434 │ 202,599" in printed
    assert "test │ 2 │ 1 │ 3" in printed
    assert "3 people among the crops" in printed
    assert "4 photos in several sources, taken from the first" in printed


@pytest.mark.data
@pytest.mark.skipif(not REAL.exists(), reason=f"{REAL} is absent; FACEGENDER_DATA names another folder")
def test_the_real_files():
    both = read_annotations(REAL / "male_and_partition.csv.gz")
    assert len(both.rows) == 202_599
    listing = list_celeba([REAL / "img_align_celeba_half_first10000.tar"], REAL / "male_and_partition.csv.gz")
    assert listing.counts == [("images with attributes", 118_165, 84_434)]
    assert {e.split for e in listing.entries} == {"train"}
    assert len(listing.entries) == 10_000
    cut = read_annotations(REAL / "list_attr_celeba_first20000.txt")
    assert (len(cut.rows), len(cut.columns), cut.missing) == (20_000, 40, 182_599)
    males = {"1": "1", "-1": "0"}
    assert all(males[row["male"]] == both.rows[name]["male"] for name, row in cut.rows.items())
