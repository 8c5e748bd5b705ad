"""Converting: a source of labelled jets in, a folder of shards out, for trainings that stream them.

`convert` is the Python face of ``hepnn convert``. A shard has as many jets as `hepnn.shards` says, whatever files and
entries they come from. On one processor they are written in one go. Many processors get a shard each to make, for which
it has to be known which entries each is made of: where an entry is not a jet, or a selection or damage takes jets out,
the jets of each range of entries are counted first, which takes some time, but far less than shuffling and compressing.
"""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import awkward as ak
import numpy as np
import numpy.typing as npt

from hepnn import defaults
from hepnn.errors import InputError, SchemaError
from hepnn.jets import labels_of
from hepnn.oddities import check_momenta, fingerprints, odd_in, repeated_in, warn_of_odd
from hepnn.parts import SUFFIX, Parts
from hepnn.prefetch import prefetched
from hepnn.ranges import Ranges, digest, until_damage
from hepnn.readers import JetChunk, JetFiles, Source, open_jets, saying_where
from hepnn.shards import (
    DESCRIPTION,
    Shards,
    jets_a_file,
    require_pyarrow,
    shard_name,
    write_description,
    write_shard,
)
from hepnn.staging import check_folder, named, staged_folder

__all__ = ["convert"]


def convert(
    source: Source | JetFiles,
    output: str | os.PathLike[str],
    *,
    seed: int = defaults.SEED,
    overwrite: bool = False,
    workers: int | None = None,
    client: Any = None,
    progress: Callable[[int], None] | None = None,
) -> Shards:
    """Writes labelled jets to a folder of shards, for trainings that stream them, and returns it.

    The jets of each file, some 50,000, are shuffled.

    With ``workers`` or ``client`` each shard is made by itself, and kept in the folder ``<output>.parts`` until all are
    there, so that the same call, after whatever interrupted it, makes only what is missing. The files are those of one
    process, byte for byte.

    Args:
        source: what `hepnn.open_jets` takes; or what it returns, for a schema, a selection or observers.
        output: the folder.
        seed: of the shuffling.
        overwrite: replace shards that are there.
        workers: processes to start on this machine, as in `hepnn.tag`.
        client: a ``distributed.Client``, or the address of a Dask scheduler, to whose workers the shards are given.
        progress: called with the number of jets done; before that, where they have to be counted, with those counted.

    Raises:
        InputError: the jets have no labels, there are none, or a momentum is none (`hepnn.oddities`).
        SourceError, SchemaError: the source cannot be read.
        OutputError: the folder exists, or cannot be written.
        ClusterError: the workers cannot be reached, or died of their work several times.
        DependencyError: pyarrow, or distributed, is missing.
    """
    require_pyarrow()
    folder = named(output)
    check_folder(folder, marker=DESCRIPTION, what="shards", overwrite=overwrite)
    files = source if isinstance(source, JetFiles) else open_jets(source)
    if workers is None and client is None:
        with staged_folder(folder, overwrite=overwrite) as part:
            found = _convert_here(files, part, seed=seed, progress=progress)
            write_description(part, schema=files.schema, counts=found.counts)
        found.warn()
        return Shards.open(folder)
    from hepnn.cluster import connected

    kept = folder.with_name(folder.name + SUFFIX)
    with connected(client, workers=workers) as opened:
        parts, keys, n_reused = _make_shards(files, kept, seed=seed, client=opened, progress=progress)
    with staged_folder(folder, overwrite=overwrite) as part:
        found = _Found.nothing()
        for number, key in enumerate(keys):
            shard = parts.read(key)
            found.counts.update(shard.counts)
            found.odd.update(shard.odd)
            found.prints.append(shard.prints)
            shard.content.tofile(part / shard_name(number))
        write_description(part, schema=files.schema, counts=found.counts)
    parts.remove()
    found.warn()
    return replace(Shards.open(folder), n_reused=n_reused)


