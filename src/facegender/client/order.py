"""Several calls at once, with what they give in order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from facegender.errors import InputError

T = TypeVar("T")
R = TypeVar("R")


def in_order(call: Callable[[T, threading.Event], R], items: Iterable[T], concurrency: int) -> Iterator[R]:
    """What `call` gives for each item, in order, so many at once; it is also told when nobody waits any more."""
    if concurrency < 1:
        raise InputError(f"at least 1 request at a time is needed, not {concurrency}")

    def run() -> Iterator[R]:
        ended = threading.Event()
        waiting: deque[Future[R]] = deque()
        threads = ThreadPoolExecutor(concurrency)
        try:
            for item in items:
                waiting.append(threads.submit(call, item, ended))
                # One slow answer does not hold up the others at once.
                while waiting and (waiting[0].done() or len(waiting) >= 2 * concurrency):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            ended.set()
            threads.shutdown(cancel_futures=True)

    return run()
