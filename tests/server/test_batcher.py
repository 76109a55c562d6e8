import contextlib
import threading

import pytest

from facegender.server.batcher import Batcher, BatcherClosedError


class Gate:
    """A worker that begins a batch when it is let, and doubles each task."""

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
def batcher_of(gate, workers=1, max_batch=4):
    batches, failures = [], []

    def on_batch(waited, seconds):
        assert min(*waited, seconds, 1) >= 0
        batches.append(len(waited))

    batcher = Batcher(gate.open, workers, max_batch, lambda task: 0, on_batch, failures.append)
    batcher.start()
    try:
        yield batcher, batches
    finally:
        gate.let.release(100)
        assert batcher.close(10)
        assert not failures


def test_a_worker_takes_whatever_waits():
    gate = Gate()
    with batcher_of(gate) as (batcher, batches):
        first = batcher.submit([1])
        assert gate.begun.acquire(timeout=10)
        others = [batcher.submit([2, 3]), batcher.submit([4]), batcher.submit([5, 6, 7])]
        assert batcher.queued == 6
        gate.let.release(3)
        assert first.result(10) == [2]
        assert [future.result(10) for future in others] == [[4, 6], [8], [10, 12, 14]]
        assert batcher.queued == batcher.expected_wait == 0
        assert batches == [1, 4, 2]


def test_idle_workers_share_what_comes():
    gate = Gate()
    with batcher_of(gate, workers=2) as (batcher, batches):
        assert gate.opened.acquire(timeout=10)
        assert gate.opened.acquire(timeout=10)
        while batcher.idle < 2:
            pass
        future = batcher.submit([1, 2, 3, 4])
        assert gate.begun.acquire(timeout=10)
        assert gate.begun.acquire(timeout=10)
        gate.let.release(2)
        assert future.result(10) == [2, 4, 6, 8]
        assert sorted(batches) == [2, 2]


def test_what_nobody_waits_for_is_not_worked_on():
    gate = Gate()
    with batcher_of(gate) as (batcher, batches):
        first = batcher.submit([1])
        assert gate.begun.acquire(timeout=10)
        dropped, kept = batcher.submit([2, 3]), batcher.submit([4])
        batcher.cancel(dropped)
        batcher.cancel(first)  # it is too late for that one
        assert batcher.queued == 1
        gate.let.release(2)
        assert kept.result(10) == [8]
        assert dropped.cancelled()
        assert first.cancelled()
        assert batches == [1, 1]


def test_expected_wait_comes_from_what_was_done():
    gate = Gate()
    with batcher_of(gate) as (batcher, _):
        gate.let.release(1)
        batcher.submit([1]).result(10)
        assert batcher.expected_wait == 0
        batcher.submit([1])
        one = batcher.expected_wait
        assert one > 0
        batcher.submit([1, 2, 3])
        assert batcher.expected_wait == pytest.approx(4 * one)


def test_a_worker_that_fails_costs_its_batch_and_is_opened_again():
    gate = Gate()
    with batcher_of(gate) as (batcher, _):
        bad = batcher.submit([1, None])
        assert gate.begun.acquire(timeout=10)
        good = batcher.submit([3])
        gate.let.release(2)
        with pytest.raises(ValueError, match="nothing"):
            bad.result(10)
        assert good.result(10) == [6]
        assert batcher.ready == 1


class Counting(Gate):
    """A worker that gives as many results as it is asked for."""

    def __init__(self, results):
        super().__init__()
        self.results = results

    def work(self, tasks):
        return super().work(tasks)[: self.results.pop(0)]


@pytest.mark.parametrize("results", [0, 1, 2])
def test_a_worker_that_gives_too_few_results_leaves_no_request_waiting(results):
    gate = Counting([1, results, 4])
    with batcher_of(gate) as (batcher, batches):
        first = batcher.submit([1])
        assert gate.begun.acquire(timeout=10)
        requests = [batcher.submit([1, 2]), batcher.submit([3])]
        gate.let.release(2)
        assert first.result(10) == [2]
        for request in requests:
            with pytest.raises(ValueError, match=f"{results} results for 3 tasks"):
                request.result(10)
        gate.let.release(1)
        assert batcher.submit([4]).result(10) == [8]
        assert batches == [1, 1]


def test_a_batch_whose_counting_fails_leaves_no_request_waiting():
    gate, calls = Gate(), []

    def on_batch(waited, seconds):
        calls.append(waited)
        if len(calls) == 1:
            raise OSError("no place for the count")

    batcher = Batcher(gate.open, 1, 4, lambda task: 0, on_batch, [].append)
    batcher.start()
    gate.let.release(2)
    with pytest.raises(OSError, match="count"):
        batcher.submit([1]).result(10)
    assert batcher.submit([2]).result(10) == [4]
    assert batcher.close(10)


def test_nobody_waits_for_a_worker_that_cannot_be_opened_again(monkeypatch):
    monkeypatch.setattr("facegender.server.batcher._REOPEN_DELAY", 0.01)
    gate = Gate()
    broken = threading.Event()

    @contextlib.contextmanager
    def open_worker():
        if broken.is_set():
            raise OSError("no room")
        with gate.open() as work:
            yield work

    batcher = Batcher(open_worker, 1, 4, lambda task: 0, lambda *_: None, [].append)
    batcher.start()
    bad = batcher.submit([None])
    assert gate.begun.acquire(timeout=10)
    waiting = batcher.submit([1])
    broken.set()
    gate.let.release(2)
    with pytest.raises(ValueError, match="nothing"):
        bad.result(10)
    with pytest.raises(OSError, match="no room"):
        waiting.result(10)
    broken.clear()
    assert gate.opened.acquire(timeout=10)
    assert gate.opened.acquire(timeout=10)
    assert batcher.submit([2]).result(10) == [4]
    assert batcher.close(10)


def test_a_closed_batcher_says_so():
    gate = Gate()
    with batcher_of(gate) as (batcher, _):
        running = batcher.submit([1])
        assert gate.begun.acquire(timeout=10)
        waiting = batcher.submit([2])
        batcher.abort()
        for future in (running, waiting):
            with pytest.raises(BatcherClosedError):
                future.result(10)
        with pytest.raises(BatcherClosedError):
            batcher.submit([3])
        assert batcher.aborted


def test_workers_that_cannot_be_opened_say_why():
    failures = []

    @contextlib.contextmanager
    def refuse():
        raise OSError("no room")
        yield

    batcher = Batcher(refuse, 2, 4, lambda task: 0, lambda *_: None, failures.append)
    batcher.start()
    assert batcher.close(10)
    assert [str(error) for error in failures] == ["no room"] * 2
    assert batcher.ready == 0
