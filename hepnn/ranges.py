"""Ranges: files cut into runs of entries, each of which is read alone, by whoever has time.

They are the chunks that reading the files in one go gives, so what is made of them is the same to the last bit, whoever
makes it and in whatever order. `Ranges` can be pickled: `hepnn.cluster` sends them to each worker once.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import numpy as np

from hepnn import __version__
from hepnn.errors import InputError, SourceError
from hepnn.readers import DEFAULT_STEP, EntryRange, JetChunk, JetFiles, SkippedFile
from hepnn.readers.sources import identity, is_remote
from hepnn.readers.tables import Table, slots

__all__ = ["OfRange", "Ranges", "digest", "until_damage"]


class OfRange(Protocol):
    """What is made of some entries of one file.

    Attributes:
        file: path or URL.
        start: first entry.
        damage: why they could not be read, or "".
    """

    @property
    def file(self) -> str: ...  # noqa: D102
    @property
    def start(self) -> int: ...  # noqa: D102
    @property
    def damage(self) -> str: ...  # noqa: D102


P = TypeVar("P", bound=OfRange)


@dataclass(frozen=True)
class Ranges:
    """Files, and the entries of each range, in order; made by `Ranges.of`.

    Attributes:
        files: what is read.
        entries: of each range.
    """

    files: JetFiles
    entries: tuple[EntryRange, ...]

    @classmethod
    def of(cls, files: JetFiles, *, step: int = DEFAULT_STEP) -> Ranges:
        """Returns files cut into ranges of at most ``step`` entries."""
        plan = files.plan._replace(tables=[_for_workers(table, files.plan.branches) for table in files.plan.tables])
        return cls(replace(files, plan=plan), tuple(files.ranges(step=step)))

    def place(self, index: int) -> tuple[str, int, int]:
        """Returns the file of a range, its first entry, and one after its last."""
        table, start, stop = self.entries[index]
        return self.files.plan.tables[table].file, start, stop

    def size(self, index: int) -> int:
        """Returns the number of entries of a range."""
        return self.entries[index].stop - self.entries[index].start

    def read(self, index: int, *, max_jets: int | None = None) -> JetChunk | str:
        """Returns the jets of one range; where its file is damaged, and such files are skipped, the reason.

        Args:
            index: of the range.
            max_jets: stop with the entry that has the last of so many jets.

        Raises:
            SourceError: the file is damaged, and not to be skipped.
            SchemaError: the columns do not fit the schema.
        """
        try:
            return self.files.chunk(self.entries[index], max_jets=max_jets)
        except SourceError as error:
            if self.files.bad_files != "skip":
                raise
            return str(error)

    def share(self, part: tuple[int, int] | None) -> list[int]:
        """Returns the indices of the i-th of n shares, (i, n), or of everything.

        Shares are runs of ranges with about the same number of entries; one can be empty.

        Raises:
            InputError: no such share.
        """
        if part is None:
            return list(range(len(self.entries)))
        share, n_shares = part
        if not 1 <= share <= n_shares:
            raise InputError(f"asked for the share {share}/{n_shares}; shares are counted from 1/n to n/n.")
        sizes = np.array([self.size(index) for index in range(len(self.entries))], np.float64)
        middles = np.cumsum(sizes) - sizes / 2
        owner = np.minimum(middles * n_shares // max(sizes.sum(), 1), n_shares - 1)
        return np.flatnonzero(owner == share - 1).tolist()

    def keys(self, work: Mapping[str, Any]) -> tuple[str, ...]:
        """Returns what the result of each range follows from, as a checksum: file, entries, how they are read, and work.

        Args:
            work: what is made of the jets; JSON can hold it.
        """
        files = self.files
        reading = {
            "hepnn": __version__,
            "schema": files.schema.to_dict(),
            "select": files.select and files.select.text,
            "observers": files.observers,
            "work": work,
        }
        inputs = [{**identity(table.file), "tree": table.name} for table in files.plan.tables]
        return tuple(digest([reading, inputs[table], start, stop]) for table, start, stop in self.entries)


def digest(content: Any) -> str:
    """Returns a checksum of what JSON can hold."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def until_damage(pieces: Iterable[P], skipped: list[SkippedFile]) -> Iterator[P]:
    """Yields what was made of all ranges, in order, up to the first damage in each table, which is added to ``skipped``."""
    is_damaged = False
    for piece in pieces:
        if piece.start == 0:  # of the next table, which can be in the same file
            is_damaged = False
        if piece.damage and not is_damaged:
            is_damaged = True
            skipped.append(SkippedFile(piece.file, piece.damage, piece.start))
        elif not is_damaged:
            yield piece


def _for_workers(table: Table, branches: Sequence[str]) -> Table:
    """The table with its file's whole path, and with the types of those branches only that are read."""
    read = {each for name in branches for each in ([name] if name in table.types else slots(name, table.types))}
    file = table.file if is_remote(table.file) else os.path.abspath(table.file)  # noqa: PTH100  # links stay links
    return table._replace(file=file, types={name: kind for name, kind in table.types.items() if name in read})
