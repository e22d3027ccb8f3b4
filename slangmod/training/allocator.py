"""Memory that training has given back stays with the process, in large pages.

The allocator of the GNU C library maps each large block by itself, and gives the end of
its heap back to the system as soon as much of it is free. A training step takes and
frees the same blocks as the one before, so the system clears the same pages again and
again: 37 thousand of them in a step of a model of 6 million weights, a fifth of its
time. Told to keep them (mallopt(3): M_MMAP_MAX, M_TRIM_THRESHOLD), it takes them once.
A heap that is one stretch of addresses from the start can have pages of 2 MiB instead
of 4 KiB (madvise(2): MADV_HUGEPAGE), which makes finding them in memory cheaper.
"""

import ctypes
import os
import resource
import sys
from functools import lru_cache
from typing import Any, Final

import torch

M_TRIM_THRESHOLD: Final = -1
M_MMAP_MAX: Final = -4
MADV_HUGEPAGE: Final = 14
"""As <malloc.h> and <asm-generic/mman-common.h> number them."""

NEVER: Final = -1
"""The threshold that is never passed, by the manual of mallopt."""

LARGE_PAGE: Final = 2 << 20
"""Bytes."""

SHARE: Final = 2
"""What part of the machine's memory, one over it, the heap gets addresses for."""


def keeps_memory(device: torch.device) -> bool:
    """Whether training on ``device`` keeps its memory: on CPUs, where that is GNU's."""
    return device.type == "cpu" and gnu_library() is not None


def keep_memory(device: torch.device) -> None:
    """Keep what is freed from now on, where that is possible.

    It holds for the whole process, and until it ends. No memory is taken by it: pages
    come when they are first written to, as ever. The most that training has from the
    system may be more or less, since blocks lie elsewhere (``training/heap.py``).
    """
    if keeps_memory(device):
        keep_for_good()


@lru_cache
def keep_for_good() -> None:
    """Tell the allocator, once."""
    library = gnu_library()
    library.mallopt(M_MMAP_MAX, 0)
    library.mallopt(M_TRIM_THRESHOLD, NEVER)
    if not limited():
        ask_for_large_pages(library)


def give_back_memory() -> None:
    """Let the system have all pages that are free, also between blocks in use."""
    library = gnu_library()
    if library is not None:
        library.malloc_trim(0)


def gnu_library() -> Any:
    """The C library of this process; None where it is another one than GNU's."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return None
    library.malloc.restype = library.sbrk.restype = ctypes.c_void_p
    library.malloc.argtypes = [ctypes.c_size_t]
    library.free.argtypes = [ctypes.c_void_p]
    library.sbrk.argtypes = [ctypes.c_ssize_t]
    library.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return library


def limited() -> bool:
    """Whether addresses are scarce: those that the heap gets, others could need."""
    limits = (resource.RLIMIT_AS, resource.RLIMIT_DATA)
    return any(resource.getrlimit(one)[0] != resource.RLIM_INFINITY for one in limits)


def ask_for_large_pages(library: Any) -> None:
    """Give the heap all addresses that it will need, and ask for large pages there.

    A heap that grows later would have small ones. Where the block does not come from
    the heap, because another allocator is in use, nothing is asked for.
    """
    size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // SHARE
    block = library.malloc(size)
    if not block:
        return
    first = -(-block // LARGE_PAGE) * LARGE_PAGE
    last = (block + size) // LARGE_PAGE * LARGE_PAGE
    if block < library.sbrk(0) <= block + size + LARGE_PAGE and first < last:
        library.madvise(first, last - first, MADV_HUGEPAGE)
    library.free(block)
