"""Parts: the rows of each range of a `hepnn.jobs.TaggingJob` on disk, until all are there and can be merged.

A folder has one file a range, written once and moved into place when it is complete, and ``job.json``, which lists what
belongs together in which order. A part is named by the checksum of what it follows from (`hepnn.jobs.TaggingJob.keys`):
if a file, the tagger or the selection changes, it is not found, and its range is worked out again.
"""

from __future__ import annotations

import contextlib
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from hepnn.errors import InputError
from hepnn.score_rows import ScoreRows
from hepnn.staging import cannot_write, remove_stale, staged

__all__ = ["SUFFIX", "Parts"]

SUFFIX = ".parts"
"""Added to the name of an output, for the folder of its parts."""

_JOB = "job.json"
_FORMAT = 1
_UNREADABLE = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile)
"""What a damaged part raises when it is read."""


class Parts:
    """A folder of parts.

    Args:
        folder: where it is, or will be.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(self, job: Mapping[str, Any]) -> None:
        """Makes the folder, if it is not there, and writes what it is for.

        Args:
            job: what `job` returns; JSON can hold it.

        Raises:
            OutputError: it cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(self.folder, error) from error
        with staged(self.folder / _JOB, overwrite=True) as path:
            path.write_text(json.dumps({"format": _FORMAT, **job}, indent=1))

    def job(self) -> dict[str, Any]:
        """Returns what `begin` wrote.

        Raises:
            InputError: there is no such folder, or it is of another version of hepnn.
        """
        try:
            job: dict[str, Any] = json.loads((self.folder / _JOB).read_text())
            if job["format"] != _FORMAT:
                raise ValueError(f"its format is {job['format']}, this hepnn reads {_FORMAT}")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"asked for the parts in {self.folder}; {_JOB} cannot be read: {error}. Name the folder that "
                "`hepnn tag --part i/n` wrote, *.parts."
            ) from error
        return job

    def write(self, key: str, rows: ScoreRows) -> None:
        """Writes the rows of a range.

        Raises:
            OutputError: they cannot be written.
        """
        counts = {
            name: {each: n.tolist() for each, n in numbers.items()} for name, numbers in (rows.counts or {}).items()
        }
        about = {"rows": rows._replace(columns={}, counts=counts), "form": None, "length": 0}
        buffers: Mapping[str, Any] = {}
        if rows.columns:
            packed = {name: ak.to_packed(ak.Array(column)) for name, column in rows.columns.items()}
            form, about["length"], buffers = ak.to_buffers(ak.zip(packed, depth_limit=1))
            about["form"] = form.to_json()
        with staged(self._path(key), overwrite=True) as path:
            np.savez(path, about=np.array(json.dumps(about)), **buffers)

    def about(self, key: str) -> ScoreRows | None:
        """Returns what is known of a range without its columns, or None if it is not there."""
        try:
            with np.load(self._path(key), allow_pickle=False) as content:
                rows = ScoreRows(*json.loads(str(content["about"]))["rows"])
        except _UNREADABLE:
            return None
        return rows

    def read(self, key: str) -> ScoreRows:
        """Returns the rows of a range.

        Raises:
            InputError: they are not there, damaged, or not as many as the entries.
        """
        path = self._path(key)
        try:
            with np.load(path, allow_pickle=False) as content:  # a zip file, which has a checksum of every array
                buffers = {name: content[name] for name in content.files}
            about = json.loads(str(buffers.pop("about")))
            rows = ScoreRows(*about["rows"])
            if rows.damage:
                return rows
            columns = ak.from_buffers(ak.forms.from_json(about["form"]), about["length"], buffers)
            if len(columns) != rows.stop - rows.start:
                raise ValueError(f"it has {len(columns)} rows for the entries {rows.start} to {rows.stop}")
        except _UNREADABLE as error:
            raise InputError(
                f"asked for the part {path}; it cannot be read ({type(error).__name__}: {error}). Delete it, and start "
                "the tagging again: only what is missing is worked out."
            ) from error
        return rows._replace(columns={name: columns[name] for name in columns.fields})

    def remove(self) -> None:
        """Removes the parts, and the folder if nothing else is in it."""
        remove_stale(self.folder)
        for path in [self.folder / _JOB, *self.folder.glob("*.npz")]:
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # something else is in it
            self.folder.rmdir()

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.npz"