class _Found(NamedTuple):
    """What jets there are; it grows.

    Attributes:
        counts: jets of each class, in the order in which they come.
        odd: numbers of odd jets, `hepnn.oddities.odd_in`.
        prints: (jet with members,) each, `hepnn.oddities.fingerprints`.
    """

    counts: Counter[str]
    odd: Counter[str]
    prints: list[npt.NDArray[np.uint64]]

    @classmethod
    def nothing(cls) -> Self:
        """Returns what there is before any jet."""
        return cls(Counter(), Counter(), [])

    def add(self, chunk: JetChunk, start: int = 0, stop: int | None = None) -> None:
        """Checks the jets of a chunk and counts those from ``start`` to ``stop``.

        Raises:
            InputError: they have no labels, or a momentum is none.
        """
        with saying_where(chunk):
            check_momenta(chunk.jets)
            labels = labels_of(chunk.jets)
        jets = chunk.jets[start:stop]
        self.counts.update(labels[start:stop].tolist())
        self.odd.update(odd_in(jets))
        self.prints.append(fingerprints(jets))

    def warn(self) -> None:
        """Says what is odd."""
        warn_of_odd(self.odd + Counter(repeated_in(np.concatenate(self.prints))))


def _convert_here(files: JetFiles, folder: Path, *, seed: int, progress: Callable[[int], None] | None) -> _Found:
    """Writes all shards, one after another, and returns what jets there were."""
    found = _Found.nothing()
    waiting: list[Any] = []
    n_waiting = n_files = 0
    for chunk in prefetched(files.chunks()):
        found.add(chunk)
        table = _table(chunk, like=waiting[0].schema if waiting else None)
        waiting.append(table)
        n_waiting += len(table)
        while n_waiting >= jets_a_file():
            joined = require_pyarrow().concat_tables(waiting)
            write_shard([joined.slice(0, jets_a_file())], folder / shard_name(n_files), seed=seed, number=n_files)
            waiting, n_waiting, n_files = [joined.slice(jets_a_file())], n_waiting - jets_a_file(), n_files + 1
        if progress is not None:
            progress(found.counts.total())
    if not found.counts:
        raise _no_jets()
    if n_waiting:
        write_shard(waiting, folder / shard_name(n_files), seed=seed, number=n_files)
    return found


def _make_shards(
    files: JetFiles, folder: Path, *, seed: int, client: Any, progress: Callable[[int], None] | None
) -> tuple[Parts[_Shard], tuple[str, ...], int]:
    """Sees that each shard is in the folder; returns them, their names in order, and how many jets were there before."""
    from hepnn.cluster import run

    ranges = Ranges.of(files)
    keys = ranges.keys({"made": "shards"})
    parts = Parts(folder, _Shard)
    parts.begin({"files": [table.place for table in ranges.files.plan.tables], "seed": seed})
    whole = [_Counted(*ranges.place(index)[:2], ranges.size(index)) for index in range(len(keys))]
    if files.schema.has_events or files.select is not None or files.bad_files == "skip":
        counted = Parts(folder, _Counted)
        count = functools.partial(_count, ranges)
        counted.gather(
            keys, range(len(keys)), make=lambda missing: run(count, missing, client=client), progress=progress
        )
        whole = list(map(counted.read, keys))
    whole = [piece._replace(at=index) for index, piece in enumerate(whole)]
    whole = list(until_damage(whole, files.skipped))
    if not sum(piece.n_jets for piece in whole):
        raise _no_jets()
    first = ranges.files.chunk(ranges.entries[whole[0].at])
    job = _Job(ranges, seed, _table(first).schema, _slices(whole))
    shard_keys = tuple(
        digest([seed, number, [(keys[index], start, stop) for index, start, stop in slices]])
        for number, slices in enumerate(job.slices)
    )
    before = parts.gather(
        shard_keys,
        range(len(shard_keys)),
        make=lambda missing: run(job.shard, missing, client=client),
        progress=progress,
    )
    return parts, shard_keys, sum(shard.n_jets for shard in before.values())


class _Counted(NamedTuple):
    """The jets of a range of entries.

    Attributes:
        file: path or URL.
        start: first entry.
        n_jets: of the range.
        damage: why it cannot be read, or "".
        at: index of the range.
    """

    file: str
    start: int
    n_jets: int
    damage: str = ""
    at: int = -1

    def packed(self) -> tuple[dict[str, Any], Mapping[str, Any]]:
        """Returns the same for JSON, and no arrays."""
        return self._asdict(), {}

    @classmethod
    def unpacked(cls, about: Mapping[str, Any], buffers: Mapping[str, Any] | None) -> Self:
        """Returns what was `packed`."""
        return cls(**about)


