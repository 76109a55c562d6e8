"""Files of the layout of imdb.mat and wiki.mat, and the photos that they speak of."""

import math
from datetime import date

import numpy as np
import pytest
from scipy.io import savemat

from facegender.errors import DatasetError
from facegender.lab.datasets.imdb_wiki import list_imdb_wiki, read_mat
from facegender.lab.datasets.listing import prepare
from facegender.lab.datasets.store import open_store

pytestmark = pytest.mark.usefixtures("red_squares_are_faces")

NAN, INF = math.nan, math.inf
SIZE = (240, 160)
#: A face of 48 pixels around (170, 90), and the place of another one.
FACE, ELSEWHERE = (147, 61, 194, 120), (21, 21, 60, 60)


def matlab_day(year, month, day):
    return date(year, month, day).toordinal() + 366


#: path, name, gender, score of the face, of the second one, location, born, taken
ROWS = [
    ("01/a_1.jpg", "Ann  One", 0, 3.1, NAN, FACE, matlab_day(1970, 7, 1), 2000),
    ("01/a_2.jpg", "Ann  One", 0, 2.0, -0.5, FACE, matlab_day(1970, 7, 2), 2000),
    ("02/b_1.jpg", "Bob Two", 1, 1.0, NAN, FACE, matlab_day(1950, 1, 1), 2001),
    ("02/b_2.jpg", "Bob Two", 1, 4.0, 2.5, FACE, matlab_day(1950, 1, 1), 2001),  # two faces
    ("02/b_3.jpg", "Bob Two", 1, 0.9, NAN, FACE, matlab_day(1950, 1, 1), 2001),  # a doubtful face
    ("03/c_1.jpg", "", 1, 5.0, NAN, FACE, 5.0, 2001),  # no name, and a day before the year 1
    ("03/d_1.jpg", "Dee Four", NAN, 5.0, NAN, FACE, matlab_day(1980, 1, 1), 2001),  # unknown gender
    ("03/e_1.jpg", "Eve Five", 0, -INF, NAN, (1, 1, *SIZE), matlab_day(1980, 1, 1), 2001),  # no face
    ("03/f_1.jpg", "Flo Six", 0, INF, NAN, (1, 1, *SIZE), matlab_day(1980, 1, 1), 2001),  # as their page has it
    ("04/g_1.jpg", "Gus Seven", 1, 5.0, NAN, FACE, matlab_day(1990, 1, 1), 1980),  # born after the photo
    ("04/h_1.jpg", "Hal Eight", 1, 5.0, NAN, FACE, matlab_day(1990, 1, 1), 2011),  # its photo is absent
]
KEPT = ["01/a_1.jpg", "01/a_2.jpg", "02/b_1.jpg", "03/c_1.jpg", "04/g_1.jpg"]


def write_mat(path, rows=ROWS, kind="wiki", without=(), **changes):
    def cells(values):
        array = np.empty((1, len(rows)), object)
        array[0, :] = values
        return array

    paths, names, gender, score, second, places, born, taken = zip(*rows, strict=True)
    boxes = np.empty(len(rows), object)
    boxes[:] = [np.array([place], float) for place in places]
    record = {
        "dob": np.array([born], float),
        "photo_taken": np.array([taken], np.uint16),
        "full_path": cells(paths),
        "gender": np.array([gender], float),
        "name": cells(names),
        "face_location": cells(boxes),
        "face_score": np.array([score], float),
        "second_face_score": np.array([second], float),
    }
    if kind == "imdb":
        record |= {"celeb_names": cells(names), "celeb_id": np.arange(1, len(rows) + 1.0)[None]}
    record |= changes
    savemat(path, {kind: {key: value for key, value in record.items() if key not in without}})
    return path


@pytest.fixture
def wiki(tmp_path, draw):
    """Photos in wiki/01 and so on, each with a face at FACE and a larger one elsewhere; wiki.mat."""
    for number, (path, *_) in enumerate(ROWS[:-1]):
        photo = tmp_path / "wiki" / path
        photo.parent.mkdir(parents=True, exist_ok=True)
        picture = draw(number, (170 / 240, 90 / 160), SIZE, 24 / 160)
        picture.paste((255, 0, 0), (14, 14, 72, 72))
        picture.save(photo, quality=95)
    return write_mat(tmp_path / "wiki.mat")


def listed(wiki, **options):
    options = {"max_second_score": 0.0, "min_face_score": 1.0} | options
    return list_imdb_wiki([wiki.parent / "wiki"], wiki, **options)


@pytest.mark.parametrize("kind", ["wiki", "imdb"])
def test_the_published_layout_is_read(tmp_path, kind):
    annotations = read_mat(write_mat(tmp_path / "some.mat", kind=kind))
    assert annotations.name == kind
    assert annotations.paths[0] == "01/a_1.jpg"
    assert annotations.people[:6] == ["Ann One", "Ann One", "Bob Two", "Bob Two", "Bob Two", ""]
    assert annotations.locations.shape == (11, 4)
    assert math.isnan(annotations.gender[6])
    assert annotations.face_score[7] == -INF


def test_the_filter_keeps_one_sure_face(wiki):
    listing = listed(wiki)
    assert [e.name for e in listing.entries] == KEPT
    assert [e.label for e in listing.entries] == [0, 0, 1, 1, 1]
    assert listing.counts == [
        ("photos in wiki.mat", 4, 6),
        ("whose face is scored 1 or more", 2, 5),
        ("and a second one 0 or less, or none", 2, 4),
        ("of them with a second one", 1, 0),
    ]
    assert listing.findings == {
        "photos of unknown gender, left out": 1,
        "photos without a face, left out": 2,
        "rows without a photo": 1,
        "photos without a row that is wanted, left out": 5,
        "photos in several sources, taken from the first": 0,
    }


