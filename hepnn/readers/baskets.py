"""Baskets: what TTrees are stored in, read for a step of entries and decompressed on all processors.

A basket holds some entries of one branch. uproot would read one branch after another, and a basket that reaches into
the next step twice; here the baskets of a step are read together, those of the next step are decompressed while this
one is in use, and none is decompressed again. What is in them is still for uproot to say.

ZLIB is decompressed by libdeflate, which takes six tenths of the time of Python's own zlib and checks the same sum.
uproot's switch for it, ``uproot.ZLIB.library``, would act on all of a user's program, and in uproot 5.7 only when it
writes.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any, NamedTuple

import deflate
import numpy as np
import numpy.typing as npt
from uproot.interpretation.grouped import AsGrouped
from uproot.interpretation.library import Awkward
from uproot.models.TBasket import Model_TBasket
from uproot.source.chunk import Chunk
from uproot.source.cursor import Cursor
from uproot.source.futures import TrivialFuture

__all__ = ["Baskets"]

_MOST_BYTES = 256 * 2**20
"""Of decompressed baskets that are kept for the next step, or made ahead of it. A branch whose baskets are larger is
decompressed again for each step, so that memory stays flat."""

_AT_ONCE = 2**19
"""Bytes of small baskets that one thread reads and decompresses at once; in memory they can be ten times as many."""
_GAP = 32 * 2**10
"""Bytes between two baskets that are read, too, rather than reading twice; as uproot has it."""

_SMALL = 256 * 2**10
"""Bytes of a column that is not worth a thread."""

_LIBRARY = Awkward()
_ZLIB = b"ZL"
_N_HEAD = 9
"""Bytes before a compressed block."""
_OPTIONS = {"ak_add_doc": False}
"""uproot's: arrays go without the title of their branch."""


