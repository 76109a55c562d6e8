"""Groups: by value, in bins, by several columns."""

import pandas as pd
import pytest

from facegender.errors import InputError
from facegender.survey.groups import UNKNOWN, groups_of


def grouped(group_by, **columns):
    found = groups_of(pd.DataFrame(columns), group_by)
    return found.names, found.codes.tolist(), found.ordered


@pytest.mark.parametrize(
    ("values", "asked", "names"),
    [
        ([1979, 1970, 1981, None], "when:10", ["1970 to 1979", "1980 to 1989", UNKNOWN]),
        (["1979-12-31", "1980-01-01", "1985"], "when:5", ["1975 to 1979", "1980 to 1984", "1985 to 1989"]),
        ([-5, 5, 15], "when:10", ["-10 to -1", "0 to 9", "10 to 19"]),
        ([0.2, 0.7, 1.2], "when:0.5", ["0 to under 0.5", "0.5 to under 1", "1 to under 1.5"]),
        (["1980", "1980-07-01"], "when:1", ["1980"]),
        ([9, 10, 100], "when", ["9", "10", "100"]),
        (["b", "a", ""], "when", ["a", "b", UNKNOWN]),
    ],
)
def test_bins_and_values_in_order(values, asked, names):
    assert grouped([asked], when=values)[0] == names


def test_a_column_whose_name_looks_like_bins_is_a_column():
    assert grouped(["year:10"], **{"year:10": ["x", "y"], "year": [1, 2]})[0] == ["x", "y"]


def test_several_columns_are_crossed():
    found = groups_of(
        pd.DataFrame({"year": [1990, 1981, 1990, 1985], "section": ["sport", "news", "news", None]}),
        ["year:10", "section"],
    )
    assert found.names == [
        "1980 to 1989, news",
        f"1980 to 1989, {UNKNOWN}",
        "1990 to 1999, news",
        "1990 to 1999, sport",
    ]
    assert found.values[0] == ("1980 to 1989", "news")
    assert found.codes.tolist() == [3, 0, 2, 1]
    assert not found.ordered


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["month"], "have a column 'month'"),
        (["year:0"], "width of the bins"),
        (["year:ten"], "width of the bins"),
        (["year", "year"], "twice"),
        (["section:10"], "'sport' in the column 'section'"),
    ],
)
def test_what_cannot_be_grouped(asked, message):
    with pytest.raises(InputError, match=message):
        grouped(asked, year=[1990], section=["sport"])


def test_a_long_number_before_letters_is_no_year():
    assert grouped(["when:10"], when=["1990-05-01T12:00:00", "1991/05/01", "1992s"])[0] == ["1990 to 1999"]
    with pytest.raises(InputError, match="'12345abc' in the column 'when' is neither a number nor an ISO date"):
        grouped(["when:10"], when=["12345abc"])
