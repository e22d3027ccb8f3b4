"""Memory that is freed stays with the process, where the C library is GNU's."""

import ctypes
import json
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

SCRIPT = """
import json, resource, sys, torch
from slangmod.training.allocator import give_back_memory, keep_memory

def use():
    blocks = [torch.ones(10 << 20), torch.ones(20 << 20)]  # 40 and 80 MiB

def pages():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def entry(file, name):  # in KiB, of all stretches of addresses
    text = open(f"/proc/self/{file}", encoding="ascii").read()
    return sum(int(one.split()[0]) for one in text.split(name)[1:])

if "keep" in sys.argv:
    keep_memory(torch.device("cpu"))
use()
rounds = []
for _ in range(3):
    before = pages()
    use()
    rounds.append(pages() - before)
# The least: a system that is short of memory takes pages away in between.
found = {"pages": min(rounds), "large": entry("smaps", "AnonHugePages:")}
found["held"] = entry("status", "VmRSS:")
give_back_memory()
print(json.dumps({**found, "left": entry("status", "VmRSS:")}))
"""
"""Prints how many pages the system had to hand out for blocks that were used before,
how many KiB are in large pages, and in memory before and after all is given back."""
PAGES = 120 * 2**20 // 4096
"""Those of the blocks; where all pages are large, a 512th of it."""


def found(*words: str) -> dict[str, int]:
    command = [sys.executable, "-c", SCRIPT, *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def kept() -> dict[str, int]:
    return found("keep")


def test_blocks_that_are_taken_again_need_no_new_pages(kept):
    assert kept["pages"] < PAGES // 50


@pytest.mark.slow
def test_without_it_they_do():
    always = "[always]" in LARGE.read_text("ascii")
    assert found()["pages"] > (PAGES // 600 if always else PAGES // 2)


def test_the_heap_has_large_pages_where_the_system_has_such(kept):
    if "[never]" in LARGE.read_text("ascii"):
        pytest.skip("the system has none")
    assert kept["large"] > 90 << 10  # of 120 MiB


def test_all_of_it_can_be_given_back(kept):
    assert kept["held"] - kept["left"] > 90 << 10


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
