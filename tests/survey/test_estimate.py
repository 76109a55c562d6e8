"""The corrected shares: of collections whose composition is known."""

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from facegender.errors import InputError
from facegender.survey.compositions import find_patterns, photos_with
from facegender.survey.effects import SetCounts
from facegender.survey.estimate import survey
from facegender.survey.groups import UNKNOWN
from facegender.survey.labels import Labelled
from facegender.survey.measuring import count_rates, local_rates
from facegender.survey.method import method_text
from facegender.survey.outcome import EVERYONE
from facegender.survey.prevalence import METHODS, adjusted, imputed, mixture, overall
from facegender.survey.results import Results, read_results

from .conftest import answer, draw, photo


def collection(genders, seed=3, **columns):
    """One face a photo."""
    rng = np.random.default_rng(seed)
    quality, p_male = draw(rng, genders)
    photos = pd.DataFrame({"path": [f"{i}.jpg" for i in range(len(genders))], "weight": 1.0, "error_kind": None})
    faces = {"photo": range(len(genders)), "face": 0, "quality": quality, "p_male": p_male, "seconds": 1.0}
    return Results(
        "photos", photos.assign(**columns), pd.DataFrame(faces).assign(label=[answer(p) for p in p_male]), []
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("women", [0, 100, 1000, 1900, 2000])
def test_the_share_is_found_where_the_plain_count_is_wrong(rates, method, women):
    genders = np.repeat([0, 1], [women, 2000 - women])
    found = survey(collection(genders), rates, method=method, replicates=200).everyone
    assert found.women_low - 0.005 <= women / 2000 <= found.women_high + 0.005
    assert found.women_low <= found.women <= found.women_high
    assert found.women == pytest.approx(women / 2000, abs=0.03)
    assert found.men == pytest.approx(1 - found.women)
    if women == 1000:
        assert found.plain_women > 0.6  # the made classifier is sure of more women than men


def test_exact_mixtures_are_taken_apart():
    female, male = np.array([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2]]), np.array([[0.1, 0.2, 0.7], [0.2, 0.3, 0.5]])
    shares = np.array([0.3, 0.8])
    counts = 1e4 * (shares[:, None] * female + (1 - shares[:, None]) * male)
    scores = np.array([0.2, 0.5, 0.8])
    for method in (mixture, adjusted):
        np.testing.assert_allclose(method(counts, female, male, scores), shares, atol=2e-3)
    assert overall(counts, shares) == pytest.approx(0.55)


def test_couples_are_told_from_pairs(write, tmp_path, couples, rates):
    read = read_results([write(tmp_path / "a.jsonl", couples)])
    found = survey(read, rates, unit="photos", replicates=200).everyone
    assert (found.photos, found.not_read, found.faceless, found.faces) == (760, 40, 60, 1200)
    assert found.women == pytest.approx(500 / 760, abs=0.03)
    assert found.men == pytest.approx(500 / 760, abs=0.03)
    assert found.women_low < 500 / 760 < found.women_high
    assert found.men_low < 500 / 760 < found.men_high
    assert found.plain_men < 0.5


def test_compositions_are_the_likeliest_of_all():
    """Against the likelihood written out over all assignments."""
    rng = np.random.default_rng(0)
    female, male = np.array([[0.6, 0.3, 0.1]]), np.array([[0.2, 0.2, 0.6]])
    cell = rng.integers(0, 3, 300)
    patterns = find_patterns(np.repeat(np.arange(100), 3), cell, 100)
    counts = np.asarray(patterns.membership.sum(axis=0)).reshape(1, -1)
    women, men, shares = photos_with(patterns, counts, female, male)
    like = np.zeros((100, 4))
    for who in itertools.product((0, 1), repeat=3):
        product = np.prod([(male, female)[w][0, cell.reshape(-1, 3)[:, i]] for i, w in enumerate(who)], axis=0)
        like[:, sum(who)] += product / (1, 3, 3, 1)[sum(who)]

    def value(share):
        return np.log(like @ share).sum()

    best = value(shares[3][0])
    for _ in range(300):
        assert value(0.9 * shares[3][0] + 0.1 * rng.dirichlet(np.ones(4))) <= best + 1e-3
    assert women[0] == pytest.approx(100 * (1 - shares[3][0][0]))
    assert men[0] == pytest.approx(100 * (1 - shares[3][0][3]))