class Baskets:
    """The baskets of some branches that are in use, or about to be.

    Args:
        branches: uproot's, by name.
        threads: what reads a local file, and decompresses.
        path: of the local file; None for a remote one, which uproot reads.
    """

    def __init__(self, branches: Mapping[str, Any], *, threads: Executor, path: str | None) -> None:
        self._threads, self._path = threads, path
        self._branches: dict[str, Any] = {}
        self._offsets: dict[str, list[int]] = {}
        self._entry_bytes: dict[str, int] = {}
        self._made: dict[str, dict[int, Future[Any]]] = {}
        self._contexts: dict[str, dict[str, Any]] = {}
        room = _MOST_BYTES
        for name, branch in branches.items():
            offsets = list(getattr(branch, "entry_offsets", ()))  # an RNTuple's field has none
            if len(offsets) < 2 or isinstance(branch.interpretation, AsGrouped):
                continue
            entry_bytes = -(-int(branch.uncompressed_bytes) // max(int(branch.num_entries), 1))
            largest = int(np.diff(offsets).max()) * entry_bytes
            if largest <= room:
                room -= largest
                self._branches[name], self._offsets[name], self._made[name] = branch, offsets, {}
                self._entry_bytes[name] = entry_bytes
                self._contexts[name] = {**branch.context, "forth": threading.local()}

    def request(self, first: int, last: int, *, ahead: bool = False) -> None:
        """Has what is still lacking of the entries ``first`` to ``last`` read and decompressed, and does not wait for it.

        Args:
            first: the first entry.
            last: one after the last.
            ahead: only if there is room for it.
        """
        lacking = [
            _Basket(name, number, place, branch, self._contexts[name])
            for name, branch in self._branches.items()
            for number, place in branch.entries_to_ranges_or_baskets(first, last)
            if number not in self._made[name]
        ]
        if ahead and self._size(lacking) > _MOST_BYTES:
            return
        for run in _runs(lacking, is_local=self._path is not None):
            arrays = [Future[Any]() for _ in run]
            for basket, array in zip(run, arrays, strict=True):
                self._made[basket.name][basket.number] = array
            self._threads.submit(_make, run, arrays, path=self._path).add_done_callback(partial(_give_up, arrays))

    def _size(self, more: Iterable[_Basket]) -> int:
        """Bytes of all baskets that are there, and of ``more``."""
        there = [(name, number) for name, made in self._made.items() for number in made]
        there += [(basket.name, basket.number) for basket in more]
        return sum(
            int(self._offsets[name][number + 1] - self._offsets[name][number]) * self._entry_bytes[name]
            for name, number in there
        )

    def columns(self, first: int, last: int) -> dict[str, Callable[[], Any]]:
        """Returns what gives the entries ``first`` to ``last``, which were requested, of each branch.

        Large ones are joined beside what goes on, small ones when they are asked for: that takes less time than to
        wake a thread. Each raises whatever uproot raises over a damaged basket.
        """
        columns: dict[str, Callable[[], Any]] = {}
        for name, branch in self._branches.items():
            made, offsets = self._made[name], self._offsets[name]
            numbers = [number for number in made if offsets[number] < last and first < offsets[number + 1]]
            needed = {position: made[number] for position, number in enumerate(sorted(numbers))}
            bounds = offsets[min(numbers) : max(numbers) + 2] if numbers else [0]
            join = partial(_joined, needed, first, last, bounds=bounds, branch=branch)
            is_small = (last - first) * self._entry_bytes[name] < _SMALL
            columns[name] = join if is_small else self._threads.submit(join).result
            self._made[name] = {number: part for number, part in made.items() if offsets[number + 1] > last}
        return columns


class _Basket(NamedTuple):
    """One that is wanted: number ``number`` of the branch ``name``.

    Attributes:
        held: its first byte in a local file and the one after its last; or its chunk of a remote one; or itself.
        branch: uproot's.
        context: uproot's.
    """

    name: str
    number: int
    held: Any
    branch: Any
    context: dict[str, Any]


def _runs(baskets: list[_Basket], *, is_local: bool) -> Iterator[list[_Basket]]:
    """Yields the baskets that a thread reads and decompresses one after another: small ones side by side in the file."""
    # one that was never closed is a part of the tree itself, and already there
    stored = [basket for basket in baskets if isinstance(basket.held, tuple)]
    yield from ([basket] for basket in baskets if not isinstance(basket.held, tuple))
    if stored and not is_local:
        chunks = stored[0].branch.file.source.chunks([basket.held for basket in stored], queue.Queue())
        yield from ([basket._replace(held=chunk)] for basket, chunk in zip(stored, chunks, strict=True))
        return
    run: list[_Basket] = []
    for basket in sorted(stored, key=lambda basket: basket.held):
        start, stop = basket.held
        if run and (start - run[-1].held[1] > _GAP or stop - run[0].held[0] > _AT_ONCE):
            yield run
            run = []
        run.append(basket)
    if run:
        yield run


def _make(run: list[_Basket], arrays: list[Future[Any]], *, path: str | None) -> None:
    """Makes the arrays of a run of baskets.

    uproot would read a local file in another thread and copy each part once more while it holds Python's lock.
    """
    data = None
    for basket, array in zip(run, arrays, strict=True):
        try:
            held = basket.held
            if path is not None and isinstance(held, tuple):
                first = run[0].held[0]
                if data is None:
                    data = np.fromfile(path, np.uint8, max(run[-1].held[1] - first, 0), offset=first)
                part = data[held[0] - first : held[1] - first]
                held = Chunk(basket.branch.file.source, *held, TrivialFuture(part))
            array.set_result(_array(held, basket.number, branch=basket.branch, context=basket.context))
        except Exception as error:  # noqa: BLE001  # who asks for the array has it
            array.set_exception(error)


def _give_up(arrays: list[Future[Any]], made: Future[None]) -> None:
    """Has nobody wait for arrays that are not going to be made."""
    if made.cancelled():
        for array in arrays:
            array.cancel()


def _joined(parts: Mapping[int, Future[Any]], first: int, last: int, *, bounds: Any, branch: Any) -> Any:
    """Returns the entries ``first`` to ``last``; of the baskets, ``bounds`` are the first entries and the end of the last."""
    arrays = {position: part.result() for position, part in parts.items()}
    return branch.interpretation.final_array(arrays, first, last, bounds, _LIBRARY, branch, _OPTIONS)


def _array(held: Any, number: int, *, branch: Any, context: dict[str, Any]) -> Any:
    """Returns what is in one basket, as uproot's interpretation of the branch has it.

    Args:
        held: the chunk of the file, or the basket itself.
        number: of the basket.
        branch: uproot's.
        context: uproot's.
    """
    if isinstance(held, Model_TBasket):
        basket, data, offsets = held, held.data, held.byte_offsets
    else:
        basket, data, offsets = _read(held, number, branch)
    array = branch.interpretation.basket_array(
        data, offsets, basket, branch, context, basket.member("fKeylen"), _LIBRARY, _OPTIONS
    )
    if len(array) != basket.num_entries:
        raise ValueError(f"basket {number} has {len(array)} entries and should have {basket.num_entries}")
    return array


def _read(chunk: Any, number: int, branch: Any) -> tuple[Any, Any, Any]:
    """Returns a basket, its bytes, and where its entries begin in them, or None where that follows from their number."""
    read = partial(Model_TBasket.read, chunk, file=branch.file, selffile=branch.file, parent=branch)
    basket = read(Cursor(chunk.start), {"basket_num": number, "read_basket": False})
    key = basket.member("fKeylen")
    stored = chunk.raw_data[key : basket.compressed_bytes]
    if basket.compressed_bytes == basket.uncompressed_bytes or stored[:2].tobytes() != _ZLIB:
        basket = read(Cursor(chunk.start), {"basket_num": number})
        return basket, basket.data, basket.byte_offsets
    data = _inflated(memoryview(stored), basket.uncompressed_bytes - key)
    if basket.border == len(data):
        return basket, data, None
    # big-endian, from the start of the key: https://root.cern/doc/master/classTBasket.html; the first says how many
    offsets = data[basket.border :].view(">i4")[1:] - key
    offsets[-1] = basket.border
    return basket, data[: basket.border], offsets


def _inflated(stored: memoryview, size: int) -> npt.NDArray[np.uint8]:
    """Returns what ZLIB blocks hold, each behind a header of ROOT's.

    Args:
        stored: magic bytes, method, and the sizes before and after, in three bytes each:
            https://github.com/root-project/root/blob/master/core/zip/src/RZip.cxx.
        size: bytes of all together.

    Raises:
        ValueError: they are of another size, or not all ZLIB's.
        deflate.DeflateError: a block does not have its checksum, or is no ZLIB block.
    """
    parts = []
    while stored:
        head, rest = bytes(stored[:_N_HEAD]), stored[_N_HEAD:]
        n_stored, n_bytes = (int.from_bytes(head[at : at + 3], "little") for at in (3, 6))
        if head[:2] != _ZLIB or len(rest) < n_stored:
            raise ValueError(f"a block that starts with {head!r} is none of ZLIB, or cut short")
        parts.append(deflate.zlib_decompress(rest[:n_stored], n_bytes))
        stored = rest[n_stored:]
    content = np.frombuffer(parts[0] if len(parts) == 1 else b"".join(parts), np.uint8)
    if len(content) != size:
        raise ValueError(f"a basket has {len(content)} bytes and should have {size}")
    return content
