"""Threads: how many read, decompress and score, and what becomes of the memory that they free.

All processors that the process may run on are used; the environment variable ``HEPNN_THREADS`` sets another number, as
does ``OMP_NUM_THREADS``, which batch systems and the workers of Dask set.
"""

from __future__ import annotations

import os

import numpy as np

from hepnn.errors import InputError

__all__ = ["default_threads", "keep_freed_memory"]

_VARIABLES = ("HEPNN_THREADS", "OMP_NUM_THREADS")

_LARGEST = 32 * 2**20 - 2**16
"""Bytes of about the largest block that glibc learns from: DEFAULT_MMAP_THRESHOLD_MAX, mallopt(3)."""


def default_threads() -> int:
    """Returns the number of threads to use.

    Raises:
        InputError: ``HEPNN_THREADS`` or ``OMP_NUM_THREADS`` is no whole number from 1 on.
    """
    for name in _VARIABLES:
        # OpenMP takes a number for each level of nesting; the first is that of the outermost
        if text := os.environ.get(name, "").partition(",")[0].strip():
            if not text.isdecimal() or int(text) < 1:
                raise InputError(f"asked for {name}={text}; it takes a whole number from 1 on.")
            return int(text)
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def keep_freed_memory() -> None:
    """Has glibc keep what is freed for what comes next; without it, fresh memory takes a twentieth of reading's time.

    From a large block that is freed, glibc learns to take no such block from the system by itself, and to give memory
    back only where twice as much is free at an end: M_MMAP_THRESHOLD in mallopt(3). The block is never filled. Other
    systems have rules of their own.
    """
    np.empty(_LARGEST, np.uint8)
