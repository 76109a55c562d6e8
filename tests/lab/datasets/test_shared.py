"""The real archives, as far as they are at hand: what their labels say, before a photo is decoded."""

import os
from collections import Counter
from pathlib import Path

import pytest

from facegender.lab.datasets.celeba import list_celeba
from facegender.lab.datasets.fairface import list_fairface
from facegender.lab.datasets.utkface import list_utkface
from facegender.lab.paper.data import find_datasets

DATA = Path(os.environ.get("FACEGENDER_DATA", Path(__file__).parents[4] / "shared" / "datasets"))

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is absent; FACEGENDER_DATA names another folder"),
]


def genders(listing):
    return Counter(entry.label for entry in listing.entries)


def test_utkface_drops_copies():
    listing = list_utkface(DATA / "utkface" / "UTKFace_tenth.tar")
    assert genders(listing) == {0: 1_128, 1: 1_235}
    assert len(listing.findings["copies of another file, left out"]) == 7


def test_fairface_mends_ages():
    folder = DATA / "fairface"
    listing = list_fairface([folder / "val_odd.tar"], [folder / "fairface_label_val.csv"])
    assert genders(listing) == {0: 1_176, 1: 1_324}
    assert {entry.split for entry in listing.entries} == {"test"}
    ages = {entry.attributes["age"] for entry in listing.entries}
    assert {"0-2", "3-9", "10-19", "more than 70"} <= ages
    assert not {age for age in ages if age[:3].isalpha() or age.endswith("Sep")} - {"more than 70"}


def test_celeba_splits_are_the_official_ones():
    folder = DATA / "celeba"
    archive = folder / "img_align_celeba_half_first10000.tar"
    listing = list_celeba([archive], folder / "male_and_partition.csv.gz")
    assert genders(listing) == {0: 5_783, 1: 4_217}
    assert {entry.split for entry in listing.entries} == {"train"}


def test_all_of_them_are_found():
    assert set(find_datasets(DATA)) == {"lfw", "celeba", "utkface", "fairface"}
