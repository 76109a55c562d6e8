import contextlib
import threading

import pytest

from facegender.server.lanes import Lanes, LanesClosedError


class Watch:
    """Notes the sizes of batches."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def batch(self, tasks, waited, seconds):
        assert len(waited) == tasks
        assert min(*waited, seconds, 1) >= 0
        self.batches.append(tasks)


class Gate:
    """A lane that begins a batch when it is let, and doubles each task."""

    def __init__(self) -> None:
        self.begun, self.let = threading.Semaphore(0), threading.Semaphore(0)
        self.opened = threading.Semaphore(0)

    @contextlib.contextmanager
    def open(self):
        self.opened.release()
        yield self.work

    def work(self, tasks):
        self.begun.release()
        assert self.let.acquire(timeout=10)
        if None in tasks:
            raise ValueError("nothing to double")
        return [2 * task for task in tasks]


@contextlib.contextmanager
def lanes_of(gate, count=1, chunk=4):
    watch, failures = Watch(), []
    lanes = Lanes(gate.open, count, chunk, lambda task: 0, watch, failures.append)
    lanes.start()
    try:
        yield lanes, watch.batches
    finally:
        gate.let.release(100)
        assert lanes.close(10)
        assert not failures


def test_a_lane_takes_whatever_waits():
    gate = Gate()
    with lanes_of(gate) as (lanes, batches):
        first = lanes.submit([1])
        assert gate.begun.acquire(timeout=10)
        others = [lanes.submit([2, 3]), lanes.submit([4]), lanes.submit([5, 6, 7])]
        assert lanes.waiting == 6
        gate.let.release(3)
        assert first.future.result(10) == [2]
        assert [ticket.future.result(10) for ticket in others] == [[4, 6], [8], [10, 12, 14]]
        assert lanes.waiting == lanes.expected_wait == 0
        assert batches == [1, 4, 2]


def test_idle_lanes_share_what_comes():
    gate = Gate()
    with lanes_of(gate, count=2) as (lanes, batches):
        assert gate.opened.acquire(timeout=10)
        assert gate.opened.acquire(timeout=10)
        while lanes.idle < 2:
            pass
        ticket = lanes.submit([1, 2, 3, 4])
        assert gate.begun.acquire(timeout=10)
        assert gate.begun.acquire(timeout=10)
        gate.let.release(2)
        assert ticket.future.result(10) == [2, 4, 6, 8]
        assert sorted(batches) == [2, 2]


def test_what_nobody_waits_for_is_not_worked_on():
    gate = Gate()
    with lanes_of(gate) as (lanes, batches):
        first = lanes.submit([1])
        assert gate.begun.acquire(timeout=10)
        dropped, kept = lanes.submit([2, 3]), lanes.submit([4])
        lanes.drop(dropped)
        lanes.drop(first)  # it is too late for that one
        assert lanes.waiting == 1
        gate.let.release(2)
        assert kept.future.result(10) == [8]
        assert dropped.future.cancelled()
        assert first.future.cancelled()
        assert batches == [1, 1]


def test_expected_wait_comes_from_what_was_done():
    gate = Gate()
    with lanes_of(gate) as (lanes, _):
        gate.let.release(1)
        lanes.submit([1]).future.result(10)
        assert lanes.expected_wait == 0
        lanes.submit([1])
        one = lanes.expected_wait
        assert one > 0
        lanes.submit([1, 2, 3])
        assert lanes.expected_wait == pytest.approx(4 * one)


def test_a_lane_that_fails_costs_its_batch_and_is_opened_again():
    gate = Gate()
    with lanes_of(gate) as (lanes, _):
        bad = lanes.submit([1, None])
        assert gate.begun.acquire(timeout=10)
        good = lanes.submit([3])
        gate.let.release(2)
        with pytest.raises(ValueError, match="nothing"):
            bad.future.result(10)
        assert good.future.result(10) == [6]
        assert lanes.open == 1


def test_nobody_waits_for_a_lane_that_cannot_be_opened_again(monkeypatch):
    monkeypatch.setattr("facegender.server.lanes._PAUSE", 0.01)
    gate = Gate()
    broken = threading.Event()

    @contextlib.contextmanager
    def open_lane():
        if broken.is_set():
            raise OSError("no room")
        with gate.open() as work:
            yield work

    lanes = Lanes(open_lane, 1, 4, lambda task: 0, Watch(), [].append)
    lanes.start()
    bad = lanes.submit([None])
    assert gate.begun.acquire(timeout=10)
    waiting = lanes.submit([1])
    broken.set()
    gate.let.release(2)
    with pytest.raises(ValueError, match="nothing"):
        bad.future.result(10)
    with pytest.raises(OSError, match="no room"):
        waiting.future.result(10)
    broken.clear()
    assert gate.opened.acquire(timeout=10)
    assert gate.opened.acquire(timeout=10)
    assert lanes.submit([2]).future.result(10) == [4]
    assert lanes.close(10)


def test_closed_lanes_say_so():
    gate = Gate()
    with lanes_of(gate) as (lanes, _):
        at_work = lanes.submit([1])
        assert gate.begun.acquire(timeout=10)
        waiting = lanes.submit([2])
        lanes.give_up()
        for ticket in (at_work, waiting):
            with pytest.raises(LanesClosedError):
                ticket.future.result(10)
        with pytest.raises(LanesClosedError):
            lanes.submit([3])
        assert lanes.gave_up


def test_lanes_that_cannot_be_opened_say_why():
    failures = []

    @contextlib.contextmanager
    def refuse():
        raise OSError("no room")
        yield

    lanes = Lanes(refuse, 2, 4, lambda task: 0, Watch(), failures.append)
    lanes.start()
    assert lanes.close(10)
    assert [str(error) for error in failures] == ["no room"] * 2
    assert lanes.open == 0
