"""Decoding without a word on the terminal, and without Pillow's own limit; both are put back afterwards."""

from __future__ import annotations

import ctypes
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import PIL.Image
from PIL import _imaging

_limit_lock = threading.RLock()


@contextmanager
def pillow_limit_off() -> Iterator[int | None]:
    """Suspend Pillow's own pixel limit, and yield it. It belongs to the caller's program; ours holds here."""
    with _limit_lock:
        before = PIL.Image.MAX_IMAGE_PIXELS
        PIL.Image.MAX_IMAGE_PIXELS = None
        try:
            yield before
        finally:
            PIL.Image.MAX_IMAGE_PIXELS = before


class _Decoding:
    """How many threads are decoding, and what the last of them puts back."""

    lock = threading.Lock()
    active = 0
    settings = ExitStack()


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Pillow's remarks on odd files, and those that libtiff writes to the standard error of the process.

    Warning filters and libtiff's handlers belong to the whole process, so with several threads at work only the
    first to come sets them and only the last to go puts them back.
    """
    with _Decoding.lock:
        if _Decoding.active == 0:
            _Decoding.settings = ExitStack()
            _Decoding.settings.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", module=r"PIL(\.|$)")
            for set_handler in _HANDLERS:
                _Decoding.settings.callback(set_handler, set_handler(None))
        _Decoding.active += 1
    try:
        yield
    finally:
        with _Decoding.lock:
            _Decoding.active -= 1
            if _Decoding.active == 0:
                _Decoding.settings.close()


def _handlers() -> list[ctypes._NamedFuncPointer]:
    """What sets the handlers of the libtiff that Pillow is linked with; none where it does not show them (Windows)."""
    names = ("TIFFSetErrorHandler", "TIFFSetWarningHandler")
    try:
        library = ctypes.CDLL(_imaging.__file__)
        found = [getattr(library, name) for name in names]
    except (OSError, AttributeError):
        return []
    for each in found:
        each.argtypes, each.restype = [ctypes.c_void_p], ctypes.c_void_p
    return found


_HANDLERS = _handlers()
