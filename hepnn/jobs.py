"""Jobs: a tagging cut into ranges of entries, each of which is worked out alone, by whoever has time."""

from __future__ import annotations

import functools
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any

from hepnn.prefetch import prefetched
from hepnn.ranges import Ranges
from hepnn.readers import JetFiles
from hepnn.representations import describe
from hepnn.score_rows import ScoreRows, Unscored, rows_of, unscored
from hepnn.storage import checksum
from hepnn.working_points import WorkingPoint

__all__ = ["TaggingJob", "tagging_job"]


@dataclass(frozen=True)
class TaggingJob:
    """What has to be tagged, and how; made by `tagging_job`.

    Attributes:
        tagger: a trained `hepnn.Tagger`.
        ranges: what is read.
        prefix: of the scores' names.
        points: cuts that become columns.
    """

    tagger: Any
    ranges: Ranges
    prefix: str
    points: tuple[WorkingPoint, ...]

    def rows(self, index: int) -> ScoreRows:
        """Returns the rows of one range; where its file is damaged, and such files are skipped, only the reason.

        Raises:
            SourceError: the file is damaged, and not to be skipped.
            SchemaError, FeatureError: the jets are not what the tagger takes.
        """
        return self._scored(self._read(index))

    def iterate(self, indices: Iterable[int]) -> Generator[tuple[int, ScoreRows], None, None]:
        """Yields each index and its rows, in order; the next range is read while one is scored. Errors as for `rows`."""
        for index, read in prefetched((index, self._read(index)) for index in indices):
            yield index, self._scored(read)

    def _read(self, index: int) -> Unscored | ScoreRows:
        read = self.ranges.read(index)
        if isinstance(read, str):
            return ScoreRows(*self.ranges.place(index), 0, {}, read)
        return unscored(self.tagger, read)

    def _scored(self, read: Unscored | ScoreRows) -> ScoreRows:
        if isinstance(read, ScoreRows):
            return read
        return rows_of(
            read,
            tagger=self.tagger,
            prefix=self.prefix,
            observers=self.ranges.files.observers,
            points=self.points,
        )

    @functools.cached_property
    def keys(self) -> tuple[str, ...]:
        """What each range's rows follow from, as a checksum: the file, its entries, the tagger, and how it is read.

        Functions of the user's own count by their names.
        """
        tagger = self.tagger
        return self.ranges.keys(
            {
                "tagger": [
                    checksum(tagger.weights_),
                    tagger.classes_.tolist(),
                    describe(tagger.representation_),
                    repr(tagger.inputs_),
                    tagger.precision_,
                ],
                "prefix": self.prefix,
                "points": [point._asdict() for point in self.points],
            }
        )


def tagging_job(
    files: JetFiles, tagger: Any, *, prefix: str, step: int, points: tuple[WorkingPoint, ...] = ()
) -> TaggingJob:
    """Returns the job of tagging these files, cut into ranges of at most ``step`` entries."""
    tagger.onnx_  # noqa: B018  # translated here, so that no worker needs Keras for it
    return TaggingJob(tagger, Ranges.of(files, step=step), prefix, points)