def test_weights_move_the_share_and_copies_do_not_narrow_it(rates):
    genders = np.repeat([0, 1], [200, 200])
    heavy = collection(genders, weight=np.repeat([3.0, 1.0], 200))
    found = survey(heavy, rates, replicates=300).everyone
    assert found.women == pytest.approx(0.75, abs=0.05)
    assert found.represented == 800
    same = survey(collection(genders, weight=50.0), rates, replicates=300).everyone
    one = survey(collection(genders), rates, replicates=300).everyone
    assert same.represented == 20_000
    assert (same.women_low, same.women_high) == pytest.approx((one.women_low, one.women_high))


def test_photos_are_drawn_whole(rates):
    """Ten women in each of 20 photos are not 200 women."""
    genders = np.repeat([0, 1], 200)
    single = collection(genders)
    crowd = Results("photos", single.photos[:40], single.faces.assign(photo=np.arange(400) // 10), [])
    narrow, wide = (survey(some, rates, replicates=300).everyone for some in (single, crowd))
    assert wide.women_high - wide.women_low > 2 * (narrow.women_high - narrow.women_low)


def test_groups_are_reported_however_weak(rates):
    genders = np.tile([0, 1], 300)
    year = [1990.0] * 280 + [2001.0] * 300 + [1985.0] * 3 + [None] * 17
    some = collection(genders, year=year)
    some.photos.loc[580:582, "error_kind"] = "truncated"
    some = Results("photos", some.photos, some.faces[~some.faces["photo"].isin([580, 581, 582])], [])
    found = survey(some, rates, group_by=["year"], replicates=200)
    assert [row.group for row in found.groups] == ["1985", "1990", "2001", UNKNOWN]
    assert found.ordered
    nobody = found.groups[0]
    assert (nobody.photos, nobody.not_read, nobody.faces, nobody.women) == (0, 3, 0, None)
    assert found.groups[-1].few
    assert any("Fewer than 30" in text for text in found.warnings)
    assert found.everyone.group == EVERYONE


def test_few_photos_do_not_pretend_to_be_sure(rates):
    found = survey(collection(np.zeros(10, int)), rates, replicates=300).everyone
    assert found.women_high - found.women_low > 0.3


def test_too_few_faces_or_photos_have_no_share(rates):
    nine = collection(np.zeros(9, int))
    for unit, what in (("faces", "faces"), ("photos", "photos")):
        found = survey(nine, rates, unit=unit, replicates=100)
        row = found.everyone
        assert (row.faces, row.photos, row.interval) == (9, 9, f"none: fewer than 10 {what}")
        assert (row.women, row.women_low, row.men, row.plain_women, row.uncertain) == (None,) * 5
        assert [text for text in found.warnings if text.startswith(f"Fewer than 10 {what} are too few for a share")]
        assert not any(text.startswith("No interval") for text in found.warnings)
    assert survey(nine, rates, target="these", replicates=100).everyone.women > 0.5


def test_poor_faces_are_left_out_and_counted(rates):
    some = collection(np.tile([0, 1], 200))
    found = survey(some, rates, min_quality=0.6, replicates=100).everyone
    assert found.left_out == (some.faces["quality"] < 0.6).sum() > 50
    assert found.faces + found.left_out == 400
    assert found.faceless == found.left_out


def test_screen_time_counts_seconds(rates):
    genders = np.repeat([0, 1], 300)
    some = collection(genders)
    long = Results("videos", some.photos[:2], some.faces.assign(photo=genders, face=range(600)), [])
    long.faces["seconds"] = np.where(genders == 0, 9.0, 1.0)
    found = survey(long, rates, replicates=300)
    assert (found.unit, found.resampled) == ("screen-time", "videos")
    assert found.everyone.represented == pytest.approx(3000)
    assert found.everyone.women == pytest.approx(0.9, abs=0.03)
    long.faces["seconds"] = np.where(long.faces["photo"] == 0, 9.0, 0.0)
    off = survey(long, rates, group_by=["path"], replicates=100).groups[1]
    assert (off.faces, off.women) == (300, None)
    assert survey(long, rates, unit="faces", replicates=100).everyone.women == pytest.approx(0.5, abs=0.05)


def videos(count, tracks, seed=0, women=0.5):
    """Videos of `tracks` tracks each, all of them women's in some and all men's in the others."""
    some = collection(np.repeat(np.arange(count) >= women * count, tracks).astype(int), seed)
    return Results(
        "videos", some.photos[:count], some.faces.assign(photo=np.repeat(np.arange(count), tracks), face=0), []
    )


@pytest.mark.parametrize("unit", ["faces", "screen-time"])
@pytest.mark.parametrize(("count", "printed"), [(1, False), (9, False), (10, True), (19, True), (20, True)])
def test_videos_are_resampled_whole_however_few(rates, unit, count, printed):
    found = survey(videos(count, 40), rates, unit=unit, replicates=200)
    assert found.resampled == "videos"
    row = found.everyone
    assert row.clusters == count
    assert row.women is not None
    assert (row.women_low is not None) == (row.men_high is not None) == printed
    if printed:
        assert row.interval == "videos like these"
        assert row.women_high - row.women_low > 0.3  # of tracks it would be 0.1
    else:
        assert row.interval == "none: fewer than 10 videos"
        assert any("--target these" in text for text in found.warnings)


@pytest.mark.parametrize(
    ("count", "name"), [(1, "this film alone"), (2, "these videos alone"), (40, "these videos alone")]
)
def test_videos_alone_are_named_so(rates, count, name):
    found = survey(videos(count, 60), rates, replicates=200, target="these")
    assert found.everyone.interval == name
    assert found.everyone.women_low is not None
    assert any(name in text for text in found.warnings)


def test_a_group_of_few_videos_has_no_interval(rates):
    some = videos(30, 30)
    some.photos["year"] = [1990] * 25 + [2000] * 5
    many, few = survey(some, rates, replicates=100, group_by=["year"]).groups
    assert many.women_low is not None
    assert few.women is not None
    assert (few.women_low, few.women_high, few.men_low, few.men_high) == (None,) * 4
    assert few.no_interval


def test_rates_that_do_not_hold_are_noticed(rates):
    good = survey(collection(np.tile([0, 1], 1000)), rates, replicates=300)
    assert not good.everyone.misfit
    assert not any("behaves differently" in text for text in good.warnings)
    other = collection(np.tile([0, 1], 1000))
    other.faces["p_male"] = 0.3 + 0.4 * other.faces["p_male"]
    found = survey(other, rates, replicates=300)
    assert found.everyone.misfit
    assert "behaves differently" in found.warnings[0]


def test_intervals_know_of_uncertain_rates(rates):
    from dataclasses import replace

    few = replace(rates, female=rates.female // 20, male=rates.male // 20)
    some = collection(np.tile([0, 1], 1000))
    sure, unsure = (survey(some, known, replicates=300).everyone for known in (rates, few))
    assert unsure.women_high - unsure.women_low > 1.5 * (sure.women_high - sure.women_low)


def test_the_same_seed_gives_the_same_numbers(rates):
    some = collection(np.tile([0, 1], 100))
    assert survey(some, rates, seed=5, replicates=100) == survey(some, rates, seed=5, replicates=100)


def test_what_cannot_be_counted(write, tmp_path, rates):
    empty = read_results([write(tmp_path / "a.jsonl", [photo("a.jpg"), photo("b.jpg", error="truncated")])])
    with pytest.raises(InputError, match="nothing to count"):
        survey(empty, rates)
    some = collection(np.tile([0, 1], 10))
    for options, message in (
        ({"group_by": ["year"]}, "have a column 'year'"),
        ({"unit": "screen-time"}, "no screen time"),
        ({"unit": "people"}, "no unit"),
        ({"method": "magic"}, "no method"),
        ({"target": "all"}, "no target"),
        ({"level": 95}, "level"),
        ({"replicates": 10}, "too few"),
        ({"min_quality": 1.0}, "lower --min-quality"),
    ):
        with pytest.raises(InputError, match=message):
            survey(some, rates, **options)


def test_intervals_hold_what_they_promise():
    """Of 40 collections, with error rates measured anew (studies/survey/simulation.py does it with real faces)."""
    held, share = 0, 0.1
    for number in range(40):
        rng = np.random.default_rng(number)
        known = np.repeat([0, 1], 300)
        measured = count_rates(*draw(rng, known), known)
        genders = (rng.random(400) > share).astype(int)
        found = survey(collection(genders, seed=1000 + number), measured, replicates=100).everyone
        held += found.women_low <= share <= found.women_high
    assert held >= 35


def everything_labelled(some, truth, share=1.0, seed=0):
    """Labels of a random part of the faces, and the rates that follow."""
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(truth))[: round(share * len(truth))])
    known = Labelled(rows, np.asarray(truth)[rows], np.ones(len(rows)), (0, 0), 0)
    return known, local_rates(some, known, source="labels", command="pytest")


@pytest.mark.parametrize("women", [0, 1, 37, 200])
def test_with_every_face_labelled_the_interval_is_a_point(women):
    truth = np.repeat([0, 1], [women, 200 - women])
    some = collection(truth)
    known, local = everything_labelled(some, truth)
    found = survey(some, local, labelled=known, replicates=100)
    row = found.everyone
    assert found.target == "these"
    assert (row.interval, row.labelled) == ("these photos alone", 200)
    assert (row.women, row.women_low, row.women_high) == pytest.approx((women / 200,) * 3, abs=1e-12)
    assert (row.men_low, row.men_high) == pytest.approx((1 - women / 200,) * 2, abs=1e-12)


def test_labelled_photos_and_screen_time_are_points_too():
    truth = np.tile([0, 1, 1], 100)
    some = collection(truth)
    pairs = Results("photos", some.photos[:150], some.faces.assign(photo=np.arange(300) // 2), [])
    known, local = everything_labelled(pairs, truth)
    found = survey(pairs, local, labelled=known, unit="photos", replicates=100).everyone
    with_women = len(np.unique((np.arange(300) // 2)[truth == 0])) / 150
    with_men = len(np.unique((np.arange(300) // 2)[truth == 1])) / 150
    assert (found.women, found.women_low, found.women_high) == pytest.approx((with_women,) * 3, abs=1e-9)
    assert (found.men, found.men_low, found.men_high) == pytest.approx((with_men,) * 3, abs=1e-9)

    film = Results("videos", some.photos[:1], some.faces.assign(photo=0, face=range(300)), [])
    film.faces["seconds"] = np.where(truth == 0, 5.0, 1.0)
    known, local = everything_labelled(film, truth)
    found = survey(film, local, labelled=known, replicates=100).everyone
    assert found.interval == "this film alone"
    assert (found.women_low, found.women_high) == pytest.approx((500 / 700,) * 2)


def test_the_more_is_labelled_the_narrower_for_these_photos():
    truth = np.tile([0, 1, 1, 0, 1], 200)
    some, widths = collection(truth), []
    for share in (0.2, 0.5, 0.8, 0.95):
        known, local = everything_labelled(some, truth, share)
        found = survey(some, local, labelled=known, target="these", replicates=300).everyone
        assert found.women_low <= 0.4 <= found.women_high
        widths.append(found.women_high - found.women_low)
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.25 * widths[0]
    known, local = everything_labelled(some, truth, 0.8)
    beyond = survey(some, local, labelled=known, target="beyond", replicates=300).everyone
    assert beyond.interval == "photos like these"
    assert beyond.women_high - beyond.women_low > 2 * widths[2]


def test_few_labels_leave_the_question_open_for_others():
    truth = np.tile([0, 1], 300)
    some = collection(truth)
    known, local = everything_labelled(some, truth, 0.49)
    assert survey(some, local, labelled=known, replicates=100).target == "beyond"


def test_a_complete_group_is_a_point_beside_an_open_one():
    truth = np.tile([0, 1], 300)
    some = collection(truth, part=["a"] * 300 + ["b"] * 300)
    rows = np.arange(400)
    known = Labelled(rows, truth[rows], np.ones(400), (0, 0), 0)
    local = local_rates(some, known, source="labels", command="pytest")
    a, b = survey(some, local, labelled=known, group_by=["part"], replicates=200).groups
    assert (a.women_low, a.women_high) == pytest.approx((0.5, 0.5))
    assert b.women_low < 0.5 < b.women_high


def test_a_sample_is_never_surveyed_alone():
    truth = np.tile([0, 1], 100)
    some = collection(truth, weight=10.0)
    known, local = everything_labelled(some, truth)
    assert survey(some, local, labelled=known, replicates=100).target == "beyond"
    with pytest.raises(InputError, match="of a sample"):
        survey(some, local, labelled=known, target="these", replicates=100)


def test_intervals_from_labels_hold_what_they_promise():
    """40 collections of 600, 150 labels each, two thirds of them of uncertain faces."""
    held = 0
    for number in range(40):
        rng = np.random.default_rng(number)
        truth = (rng.random(600) > 0.2).astype(int)
        some = collection(truth, seed=2000 + number)
        unsure = ((some.faces["p_male"] > 0.2) & (some.faces["p_male"] < 0.8)).to_numpy()
        rows, weights = [], []
        for stratum, most in ((unsure, 100), (~unsure, 50)):
            there = np.flatnonzero(stratum)
            sample = rng.permutation(there)[:most].tolist()
            rows += sample
            weights += [len(there) / len(sample)] * len(sample)
        known = Labelled(np.array(rows), truth[rows], np.array(weights), (0, 0), 0)
        local = local_rates(some, known, source="labels", command="pytest")
        found = survey(some, local, labelled=known, replicates=200).everyone
        held += found.women_low <= 0.2 <= found.women_high
    assert held >= 35


def test_runs_of_videos_draw_no_sample(rates):
    some = replace(
        videos(12, 40), runs=[{"model": {"name": "tiny", "sha256": "ab" * 32}}]
    )  # as `facegender predict` writes of videos
    assert survey(some, rates, replicates=100).population is None


def test_the_method_names_the_version_that_made_the_results(rates):
    some = replace(videos(12, 40), runs=[{"version": "0.1.2"}, {"version": "0.1.1"}, {"version": "0.1.2"}])
    assert "with facegender 0.1.1, 0.1.2." in method_text(survey(some, rates, replicates=100))[0]


def test_the_method_of_these_photos_without_labels_says_what_is_assumed(rates):
    found = survey(videos(12, 40), rates, replicates=100, target="these")
    text = " ".join(method_text(found))
    assert "labelled faces count as known" not in text
    assert "assume that the classifier errs" in text


def test_rates_of_another_model_are_refused(rates):
    some = replace(collection(np.tile([0, 1], 50)), runs=[{"model": {"name": "other", "sha256": "cd" * 32}}])
    with pytest.raises(InputError, match=r"error rates are of tiny \(abababab\), the results of other \(cdcdcdcd\)"):
        survey(some, rates)
    survey(some, replace(rates, sha256=""), replicates=100)


def test_rates_from_labels_of_other_photos_are_no_labels_of_these():
    truth = np.tile([0, 1], 150)
    some = collection(truth)
    known, local = everything_labelled(some, truth, 0.3)
    local = replace(local, detector="ef" * 32)
    other = replace(collection(truth, seed=4), runs=[{"detector": {"sha256": "01" * 32}}])
    mine, found = survey(some, local, labelled=known, replicates=100), survey(other, local, replicates=100)
    assert (mine.local, found.local) == (True, False)
    for text in ("labels of other photos (labels)", "another face detector"):
        assert any(text in warning for warning in found.warnings)
        assert not any(text in warning for warning in mine.warnings)
    method = " ".join(method_text(found))
    assert "estimated from hand labels of other photos (labels)" in method
    assert "assume that the classifier errs" in method
    assert "of the collection were labelled" not in method
    assert "90 faces of the collection were labelled" in " ".join(method_text(mine))


@pytest.mark.parametrize(
    ("command", "count", "limited"),
    [
        ("facegender predict photos --limit 50 -o a.jsonl", 50, True),
        ("facegender predict photos --limit=50", None, True),
        ("facegender predict photos --limit 51", 50, False),  # there were no more
        ("facegender predict photos --time-limit 50", 50, False),
        ("facegender predict x--limit 50", 50, False),
    ],
)
def test_the_first_photos_are_no_sample(rates, command, count, limited):
    run = {"command": command, "photos": count}
    some = replace(collection(np.tile([0, 1], 50)), runs=[run], copies=1)
    first = survey(some, rates, replicates=100).warnings[0]
    assert first.startswith("The results are of the first photos alone (--limit)") == limited


def test_a_run_says_whether_its_limit_left_photos_out():
    some = collection(np.tile([0, 1], 50))
    command = "facegender predict photos --limit 50"
    runs = [{"command": command, "photos": photos, "limited": said} for photos, said in ((50, False), (90, False))]
    assert not replace(some, runs=runs).limited
    assert replace(some, runs=[*runs, {"command": command, "photos": 20, "limited": True}]).limited


def test_imputed_masses_are_right_on_average():
    rng = np.random.default_rng(0)
    one = np.ones(100_000)
    assert imputed(one, one, np.full(100_000, 0.02), rng).mean() == pytest.approx(0.02, abs=0.002)
    # 40 seconds of four equal tracks.
    drawn = imputed(np.full(100_000, 40.0), np.full(100_000, 400.0), np.full(100_000, 0.3), rng)
    assert set(drawn) == {0.0, 10.0, 20.0, 30.0, 40.0}
    assert drawn.mean() == pytest.approx(12, abs=0.1)
    assert imputed(np.zeros(2), np.zeros(2), np.full(2, 0.5), rng).tolist() == [0, 0]


def test_intervals_of_these_photos_of_several_people_hold_what_they_promise(rates):
    """40 collections of 300 photos of five people, one in fifty of them a woman."""
    held = {"women": 0, "men": 0}
    for number in range(40):
        genders = (np.random.default_rng(number).random(1500) > 0.02).astype(int)
        some = collection(genders, seed=3000 + number)
        some = Results("photos", some.photos[:300], some.faces.assign(photo=np.arange(1500) // 5), [])
        found = survey(some, rates, unit="photos", target="these", replicates=100).everyone
        shown = genders.reshape(300, 5)
        held["women"] += found.women_low <= (shown == 0).any(axis=1).mean() <= found.women_high
        held["men"] += found.men_low <= (shown == 1).any(axis=1).mean() <= found.men_high
    assert min(held.values()) >= 35


@pytest.mark.parametrize(("largest", "people", "said"), [(True, 2, True), (True, 1, False), (False, 2, False)])
def test_labels_of_the_largest_faces_say_nothing_of_the_others(largest, people, said):
    truth = np.tile([0, 1], 150)
    some = collection(truth)
    photo_of = np.arange(300) // people
    some = Results(
        "photos", some.photos[: 300 // people], some.faces.assign(photo=photo_of, face=np.arange(300) % people), []
    )
    rows = np.flatnonzero(np.diff(photo_of, prepend=-1))[:100]
    rows[::2] += people - 1  # of either gender
    known = Labelled(rows, truth[rows], np.ones(len(rows)), (0, 0), 0, largest=largest)
    found = survey(some, local_rates(some, known, source="", command=""), labelled=known, replicates=100)
    words = "The labels are of the largest face of each photo; 150 other faces are counted with the same errors"
    assert any(warning.startswith(words) for warning in found.warnings) == said


def test_the_method_counts_each_photo_of_a_set_once(rates):
    sets = []
    for name in ("one", "two"):
        for part, version in enumerate(("colour", "gray"), 1):
            sets.append(SetCounts(name, version, rates.female // part, rates.male // part))
    found = survey(collection(np.tile([0, 1], 50)), replace(rates, sets=tuple(sets)), replicates=100)
    text = method_text(found)[1]
    assert "from photos of 4,000 women's and 4,000 men's faces in 2 labelled sets (one, two)" in text
    assert "each photo in the versions colour, gray" in text


def test_the_method_says_how_often_faces_were_found_where_that_is_known(rates):
    some = collection(np.tile([0, 1], 50))
    assert "the face was detected" not in method_text(survey(some, rates, replicates=100))[3]
    known = replace(rates, not_found=(500, 0))
    words = "the face was detected in 80.0 % of the photos of women and 100.0 % of those of men (made faces)."
    assert words in method_text(survey(some, known, replicates=100))[3]


def test_groups_with_labels_have_error_rates_of_their_own():
    """Two groups of the same share, in one of which everybody looks more like a man to the classifier."""
    rng = np.random.default_rng(0)
    truth = np.concatenate([rng.permutation(np.repeat([0, 1], [400, 600])) for _ in range(2)] + [np.tile([0, 1], 50)])
    part = np.repeat(["a", "b", "c"], [1000, 1000, 100])
    some = collection(truth, part=part)
    some.faces.loc[part == "b", "p_male"] **= 0.4
    labelled = {"a": 200, "b": 200, "c": 10}
    rows = np.concatenate([rng.permutation(np.flatnonzero(part == name))[:n] for name, n in labelled.items()])
    known = Labelled(rows, truth[rows], np.ones(len(rows)), (0, 0), 0)
    local = local_rates(some, known, source="labels", command="pytest")
    found = survey(some, local, labelled=known, group_by=["part"], replicates=200)
    assert found.own == ["a", "b"]
    for row in found.groups[:2]:
        assert row.women == pytest.approx(0.4, abs=0.06)
        assert row.women_low < 0.4 < row.women_high
    a, b, _ = survey(some, local, group_by=["part"], replicates=100).groups
    assert a.women - b.women > 0.2  # out of nothing, with the error rates of both
    (warning,) = [text for text in found.warnings if text.startswith("These groups have fewer than 50 labels")]
    assert warning.endswith(": c.")
    assert "error rates of their own labels (a, b); the others" in method_text(found)[1]


@pytest.mark.parametrize(
    ("again", "note", "method"),
    [
        (frozenset(), "each content counts once, in the group of its first name.", "left out, so that each content"),
        (
            frozenset(["3.jpg"]),
            "each of them counts, and",
            "1 file with the content of another under another name was counted too.",
        ),
    ],
)
def test_what_is_said_of_copies(rates, again, note, method):
    some = replace(collection(np.tile([0, 1], 50)), copies=1, again=again)
    found = survey(some, rates, replicates=100)
    assert note in found.warnings[0]
    assert method in method_text(found)[0]


def test_metadata_found_by_name_alone_is_said(rates):
    some = replace(collection(np.tile([0, 1], 50)), across_folders=3)
    words = "3 photos took the metadata of the row with the same file name"
    assert any(text.startswith(words) for text in survey(some, rates, replicates=100).warnings)


def test_a_group_of_photos_without_faces_shows_nobody(rates):
    """Of photos, their share is 0 and not unknown; of faces there is none."""
    some = collection(np.tile([0, 1], 60), part=["a"] * 60 + ["b"] * 60)
    some = Results("photos", some.photos, some.faces[:60], [])
    for target, high in (("beyond", 0.01), ("these", 0.0)):
        row = survey(some, rates, unit="photos", group_by=["part"], replicates=200, target=target).groups[1]
        assert (row.photos, row.faceless, row.faces) == (60, 60, 0)
        assert (row.women, row.women_low, row.men, row.plain_men) == (0, 0, 0, 0)
        assert high <= row.women_high < 0.12
        assert row.fit_p is None
    assert survey(some, rates, group_by=["part"], replicates=100).groups[1].women is None


def test_intervals_of_these_photos_contain_their_share(rates):
    """Where few faces were measured, the draws of the error rates need not lie around those of the estimate."""
    few = replace(rates, female=rates.female // 40, male=rates.male // 40)
    for seed in range(3):
        some = collection(np.repeat([0, 1], [1, 99]), seed=seed)
        row = survey(some, few, target="these", replicates=100, level=0.5).everyone
        assert row.women_low <= row.women <= row.women_high
        assert row.men_low <= row.men <= row.men_high


def test_a_sample_is_not_told_to_be_surveyed_alone(rates):
    some = videos(9, 10)
    told = survey(some, rates, replicates=100).warnings
    assert any("pass --target these" in text for text in told)
    some.photos["weight"] = 3.0
    assert not any("--target these" in text for text in survey(some, rates, replicates=100).warnings)


def test_tracks_are_called_so(rates):
    text = method_text(survey(videos(12, 20), rates, unit="faces", replicates=100))[0]
    assert "Each face was followed from frame to frame as a track." in text
    assert "We analysed the 240 tracks" in text
    assert "The unit of analysis is the track." in text


def test_two_detectors_that_measured_the_rates_are_no_other_detector(rates):
    runs = [{"detector": {"sha256": digest}} for digest in ("aa", "bb")]
    some = replace(collection(np.tile([0, 1], 50)), runs=runs)
    for detector, said in (("aa,bb", False), ("aa", True)):
        found = survey(some, replace(rates, detector=detector), replicates=100)
        assert any("another face detector" in text for text in found.warnings) == said


@pytest.mark.parametrize("names", [[("one", "colour")], [("one", "colour"), ("other", "gray")]])
def test_rates_of_one_set_are_refused(rates, names):
    sets = tuple(SetCounts(*name, rates.female, rates.male) for name in names)
    with pytest.raises(InputError, match="how much sets differ"):
        survey(collection(np.tile([0, 1], 50)), replace(rates, sets=sets), replicates=100)