def _count(ranges: Ranges, index: int) -> _Counted:
    """Reads a range to see how many jets it has, on a worker."""
    read = ranges.read(index)
    n_jets, damage = (0, read) if isinstance(read, str) else (len(read.jets), "")
    return _Counted(*ranges.place(index)[:2], n_jets, damage)


_Slice = tuple[int, int, int]
"""The index of a range, the first of its jets that is wanted, and one after the last."""


def _slices(whole: Sequence[_Counted]) -> tuple[tuple[_Slice, ...], ...]:
    """Returns what each shard is made of."""
    ends = np.cumsum([piece.n_jets for piece in whole])
    starts = ends - [piece.n_jets for piece in whole]
    shards = []
    for first in range(0, int(ends[-1]), jets_a_file()):
        last = min(first + jets_a_file(), int(ends[-1]))
        of_shard = range(int(np.searchsorted(ends, first, side="right")), int(np.searchsorted(starts, last)))
        shards.append(
            tuple(
                (whole[i].at, max(first - int(starts[i]), 0), min(last, int(ends[i])) - int(starts[i]))
                for i in of_shard
                if whole[i].n_jets
            )
        )
    return tuple(shards)


class _Shard(NamedTuple):
    """A file of shards.

    Attributes:
        n_jets: in it.
        counts: jets of each class, in the order in which they come in the source.
        odd: numbers of odd jets.
        prints: (jet with members,), by which jets that are the same are found.
        content: (byte,) of the file.
        damage: "", since no shard is made of what cannot be read.
    """

    n_jets: int
    counts: Mapping[str, int]
    odd: Mapping[str, int]
    prints: Any
    content: Any
    damage: str = ""

    def packed(self) -> tuple[dict[str, Any], Mapping[str, Any]]:
        """Returns the same for JSON, and the content."""
        about = {"n_jets": self.n_jets, "counts": self.counts, "odd": self.odd}
        return about, {"prints": self.prints, "content": self.content}

    @classmethod
    def unpacked(cls, about: Mapping[str, Any], buffers: Mapping[str, Any] | None) -> Self:
        """Returns what was `packed`."""
        arrays = (None, None) if buffers is None else (buffers["prints"], buffers["content"])
        return cls(about["n_jets"], about["counts"], about["odd"], *arrays)


@dataclass(frozen=True)
class _Job:
    """Makes shards, on a worker.

    Attributes:
        ranges: what is read.
        seed: of the shuffling.
        schema: of Arrow, that all jets are written with.
        slices: what each shard is made of.
    """

    ranges: Ranges
    seed: int
    schema: Any
    slices: tuple[tuple[_Slice, ...], ...]

    def shard(self, number: int) -> _Shard:
        """Returns a shard.

        Raises:
            SourceError: a file turns out to be damaged, since it was counted if that was done.
            InputError: the jets have no labels, or a momentum is none.
        """
        found = _Found.nothing()
        tables = []
        for index, start, stop in self.slices[number]:
            chunk = self.ranges.files.chunk(self.ranges.entries[index])
            found.add(chunk, start, stop)
            tables.append(_table(chunk, like=self.schema).slice(start, stop - start))
        stream = require_pyarrow().BufferOutputStream()
        write_shard(tables, stream, seed=self.seed, number=number)
        content = np.frombuffer(stream.getvalue(), np.uint8)
        return _Shard(found.counts.total(), dict(found.counts), dict(found.odd), np.concatenate(found.prints), content)


def _table(chunk: JetChunk, *, like: Any = None) -> Any:
    """The jets as a table of Arrow, (jet,), of the types of an earlier one if given."""
    table = ak.to_arrow_table(chunk.jets, extensionarray=False)
    try:
        return table if like is None else table.cast(like)
    except ValueError as error:  # whole numbers, of which some are missing here, but none before
        raise SchemaError(
            f"in {chunk.file}, entries {chunk.start} to {chunk.stop}: the jets are of other types than those before: {error}. "
            'Make the field a number of one kind in the schema, such as "1.0 * charge".'
        ) from error


def _no_jets() -> InputError:
    return InputError("asked to convert jets; found none. Name files that hold jets.")
