"""Work done ahead of its use."""

import threading

import pytest

from facegender.prefetch import ahead


@pytest.mark.parametrize(("threads", "waiting"), [(1, 0), (1, 1), (1, 3), (4, 8), (4, 1)])
def test_results_come_in_order(threads, waiting):
    assert list(ahead(lambda n: n * n, range(20), threads=threads, waiting=waiting)) == [n * n for n in range(20)]
    assert list(ahead(str, [], threads=threads, waiting=waiting)) == []


def test_the_next_is_begun_before_the_last_is_used():
    begun = [threading.Event() for _ in range(6)]

    def call(number):
        begun[number].set()
        return number

    for number in ahead(call, range(6), waiting=2):
        for following in begun[number : number + 3]:
            assert following.wait(60)


def test_no_more_is_drawn_than_asked_for():
    drawn = []
    results = ahead(str, (drawn.append(n) or n for n in range(100)), waiting=3)
    assert next(results) == "0"
    assert drawn == [0, 1, 2, 3]


def test_what_fails_fails_in_its_place():
    results = ahead(lambda n: 1 // (2 - n), range(5), waiting=4)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_nothing_goes_on_once_nobody_waits():
    before, called = threading.active_count(), []
    results = ahead(called.append, range(50), waiting=10)
    next(results)
    results.close()
    assert threading.active_count() == before
    assert len(called) <= 11
