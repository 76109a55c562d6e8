"""What a run comes to."""

import pytest

from facegender.formats.summary import Summary


def photo(*labels, error=None, **more):
    error = None if error is None else {"kind": error, "message": "sentence"}
    return {"path": "p", "faces": [{"label": label} for label in labels], "error": error, **more}


def summary(*records):
    counted = Summary()
    for record in records:
        counted.add(record)
    return counted


def test_photos():
    notes = [{"kind": "grain", "message": "heavy grain"}]
    records = [photo("female", "male", "female"), photo("uncertain", notes=notes), photo()]
    errors = [photo(error="truncated"), photo(error="not_found"), photo(error="truncated")]
    assert summary(*records, *errors).lines(260.4) == [
        "6 photos in 4 min 20 s: 4 faces: 2 women, 1 man, 1 uncertain; 1 without a face; "
        "3 errors (truncated 2, not_found 1)",
        "1 photo has heavy grain, which was smoothed before the search",
    ]


def test_videos():
    video = {"path": "v", "tracks": [{"label": "female"}], "error": None}
    assert summary(video).lines(7205) == [
        "1 video in 2 h 0 min: 1 track: 1 woman, 0 men, 0 uncertain; 0 without a face"
    ]


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.0, "1 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (3599.7, "1 h 0 min")]
)
def test_times(seconds, said):
    assert f"1 photo in {said}: 0 faces" in summary(photo()).lines(seconds)[0]


def test_below_a_table_that_has_the_counts():
    assert summary(photo("female"), photo()).lines(3, below_table=True) == ["2 photos in 3 s"]


def test_nothing():
    assert summary().lines(1) == []
