"""Datasets found where they lie."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from facegender.errors import InputError
from facegender.lab.paper.data import find_datasets


def photo(path: Path, shade: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(shade).integers(0, 255, (20, 20, 3), dtype=np.uint8)
    PillowImage.fromarray(pixels).save(path)


def test_what_is_there_is_listed_and_the_rest_left_out(tmp_path):
    photo(tmp_path / "utkface" / "UTKFace" / "20_0_1_20170112213615815.jpg.chip.jpg", 1)
    photo(tmp_path / "utkface" / "UTKFace" / "30_1_2_20170112213615816.jpg.chip.jpg", 2)
    photo(tmp_path / "fairface" / "part" / "val" / "1.jpg")
    (tmp_path / "fairface" / "fairface_label_val.csv").write_text(
        "file,age,gender,race,service_test\nval/1.jpg,03-Sep,Male,East Asian,FALSE\n"
    )
    photo(tmp_path / "celeba" / "img_align_celeba" / "000001.jpg")
    (tmp_path / "celeba" / "list_attr_celeba.txt").write_text("1\nMale Young\n000001.jpg -1 1\n")
    (tmp_path / "celeba" / "list_eval_partition.txt").write_text("000001.jpg 2\n")
    (tmp_path / "lfw").mkdir()  # without photos
    (tmp_path / "holiday").mkdir()
    found = find_datasets(tmp_path)
    assert set(found) == {"utkface", "fairface", "celeba"}
    assert [entry.label for entry in found["utkface"]().entries] == [1, 0]
    assert found["fairface"]().entries[0].attributes["age"] == "3-9"
    assert [entry.split for entry in found["celeba"]().entries] == ["test"]


def test_celeba_may_have_one_table_for_both(tmp_path):
    photo(tmp_path / "celeba" / "img_align_celeba" / "000001.jpg")
    (tmp_path / "celeba" / "both.csv").write_text("image,Partition,Male\n000001.jpg,1,1\n")
    (entry,) = find_datasets(tmp_path)["celeba"]().entries
    assert (entry.label, entry.split) == (1, "validation")


@pytest.mark.parametrize("there", [True, False])
def test_nothing_at_hand(tmp_path, there):
    folder = tmp_path if there else tmp_path / "nowhere"
    with pytest.raises(InputError, match="docs/datasets"):
        find_datasets(folder)
