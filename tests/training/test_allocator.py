"""Memory that is freed stays with the process, where the C library is GNU's."""

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from slangmod.training import allocator
from slangmod.training.allocator import keep_memory, keeps_memory

CPU = torch.device("cpu")
LARGE = Path("/sys/kernel/mm/transparent_hugepage/enabled")

pytestmark = pytest.mark.skipif(
    not keeps_memory(CPU), reason="another C library than GNU's"
)

FAULTS = """
import resource, sys, torch
from slangmod.training.allocator import give_back_memory, keep_memory
if "keep" in sys.argv:
    keep_memory(torch.device("cpu"))
def use():
    blocks = [torch.ones(10 << 20), torch.ones(20 << 20)]  # 40 and 80 MiB
use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
"""Prints how many pages the system had to hand out for blocks that were used before."""
PAGES = 3 * 120 * 2**20 // 4096
"""Those of the blocks; where all pages are large, a 512th of it."""


def printed(script: str, *words: str) -> str:
    command = [sys.executable, "-c", script, *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_blocks_that_are_taken_again_need_no_new_pages():
    assert int(printed(FAULTS, "keep")) < PAGES // 50


def test_without_it_they_do():
    always = "[always]" in LARGE.read_text("ascii")
    assert int(printed(FAULTS)) > (PAGES // 600 if always else PAGES // 2)


def test_the_heap_has_large_pages_where_the_system_has_such():
    if "[never]" in LARGE.read_text("ascii"):
        pytest.skip("the system has none")
    script = """
import torch
from slangmod.training.allocator import keep_memory
keep_memory(torch.device("cpu"))
block = torch.ones(64 << 20)
text = open("/proc/self/smaps", encoding="ascii").read()
heaps = text.split("[heap]")[1:]
print(sum(int(one.partition("AnonHugePages:")[2].split()[0]) for one in heaps))
"""
    assert int(printed(script)) > 200 << 10  # KiB, of 256 MiB


def test_all_of_it_can_be_given_back():
    script = FAULTS.replace("    use()\nprint", "    use()\ngive_back_memory()\nprint")
    script += (
        "print(open('/proc/self/status').read().partition('VmRSS:')[2].split()[0])"
    )
    held = script.replace("give_back_memory()\n", "")
    less, more = (int(printed(one, "keep").split()[-1]) for one in (script, held))
    assert more - less > 100 << 10  # KiB


def test_addresses_that_others_could_need_are_left_alone(monkeypatch):
    asked = []
    monkeypatch.setattr(allocator, "ask_for_large_pages", asked.append)
    monkeypatch.setattr(allocator.resource, "getrlimit", lambda _: (2**34, 2**34))
    allocator.keep_for_good.__wrapped__()
    assert not asked


def test_nothing_is_asked_of_a_block_that_another_allocator_gave():
    class Other:
        """Blocks from somewhere else than the heap."""

        def malloc(self, size):
            return 1 << 40

        def sbrk(self, _):
            return 1 << 30

        def madvise(self, *_):
            raise AssertionError("of memory that is not the heap's")

        def free(self, block):
            self.freed = block

    library = Other()
    allocator.ask_for_large_pages(library)
    assert library.freed == 1 << 40


def test_a_heap_that_gets_no_addresses_stays_as_it_is():
    class Full:
        """A library that has no memory; all else would fail."""

        def malloc(self, _):
            return None

    allocator.ask_for_large_pages(Full())


def test_memory_of_a_gpu_and_other_libraries_are_left_to_themselves(monkeypatch):
    assert not keeps_memory(torch.device("cuda"))
    told = []
    monkeypatch.setattr(allocator, "keep_for_good", lambda: told.append(1))
    keep_memory(torch.device("cuda"))
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert not keeps_memory(CPU)
    keep_memory(CPU)
    assert not told
