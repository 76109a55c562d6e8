"""Work done ahead of its use, in threads."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(
    call: Callable[[T], R],
    items: Iterable[T],
    *,
    threads: int = 1,
    waiting: int = 1,
    eager: bool = False,
    ended: threading.Event | None = None,
) -> Generator[R]:
    """What `call` gives for each item, in their order, computed while the results before it are used.

    Args:
        call: runs in a thread; what it raises is raised here, in its place.
        items: drawn in the thread that iterates.
        threads: calls at the same time.
        waiting: calls begun or queued beyond the one whose result is next.
        eager: give a result as soon as it is there, although fewer calls are waiting.
        ended: set when no more results are taken, for calls that can stop early.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="ahead")
    queue: deque[Future[R]] = deque()
    try:
        for item in items:
            queue.append(pool.submit(call, item))
            while queue and (len(queue) > waiting or (eager and queue[0].done())):
                yield queue.popleft().result()
        while queue:
            yield queue.popleft().result()
    finally:
        if ended is not None:
            ended.set()
        pool.shutdown(cancel_futures=True)
