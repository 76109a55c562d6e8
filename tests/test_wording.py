"""Counts in sentences."""

import pytest

from facegender.wording import counted


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 photos"), (1, "1 photo"), (2, "2 photos"), (1204, "1,204 photos")], ids=str
)
def test_one_is_not_many(count, said):
    assert counted(count, "photo") == said
