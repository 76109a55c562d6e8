"""The paper's datasets, and ours, as far as a folder holds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from facegender.errors import InputError
from facegender.lab.datasets.celeba import list_celeba
from facegender.lab.datasets.fairface import list_fairface
from facegender.lab.datasets.imdb_wiki import list_imdb_wiki
from facegender.lab.datasets.lfw import list_lfw
from facegender.lab.datasets.listing import Listing
from facegender.lab.datasets.utkface import list_utkface

_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".zip")


def find_datasets(folder: Path) -> dict[str, Callable[[], Listing]]:
    """What lists each dataset for which `folder` holds a folder of its name: archives or folders of photos, and labels.

    ::

        lfw/        an archive or folder; female_names.txt, male_names.txt, people.txt
        celeba/     archives or folders; list_attr_celeba.txt and list_eval_partition.txt, or a CSV with both
        utkface/    an archive or folder
        fairface/   archives or folders; fairface_label_train.csv, fairface_label_val.csv
        imdb/       archives or folders; imdb.mat
        wiki/       archives or folders; wiki.mat

    Raises:
        InputError: there is no such folder, or none of the datasets in it.
    """
    finders: Mapping[str, Callable[[Path], Callable[[], Listing] | None]] = {
        "lfw": _lfw,
        "celeba": _celeba,
        "utkface": _utkface,
        "fairface": _fairface,
        "imdb": partial(_imdb_wiki, "imdb.mat"),
        "wiki": partial(_imdb_wiki, "wiki.mat"),
    }
    remedy = f"it should hold {', '.join(f'{name}/' for name in finders)}, as docs/datasets says"
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}", remedy=remedy)
    found = {name: find(folder / name) for name, find in finders.items() if (folder / name).is_dir()}
    listed = {name: lists for name, lists in found.items() if lists is not None}
    if not listed:
        raise InputError(f"{folder} holds no dataset", remedy=remedy)
    return listed


def _lfw(folder: Path) -> Callable[[], Listing] | None:
    sources = _sources(folder)
    return partial(list_lfw, sources[0], folder) if sources else None


def _celeba(folder: Path) -> Callable[[], Listing] | None:
    sources, labels, partition = _sources(folder), folder / "list_attr_celeba.txt", folder / "list_eval_partition.txt"
    if not (labels.exists() and partition.exists()):
        tables = [path for path in sorted(folder.iterdir()) if path.name.endswith((".csv", ".csv.gz"))]
        return partial(list_celeba, sources, tables[0]) if sources and tables else None
    people = folder / "identity_CelebA.txt"
    return partial(list_celeba, sources, labels, partition, identities=people if people.exists() else None)


def _utkface(folder: Path) -> Callable[[], Listing] | None:
    sources = _sources(folder)
    return partial(list_utkface, sources[0]) if sources else None


def _fairface(folder: Path) -> Callable[[], Listing] | None:
    sources = _sources(folder)
    labels = [path for path in sorted(folder.glob("fairface_label_*")) if path.name.endswith((".csv", ".csv.gz"))]
    return partial(list_fairface, sources, labels) if sources and labels else None


def _imdb_wiki(labels: str, folder: Path) -> Callable[[], Listing] | None:
    sources = _sources(folder)
    whole = [source for source in sources if not Path(source).name.split(".")[0].endswith("_crop")]
    there = sources and (folder / labels).exists()
    return partial(list_imdb_wiki, whole or sources, folder / labels, crops=not whole) if there else None


def _sources(folder: Path) -> list[str]:
    """The archives in a folder, or without any the folders in it."""
    inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    archives = [path for path in inside if path.name.endswith(_ARCHIVES)]
    return [str(path) for path in archives or filter(Path.is_dir, inside)]
