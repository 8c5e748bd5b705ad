"""Threads: how many read, decompress and score.

All processors that the process may run on are used; the environment variable ``HEPNN_THREADS`` sets another number, as
does ``OMP_NUM_THREADS``, which batch systems and the workers of Dask set.
"""

from __future__ import annotations

import os

from hepnn.errors import InputError

__all__ = ["default_threads"]

_VARIABLES = ("HEPNN_THREADS", "OMP_NUM_THREADS")


def default_threads() -> int:
    """Returns the number of threads to use.

    Raises:
        InputError: ``HEPNN_THREADS`` or ``OMP_NUM_THREADS`` is no whole number from 1 on.
    """
    for name in _VARIABLES:
        if text := os.environ.get(name):
            if not text.isdecimal() or int(text) < 1:
                raise InputError(f"asked for {name}={text}; it takes a whole number from 1 on.")
            return int(text)
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