def test_the_thresholds_are_options(wiki):
    assert "02/b_2.jpg" in {e.name for e in listed(wiki, max_second_score=3.0).entries}
    assert "02/b_3.jpg" in {e.name for e in listed(wiki, min_face_score=0.5).entries}
    # A photo without a second face stays, however low the threshold.
    assert [e.name for e in listed(wiki, max_second_score=-INF).entries] == [n for n in KEPT if n != "01/a_2.jpg"]


def test_ages_are_of_the_middle_of_the_year(wiki):
    ages = {e.name: e.attributes["age"] for e in listed(wiki).entries}
    assert ages == {"01/a_1.jpg": "30", "01/a_2.jpg": "29", "02/b_1.jpg": "51", "03/c_1.jpg": "", "04/g_1.jpg": ""}


def test_the_face_that_the_file_means_is_cropped(wiki, tmp_path, block_face):
    report = prepare(listed(wiki), tmp_path / "store")
    assert report.fallbacks == ()
    assert report.people == 3
    entry = listed(wiki).entries[0]
    assert entry.box == (146, 60, 48, 60)
    assert entry.box == pytest.approx(block_face(170, 90, 48).box)
    # A location where the detector sees nothing is believed.
    write_mat(wiki, [(*ROWS[0][:5], (100, 100, 130, 130), *ROWS[0][6:])])
    assert prepare(listed(wiki), tmp_path / "store").fallbacks == ("01/a_1.jpg",)


def test_a_person_is_in_one_split_of_both_sets(wiki, tmp_path):
    rows = [
        (f"{n:02d}/{n}_{k}.jpg", f"Person {n}", n % 2, 3.0, NAN, FACE, 7e5, 2000) for n in range(60) for k in (1, 2)
    ]
    for path, *_ in rows:
        photo = tmp_path / "imdb" / path
        photo.parent.mkdir(parents=True, exist_ok=True)
        photo.write_bytes(b"never read")
    splits = {}
    for kind in ("wiki", "imdb"):
        mat = write_mat(tmp_path / f"{kind}.mat", rows, kind)
        listing = list_imdb_wiki([tmp_path / "imdb"], mat, max_second_score=0.0, min_face_score=1.0)
        assert len(listing.entries) == 120
        for entry in listing.entries:
            assert splits.setdefault(entry.identity, entry.split) == entry.split
    assert set(splits.values()) == {"train", "validation", "test"}


def test_face_crops_have_their_face_in_the_middle(wiki, tmp_path, draw):
    (tmp_path / "wiki").rename(tmp_path / "wiki_crop")
    for number, name in enumerate(KEPT):
        draw(number, None if number == 0 else (0.5, 0.5)).save(tmp_path / "wiki_crop" / name)
    arguments = ([tmp_path / "wiki_crop"], wiki)
    with pytest.raises(DatasetError, match=r"wiki_crop holds the authors' face crops.*--crops"):
        list_imdb_wiki(*arguments, max_second_score=0.0, min_face_score=1.0)
    listing = list_imdb_wiki(*arguments, max_second_score=0.0, min_face_score=1.0, crops=True)
    assert {e.box for e in listing.entries} == {None}
    assert prepare(listing, tmp_path / "store").fallbacks == (KEPT[0],)


def test_a_part_of_the_archives_will_do(wiki, tmp_path):
    for path in (tmp_path / "wiki" / "01").iterdir():
        path.unlink()
    listing = listed(wiki)
    assert [e.name for e in listing.entries] == KEPT[2:]
    assert listing.findings["rows without a photo"] == 3
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DatasetError, match="none of the 6 photos wanted"):
        list_imdb_wiki([tmp_path / "nothing"], wiki, max_second_score=0.0, min_face_score=1.0)


@pytest.mark.parametrize("spoil", ["absent", "text", "cut", "another", "field", "lengths"])
def test_files_that_are_something_else(wiki, spoil):
    if spoil == "absent":
        wiki.unlink()
    elif spoil == "text":
        wiki.write_text("path,gender\n01/a_1.jpg,0\n" * 20)
    elif spoil == "cut":
        wiki.write_bytes(wiki.read_bytes()[:-900])
    elif spoil == "another":
        savemat(wiki, {"faces": np.zeros(3)})
    elif spoil == "field":
        write_mat(wiki, without=("face_score",))
    else:
        write_mat(wiki, gender=np.zeros((1, 3)))
    with pytest.raises(DatasetError, match=r"wiki\.mat.*imdb\.mat or wiki\.mat") as caught:
        listed(wiki)
    reasons = {"field": "face_score", "lengths": "not of one length", "another": "neither imdb nor wiki"}
    assert reasons.get(spoil, "") in str(caught.value)


def test_the_command_prints_the_papers_counts_above(invoke, wiki, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = invoke("prepare", "imdb-wiki", "wiki", "--labels", "wiki.mat")
    printed = " ".join(result.output.split())
    assert "Table 2, as printed │ 1,379 │ 1,831 │ 3,210" in printed
    assert "and a second one 0 or less, or none │ 2 │ 4 │ 6" in printed
    assert len(open_store(tmp_path / "stores" / "wiki")) == 5
