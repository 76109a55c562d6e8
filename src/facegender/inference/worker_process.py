"""A worker process: how it is started, and what it does until its pipe is closed.

This module imports no numerical library: in a new process, the number of threads is set before those are loaded.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from queue import SimpleQueue
from types import ModuleType
from typing import Any

#: Of OpenMP and of the libraries below NumPy, which read them when they are loaded.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
#: Packages whose threads, or those that they start, do not survive a fork.
_THREADED_PACKAGES = frozenset({"onnxruntime", "openvino", "pyarrow", "ray", "torch", "av"})
#: How a process starts that cannot be a fork of this one.
SPAWN = multiprocessing.get_context("spawn")
#: Starting a process changes state of this one for a moment.
_start_lock = threading.Lock()


def start(make_handler: bytes, threads: int | None) -> tuple[BaseProcess, Connection]:
    """Start a process that handles tasks.

    Args:
        make_handler: a pickled `facegender.inference.workers.MakeHandler`.

    Returns:
        The process and a pipe. The process sends None when it is ready, takes lists of tasks, and sends for each, in
        order, the results or the exception that ends it.
    """
    fork = threads is None and _can_fork()
    context = multiprocessing.get_context("fork") if fork else SPAWN
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, make_handler, threads, fork), daemon=True)
    with _start_conditions(import_main=b"__main__" in make_handler):
        process.start()
    theirs.close()
    return process, ours


def _can_fork() -> bool:
    """Whether a fork of this process would work; it has everything imported, which saves the start of Python."""
    alone = threading.active_count() == 1 and _THREADED_PACKAGES.isdisjoint(sys.modules)
    return sys.platform == "linux" and alone


@contextmanager
def _start_conditions(*, import_main: bool) -> Iterator[None]:
    """What holds while a process is started.

    Args:
        import_main: the process needs the program's main module. Otherwise that is hidden from it: importing it costs
            time, and a script without ``if __name__ == "__main__"`` would start itself again.
    """
    with _start_lock, ExitStack() as stack:
        if not import_main:
            stack.callback(sys.modules.__setitem__, "__main__", sys.modules["__main__"])
            sys.modules["__main__"] = ModuleType("__main__")
        stack.enter_context(warnings.catch_warnings(action="ignore", category=DeprecationWarning))  # on forks
        if threading.current_thread() is threading.main_thread():
            # Ctrl-C reaches all processes of a terminal; this one decides, also while the new one imports.
            stack.callback(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, signal.SIG_IGN))
        yield


def _serve(pipe: Connection, make_handler: bytes, threads: int | None, forked: bool) -> None:
    """Handle tasks until the pipe is closed, also by the end of the main process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process decides
    if forked:
        _close_other_files(pipe)
    if threads is not None:
        os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))
        import cv2

        cv2.setNumThreads(threads)
    requests: SimpleQueue[list[Any]] = SimpleQueue()
    with suppress(OSError):
        try:
            handler = pickle.loads(make_handler)(threads=threads)
            gc.freeze()  # the collector need not visit what was imported
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # image libraries write to the terminal by themselves
            pipe.send(None)
            # The main process must never wait for this one to read: both might wait for each other.
            threading.Thread(target=_receive, args=(pipe, requests), daemon=True).start()
            while True:
                pipe.send(handler(requests.get()))
        except Exception as error:
            pipe.send(error)


def _close_other_files(pipe: Connection) -> None:
    """Close the files of the process that this one was forked from; its end of the pipe is among them."""
    own = pipe.fileno()
    for each in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208 (names are enough)
        if each > 2 and each != own:
            with suppress(OSError):
                os.close(each)


def _receive(pipe: Connection, requests: SimpleQueue[list[Any]]) -> None:
    """Queue what the main process sends. When that is gone, this process ends at once."""
    with suppress(EOFError, OSError):
        while True:
            requests.put(pipe.recv())
    os._exit(0)
