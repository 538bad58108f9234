"""Buffers that are kept between steps.

The C library of Linux gives every large buffer back to the system when it is freed; the next one is then made anew,
page by page. A network on a CPU frees and takes tens of megabytes at every layer, which costs a convolutional one more
time than its arithmetic (benchmarks/features.py).
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4  # malloc.h
_NEVER = -1
_USUAL = ((_MMAP_MAX, 65536), (_MMAP_THRESHOLD, 32 << 20), (_TRIM_THRESHOLD, 64 << 20))
"""Where the library's own thresholds, which grow with what a process frees, end."""
_lock = Lock()
_inside = 0


@contextmanager
def kept() -> Iterator[None]:
    """Inside the block freed memory stays with the process; afterwards what is free goes back to the system.

    Results do not change. Blocks may be nested, and run in several threads. It does nothing where the C library is
    another one, or where the environment tunes it.
    """
    global _inside
    library = _library()
    with _lock:
        _inside += 1
        if library and _inside == 1:
            library.mallopt(_MMAP_MAX, 0)
            library.mallopt(_TRIM_THRESHOLD, _NEVER)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if library and _inside == 0:
                for option, value in _USUAL:
                    library.mallopt(option, value)
                library.malloc_trim(0)


def _library() -> Any:
    tuned = "GLIBC_TUNABLES" in os.environ or any(name.startswith("MALLOC_") for name in os.environ)
    if tuned or not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
