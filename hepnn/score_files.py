"""Score files: which output the rows of each input go to, and writing them there."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from hepnn.errors import InputError, OutputError, SourceError
from hepnn.score_rows import ScoreRows
from hepnn.staging import make_folder, refuse_existing
from hepnn.writers import FORMATS, format_of, open_writer

__all__ = ["ScoreFiles", "Tagged"]


class Tagged(NamedTuple):
    """What `tag` wrote.

    Attributes:
        path: the file, or the folder of parts if it was a share of the work.
        n_entries: rows, as many as entries in the source.
        n_jets: jets scored.
        columns: names of what was written.
        n_reused: of the entries, those whose rows were there before, from a run that did not come to its end.
    """

    path: Path
    n_entries: int
    n_jets: int
    columns: tuple[str, ...]
    n_reused: int = 0


class ScoreFiles(NamedTuple):
    """Where rows go, and as what.

    Attributes:
        target: the file, or the folder of files.
        is_folder: each input has an output of its own in it.
        tree: of the output.
        file_format: ``ttree``, ``rntuple`` or ``parquet``; the suffix says if None.
        overwrite: replace files that are there.
    """

    target: Path
    is_folder: bool
    tree: str
    file_format: str | None
    overwrite: bool

    def targets(self, files: Iterable[str]) -> dict[str, Path]:
        """Returns the output of each input, before anything is scored.

        Raises:
            InputError: two inputs would have the same.
            OutputError: one exists, is of no known format, or is itself read from.
        """
        files = list(files)
        if not self.is_folder:
            format_of(self.target, self.file_format)
            refuse_existing(self.target, overwrite=self.overwrite)
            _refuse_inputs([self.target], files)
            return dict.fromkeys(files, self.target)
        suffix = FORMATS[self.file_format or "ttree"].suffix
        found: dict[Path, str] = {}
        for file in files:
            path = self.target / f"{Path(file).stem}_scores{suffix}"
            if path in found:
                raise InputError(
                    f"asked for one output each in {self.target}; two inputs are called {Path(file).name}. Tag them apart."
                )
            refuse_existing(path, overwrite=self.overwrite)
            found[path] = file
        _refuse_inputs(found, files)
        return {file: path for path, file in found.items()}

    def write(
        self, rows: Iterable[ScoreRows], targets: Mapping[str, Path], progress: Callable[[int], None] | None
    ) -> list[Tagged]:
        """Writes the rows to the output of their file; those of one output follow each other.

        Raises:
            SourceError: there are none.
            OutputError: a file cannot be written.
        """
        if self.is_folder:
            make_folder(self.target)
        done: list[Tagged] = []
        n_jets = 0
        for path, of_path in itertools.groupby(rows, key=lambda each: targets[each.file]):
            n_entries, n_before = 0, n_jets
            names: tuple[str, ...] = ()
            with open_writer(path, tree=self.tree, file_format=self.file_format, overwrite=self.overwrite) as extend:
                for each in of_path:
                    extend(each.columns)
                    names = tuple(each.columns)
                    n_entries += each.stop - each.start
                    n_jets += each.n_jets
                    if progress is not None:
                        progress(n_jets)
            done.append(Tagged(path, n_entries, n_jets - n_before, names))
        if not done:
            raise SourceError(f"asked to write {self.target}; none of the {len(targets)} files could be read.")
        return done


def _refuse_inputs(paths: Iterable[Path], files: Iterable[str]) -> None:
    """Refuses to write scores over the jets they are of."""
    inputs = {_identity(file) for file in map(Path, files) if file.exists()}
    for path in paths:
        if path.exists() and _identity(path) in inputs:
            raise OutputError(
                f"asked to write scores to {path}, which is read from; its jets would be lost. Name another file."
            )


def _identity(path: Path) -> tuple[int, int]:
    """What two names of one file share."""
    about = path.stat()
    return about.st_dev, about.st_ino
