"""Parts: what is made of each range of entries, on disk, until all of it is there and can be put together.

A folder has one file a piece, written once and moved into place when it is complete, and ``job.json``, which lists what
belongs together in which order. A part is named by the checksum of what it follows from (`hepnn.ranges.Ranges.keys`):
if a file, the tagger or the selection changes, it is not found, and its piece is worked out again.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar

import numpy as np

from hepnn.errors import InputError
from hepnn.guarded import arrays_in, content_of, parse_json, seal, unseal
from hepnn.staging import make_folder, remove_stale, staged

__all__ = ["SUFFIX", "Parts", "Piece"]

SUFFIX = ".parts"
"""Added to the name of an output, for the folder of its parts."""

_JOB = "job.json"
_FORMAT = 2
_IS_KEY = re.compile("[0-9a-f]{32}")
"""A key, as `hepnn.ranges.digest` makes them; a path, say, would lead out of the folder."""
_UNREADABLE = (OSError, ValueError, KeyError, TypeError)
"""What a damaged part raises when it is read."""


class Piece(Protocol):
    """What can be kept."""

    @property
    def n_jets(self) -> int:
        """Jets that it was made of."""

    @property
    def damage(self) -> str:
        """Why nothing could be made, or ""."""

    def packed(self) -> tuple[dict[str, Any], Mapping[str, Any]]:
        """Returns the same as what JSON can hold, and arrays by name."""

    @classmethod
    def unpacked(cls, about: Mapping[str, Any], buffers: Mapping[str, Any] | None) -> Self:
        """Returns what was `packed`; without its arrays if there are none."""


P = TypeVar("P", bound=Piece)


class Parts(Generic[P]):
    """A folder of parts.

    Args:
        folder: where it is, or will be.
        kind: of the pieces.
    """

    def __init__(self, folder: Path, kind: type[P]) -> None:
        self.folder = folder
        self.kind = kind

    def begin(self, job: Mapping[str, Any]) -> None:
        """Makes the folder, if it is not there, and writes what it is for.

        Args:
            job: what `job` returns; JSON can hold it.

        Raises:
            OutputError: it cannot be written.
        """
        make_folder(self.folder)
        with staged(self.folder / _JOB, overwrite=True) as path:
            path.write_text(seal(json.dumps({"format": _FORMAT, "of": self.kind.__name__, **job}, indent=1)))

    def job(self) -> dict[str, Any]:
        """Returns what `begin` wrote.

        Raises:
            InputError: there is no such folder, it is of another version of hepnn, damaged, or not as hepnn writes it.
        """
        try:
            job = unseal(content_of(self.folder / _JOB))
            if job["format"] != _FORMAT:
                raise ValueError(f"its format is {job['format']}, this hepnn reads {_FORMAT}")
            if job["of"] != self.kind.__name__:
                raise ValueError(f"its parts are {job['of']}, not {self.kind.__name__}")
        except _UNREADABLE as error:
            raise InputError(
                f"asked for the parts in {self.folder}; {_JOB} cannot be read: {error}. Name the folder that "
                "`hepnn tag --part i/n` wrote, *.parts."
            ) from error
        return job

    def gather(
        self,
        keys: Sequence[str],
        indices: Iterable[int],
        *,
        make: Callable[[Sequence[int]], Generator[tuple[int, P], None, None]],
        progress: Callable[[int], None] | None = None,
    ) -> dict[int, P]:
        """Sees that pieces are there, and returns those that were there before, without their arrays.

        Args:
            keys: of all pieces.
            indices: of those that are wanted.
            make: yields index and piece of those that are missing, in any order.
            progress: called with the number of jets done.

        Raises:
            OutputError: a piece cannot be written.
        """
        wanted = list(indices)
        before = {index: piece for index in wanted if (piece := self.about(keys[index])) and not piece.damage}
        n_jets = sum(piece.n_jets for piece in before.values())
        if missing := [index for index in wanted if index not in before]:
            with contextlib.closing(make(missing)) as made:
                for index, piece in made:
                    self.write(keys[index], piece)
                    n_jets += piece.n_jets
                    if progress is not None:
                        progress(n_jets)
        return before

    def write(self, key: str, piece: P) -> None:
        """Writes a piece.

        Raises:
            OutputError: it cannot be written.
        """
        about, buffers = piece.packed()
        with staged(self._path(key), overwrite=True) as path:
            np.savez(path, about=np.array(json.dumps(about)), **buffers)

    def about(self, key: str) -> P | None:
        """Returns a piece without its arrays, or None if it is not there.

        Raises:
            InputError: it cannot be called so.
        """
        path = self._path(key)
        try:
            return self.kind.unpacked(parse_json(str(arrays_in(path, only=["about"])["about"])), None)
        except _UNREADABLE:
            return None

    def read(self, key: str) -> P:
        """Returns a piece.

        Raises:
            InputError: it is not there, or damaged.
        """
        path = self._path(key)
        try:
            buffers = arrays_in(path)  # each has its checksum
            return self.kind.unpacked(parse_json(str(buffers.pop("about"))), buffers)
        except Exception as error:  # what somebody else wrote into it can be anything
            said = " ".join(str(error).split())[:200]
            raise InputError(
                f"asked for the part {path}; it cannot be read ({type(error).__name__}: {said}). Delete it, and start "
                "the same command again: only what is missing is worked out."
            ) from error

    def remove(self) -> None:
        """Removes the parts, and the folder if nothing else is in it; what cannot be removed stays."""
        with contextlib.suppress(OSError):
            remove_stale(self.folder)
            for path in [self.folder / _JOB, *self.folder.glob("*.npz")]:
                path.unlink(missing_ok=True)
            self.folder.rmdir()

    def _path(self, key: str) -> Path:
        if not _IS_KEY.fullmatch(key):
            raise InputError(f"asked for the part {key!r} of {self.folder}; parts are called by 32 hexadecimal digits.")
        return self.folder / f"{key}.npz"
