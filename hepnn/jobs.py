"""Jobs: a tagging cut into ranges of entries, each of which is worked out alone, by whoever has time.

The ranges are the chunks that reading the files in one go gives, so the scores are the same to the last bit, whoever
works them out and in whatever order. A `TaggingJob` can be pickled: `hepnn.cluster` sends it to each worker once.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hepnn import __version__
from hepnn.errors import InputError, SourceError
from hepnn.judging import tensors_of
from hepnn.prefetch import prefetched
from hepnn.readers import EntryRange, JetChunk, JetFiles
from hepnn.readers.sources import identity, is_remote
from hepnn.readers.tables import Table, slots
from hepnn.representations import describe
from hepnn.score_rows import ScoreRows, rows_of
from hepnn.storage import checksum
from hepnn.tensors import Tensors
from hepnn.working_points import WorkingPoint

__all__ = ["TaggingJob", "tagging_job"]


@dataclass(frozen=True)
class TaggingJob:
    """What has to be tagged, and how; made by `tagging_job`.

    Attributes:
        tagger: a trained `hepnn.Tagger`.
        files: what is read.
        prefix: of the scores' names.
        points: cuts that become columns.
        ranges: the entries of each range, in order.
    """

    tagger: Any
    files: JetFiles
    prefix: str
    points: tuple[WorkingPoint, ...]
    ranges: tuple[EntryRange, ...]

    def rows(self, index: int) -> ScoreRows:
        """Returns the rows of one range; where its file is damaged, and such files are skipped, only the reason.

        Raises:
            SourceError: the file is damaged, and not to be skipped.
            SchemaError, FeatureError: the jets are not what the tagger takes.
        """
        return self._scored(*self._read(index))

    def iterate(self, indices: Iterable[int]) -> Iterator[tuple[int, ScoreRows]]:
        """Yields each index and its rows, in order; the next range is read while one is scored. Errors as for `rows`."""
        for index, read in prefetched((index, self._read(index)) for index in indices):
            yield index, self._scored(*read)

    def _read(self, index: int) -> tuple[JetChunk, Tensors] | tuple[ScoreRows, None]:
        entries = self.ranges[index]
        try:
            chunk = self.files.chunk(entries)
        except SourceError as error:
            if self.files.bad_files != "skip":
                raise
            file = self.files.plan.tables[entries.table].file
            return ScoreRows(file, entries.start, entries.stop, 0, {}, str(error)), None
        return chunk, tensors_of(self.tagger, chunk)

    def _scored(self, read: Any, tensors: Tensors | None) -> ScoreRows:
        if tensors is None:
            return ScoreRows(*read)
        return rows_of(
            read,
            tensors,
            tagger=self.tagger,
            prefix=self.prefix,
            observers=self.files.observers,
            points=self.points,
        )

    def share(self, part: tuple[int, int] | None) -> list[int]:
        """Returns the indices of the i-th of n shares, (i, n), or of everything.

        Shares are runs of ranges with about the same number of entries; one can be empty.

        Raises:
            InputError: no such share.
        """
        if part is None:
            return list(range(len(self.ranges)))
        share, n_shares = part
        if not 1 <= share <= n_shares:
            raise InputError(f"asked for the share {share}/{n_shares}; shares are counted from 1/n to n/n.")
        sizes = np.array([entries.stop - entries.start for entries in self.ranges], np.float64)
        middles = np.cumsum(sizes) - sizes / 2
        owner = np.minimum(middles * n_shares // max(sizes.sum(), 1), n_shares - 1)
        return np.flatnonzero(owner == share - 1).tolist()

    @functools.cached_property
    def keys(self) -> tuple[str, ...]:
        """What each range's rows follow from, as a checksum: the file, its entries, the tagger, and how it is read.

        Functions of the user's own count by their names.
        """
        tagger, files = self.tagger, self.files
        work = {
            "hepnn": __version__,
            "tagger": [
                checksum(tagger.weights_),
                tagger.classes_.tolist(),
                describe(tagger.representation_),
                repr(tagger.inputs_),
                tagger.precision_,
            ],
            "schema": files.schema.to_dict(),
            "select": files.select and files.select.text,
            "observers": files.observers,
            "prefix": self.prefix,
            "points": [point._asdict() for point in self.points],
        }
        inputs = [{**identity(table.file), "tree": table.name} for table in files.plan.tables]
        return tuple(_digest([work, inputs[table], start, stop]) for table, start, stop in self.ranges)


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def tagging_job(
    files: JetFiles, tagger: Any, *, prefix: str, step: int, points: tuple[WorkingPoint, ...] = ()
) -> TaggingJob:
    """Returns the job of tagging these files, cut into ranges of at most ``step`` entries."""
    tagger.onnx_  # noqa: B018  # translated here, so that no worker needs Keras for it
    plan = files.plan._replace(tables=[_for_workers(table, files.plan.branches) for table in files.plan.tables])
    return TaggingJob(tagger, replace(files, plan=plan), prefix, points, tuple(files.ranges(step=step)))


def _for_workers(table: Table, branches: Sequence[str]) -> Table:
    """The table with its file's whole path, and with the types of those branches only that are read."""
    read = {each for name in branches for each in ([name] if name in table.types else slots(name, table.types))}
    file = table.file if is_remote(table.file) else os.path.abspath(table.file)  # noqa: PTH100  # links stay links
    return table._replace(file=file, types={name: kind for name, kind in table.types.items() if name in read})
