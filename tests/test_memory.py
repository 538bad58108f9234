"""Memory that is kept between steps, seen from outside: how many pages a process had to take anew."""

from __future__ import annotations

import resource
import subprocess
import sys
import threading

import pytest

from acclimate import memory

BUFFERS = """
import resource, numpy
from acclimate import memory
def faults(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        numpy.ones(64 << 20, dtype=numpy.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults(2)
outside = faults(5)
with memory.kept(), memory.kept():
    faults(2)
    inside = faults(5)
print(outside, inside, faults(5))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems keep buffers by themselves")
def test_buffers_are_not_made_anew_inside_the_block(monkeypatch):
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    monkeypatch.setenv("NUMPY_MADVISE_HUGEPAGE", "0")
    pages = (64 << 20) // resource.getpagesize()
    done = subprocess.run([sys.executable, "-c", BUFFERS], capture_output=True, text=True, check=True)
    outside, inside, after = map(int, done.stdout.split())
    if outside < pages:
        pytest.skip("this C library keeps large buffers, or pages are huge")
    assert inside < pages / 100
    assert after >= pages, "afterwards everything is as before"


def test_blocks_may_overlap_in_threads():
    begun, end = threading.Event(), threading.Event()

    def hold() -> None:
        with memory.kept():
            begun.set()
            end.wait(10)

    thread = threading.Thread(target=hold)
    with memory.kept():
        thread.start()
        assert begun.wait(10)
    assert memory._inside == 1
    end.set()
    thread.join()
    assert memory._inside == 0
