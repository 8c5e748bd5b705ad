"""Blocks: a generator's work in fixed pieces, done on any number of processes, handed on in order.

The number of jets fixes the blocks, and a block and the user's seed fix the block's random numbers. So the
number of processes changes how long a sample takes, never what is in it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, NamedTuple, TypeVar

import awkward as ak
import numpy as np

from hepnn.errors import HepnnError, InputError, closest

__all__ = [
    "Block",
    "Columns",
    "Progress",
    "blocks_of",
    "blocks_of_columns",
    "chosen_classes",
    "concatenated",
    "in_order",
    "prepared",
]

Columns = dict[str, Any]
"""Branch name to array, one row an entry."""

WAITING_BLOCKS = 2
"""Blocks a process may be ahead of the one that is written: bounds the memory."""

Progress = Callable[[int, int], None]
"""Called with the number of jets done and the number asked for, each time more are done."""

Result = TypeVar("Result")


class Block(NamedTuple):
    """One piece of work: its number, how many jets it makes, and the seed of the whole sample."""

    number: int
    n_jets: int
    seed: int

    def streams(self, n: int) -> list[np.random.SeedSequence]:
        """Returns ``n`` independent seed sequences that belong to this block alone."""
        return np.random.SeedSequence(self.seed, spawn_key=(self.number,)).spawn(n)


def blocks_of(n_jets: int, *, size: int, seed: int, what: str = "jets") -> list[Block]:
    """Returns the blocks of a sample: each of ``size`` jets, but for a smaller last one.

    Args:
        n_jets: of the sample.
        size: jets in a block.
        seed: of the sample.
        what: they are, for messages.

    Raises:
        InputError: a negative number of jets, or a seed that is no whole number from 0 on.

    >>> [block.n_jets for block in blocks_of(25, size=10, seed=1)]
    [10, 10, 5]
    """
    for name, value in ((what, n_jets), ("seed", seed)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
            raise InputError(f"asked to generate with {name}={value!r}; give a whole number from 0 on.")
    starts = range(0, int(n_jets), size)
    return [Block(index, min(size, int(n_jets) - start), int(seed)) for index, start in enumerate(starts)]


def blocks_of_columns(
    n_entries: int, *, size: int, seed: int, make: Callable[[Block], Columns], what: str = "jets"
) -> Iterator[Columns]:
    """Yields the branches block by block; of no entries one block without any, which settles the types.

    Args:
        n_entries: of the sample.
        size: entries in a block.
        seed: of the sample.
        make: makes the branches of one block.
        what: the entries are, for messages.

    Raises:
        InputError: as in `blocks_of`.
    """
    blocks = blocks_of(n_entries, size=size, seed=seed, what=what)
    if not blocks:
        yield {name: array[:0] for name, array in make(Block(0, 1, seed)).items()}
    for block in blocks:
        yield make(block)


def concatenated(blocks: Iterable[Columns]) -> Columns:
    """Returns the branches of all blocks, one after another; at least one block."""
    first, *others = blocks
    if not others:
        return first
    return {
        name: (ak if isinstance(array, ak.Array) else np).concatenate([array, *(block[name] for block in others)])
        for name, array in first.items()
    }


def chosen_classes(classes: Sequence[str] | None, known: Sequence[str], *, what: str) -> list[str]:
    """Returns the names of the classes asked for, without ``label_``.

    Args:
        classes: names, with or without ``label_``; None for all that are known.
        known: all there are.
        what: they are classes of, for messages.

    Raises:
        InputError: a text instead of a list, an unknown class, none, or one twice.
    """
    if isinstance(classes, str):
        raise InputError(f"asked for the classes {classes!r}, a text; give a list: [{classes!r}].")
    names = [name.removeprefix("label_") for name in (known if classes is None else classes)]
    for name in names:
        if name not in known:
            raise InputError(
                f"asked for {what} of the class {name!r}; there is no such class, closest: {closest(name, known)}. "
                f"Choose of {', '.join(known)}."
            )
    if not names or len(set(names)) != len(names):
        raise InputError(f"asked for {what} of the classes {names}; name at least one, and each only once.")
    return names


def in_order(
    function: Callable[[Block], Result], blocks: Sequence[Block], *, processes: int | None = None
) -> Iterator[Result]:
    """Yields ``function(block)`` of every block, in the blocks' order.

    Args:
        function: a module's function, or a `functools.partial` of one: other processes have to find it by
            name.
        blocks: the work.
        processes: how many processes work; None for one a processor core that this process may use. With 1
            the work is done in this very process.

    Raises:
        InputError: fewer than one process.
        HepnnError: a worker process died, or could not start because the calling script lacks the guard
            ``if __name__ == "__main__":``.
    """
    if processes is None:
        processes = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if processes < 1:
        raise InputError(f"asked for {processes} processes; give at least 1.")
    processes = min(processes, len(blocks))
    if processes <= 1:
        yield from map(function, blocks)
        return
    # spawn: a forked child would inherit threads of the parent's libraries in an unknown state
    pool = ProcessPoolExecutor(
        processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_depend_on_the_parent,
    )
    waiting: deque[Future[Result]] = deque()
    todo = iter(blocks)
    try:
        for block in todo:
            waiting.append(pool.submit(function, block))
            if len(waiting) >= WAITING_BLOCKS * processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise HepnnError(
            f"a worker process of {processes} ended without an answer: killed, out of memory, or started by "
            "a script "
            'without `if __name__ == "__main__":` around its work. Add that, or use processes=1.'
        ) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def prepared(results: Iterator[Result]) -> Iterator[Result]:
    """Yields the results of an iterator, of which the next is made by a thread while the caller uses the last."""
    with ThreadPoolExecutor(1) as thread:
        following = thread.submit(next, results, None)
        while (result := following.result()) is not None:
            following = thread.submit(next, results, None)
            yield result


def _depend_on_the_parent() -> None:
    """Leaves interrupts to the parent, and ends when that is killed, where it would wait for work for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_after, args=(multiprocessing.parent_process(),), daemon=True).start()


def _end_after(parent: Any) -> None:
    parent.join()
    os._exit(1)
