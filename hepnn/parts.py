"""Parts: the rows of each range of a `hepnn.jobs.TaggingJob` on disk, until all are there and can be merged.

A folder has one file a range, written once and moved into place when it is complete, and ``job.json``, which lists what
belongs together in which order. A part is named by the checksum of what it follows from (`hepnn.jobs.TaggingJob.keys`):
if a file, the tagger or the selection changes, it is not found, and its range is worked out again.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from hepnn.errors import InputError, OutputError
from hepnn.guarded import arrays_in, content_of, parse_json, seal, unseal
from hepnn.readers import SkippedFile
from hepnn.score_rows import ScoreRows
from hepnn.staging import staged
from hepnn.writers import FORMATS

__all__ = ["SUFFIX", "Parts"]

SUFFIX = ".parts"
"""Added to the name of an output, for the folder of its parts."""

_JOB = "job.json"
_FORMAT = 2
_KINDS: dict[str, Any] = {
    "is_folder": bool,
    "tree": str,
    "file_format": str | None,
    "skipped": list,
    "parts": list,
}
_IS_KEY = re.compile("[0-9a-f]{32}")
"""A key, as `hepnn.jobs.TaggingJob.keys` makes them."""
_UNREADABLE = (OSError, ValueError, KeyError, TypeError)
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
            raise OutputError(
                f"asked for the folder {self.folder}; {error.strerror or error}. Choose an output where you may write."
            ) from error
        with staged(self.folder / _JOB, overwrite=True) as path:
            path.write_text(seal(json.dumps({"format": _FORMAT, **job}, indent=1)))

    def job(self) -> dict[str, Any]:
        """Returns what `begin` wrote.

        Raises:
            InputError: there is no such folder, it is of another version of hepnn, damaged, or not as hepnn writes it.
        """
        try:
            job = unseal(content_of(self.folder / _JOB))
            if job["format"] != _FORMAT:
                raise ValueError(f"its format is {job['format']}, this hepnn reads {_FORMAT}")
            _check_job(job)
        except _UNREADABLE as error:
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
            return _rows(_about(arrays_in(self._path(key), only=["about"])))
        except _UNREADABLE:
            return None

    def read(self, key: str) -> ScoreRows:
        """Returns the rows of a range.

        Raises:
            InputError: they are not there, damaged, or not as many as the entries.
        """
        path = self._path(key)
        try:
            buffers = arrays_in(path)  # each has its checksum
            about = _about(buffers)
            rows = _rows(about)
            if rows.damage:
                return rows
            columns = ak.from_buffers(ak.forms.from_json(about["form"]), about["length"], buffers)
            if not ak.is_valid(columns):  # else lists could reach beyond what is there
                raise ValueError(f"its lists do not fit together: {ak.validity_error(columns)}")
            if len(columns) != rows.stop - rows.start:
                raise ValueError(f"it has {len(columns)} rows for the entries {rows.start} to {rows.stop}")
        except InputError:
            raise
        except Exception as error:  # what somebody else wrote into it can be anything
            raise InputError(
                f"asked for the part {path}; it cannot be read ({type(error).__name__}: {error}). Delete it, and start "
                "the tagging again: only what is missing is worked out."
            ) from error
        return rows._replace(columns={name: columns[name] for name in columns.fields})

    def listed(self, job: Mapping[str, Any]) -> Iterator[ScoreRows]:
        """Yields the rows of every range of a job, in its order.

        Raises:
            InputError: as `read`, or a part is about other entries than the job lists it for.
        """
        for each in job["parts"]:
            rows = self.read(each["key"])
            if (rows.file, rows.start, rows.stop) != (each["file"], each["start"], each["stop"]):
                raise InputError(
                    f"asked for the part {self._path(each['key'])}; it is about the entries {rows.start} to {rows.stop} of "
                    f"{rows.file}, not {each['start']} to {each['stop']} of {each['file']}. Delete it, and run its share again."
                )
            yield rows

    def remove(self) -> None:
        """Removes the parts, and the folder if nothing else is in it."""
        for path in [self.folder / _JOB, *self.folder.glob("*.npz"), *self.folder.glob(".*.part.*")]:
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # something else is in it
            self.folder.rmdir()

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.npz"


def _check_job(job: Mapping[str, Any]) -> None:
    """Refuses what `Parts.begin` does not write; a key that is a path, say, would lead out of the folder."""
    for name, kind in _KINDS.items():
        if not isinstance(job[name], kind):
            raise ValueError(f"{name} is {job[name]!r}")
    if job["file_format"] is not None and job["file_format"] not in FORMATS:
        raise ValueError(f"file_format is {job['file_format']!r}")
    for part in job["parts"]:
        if not (isinstance(part["file"], str) and _IS_KEY.fullmatch(part["key"])):
            raise ValueError(f"it lists the part {part}")
    if not all(len(each) == len(SkippedFile._fields) for each in job["skipped"]):
        raise ValueError(f"skipped is {job['skipped']}")


def _about(buffers: dict[str, Any]) -> dict[str, Any]:
    """Takes the description out of what was read of a part."""
    about: dict[str, Any] = parse_json(str(buffers.pop("about")))
    return about


def _rows(about: Mapping[str, Any]) -> ScoreRows:
    """The rows without their columns."""
    rows = ScoreRows(*about["rows"])
    if not (isinstance(rows.file, str) and isinstance(rows.damage, str) and all(type(n) is int for n in rows[1:4])):
        raise ValueError(f"it is about the rows {rows[:4]}")
    return rows
