"""Shards: training jets in Parquet files of hepnn's own, written once and streamed in a new order each epoch.

`convert` reads any source and writes a folder of shards; `Shards` reads blocks of jets from it, so that a training
needs no more memory than some thousand jets take, however many there are (`hepnn.streaming`). The files hold jets
under hepnn's own names (schema ``jets``): features are made when a training reads them, and any program that knows
Parquet can read them. ``shards.json`` beside them says how the jets were spelled where they came from, which the
trained tagger has to know, how many there are of each class, and the checksum of each file. A file is compared with it
before anything in it is used.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from hepnn import __version__, defaults
from hepnn.errors import DependencyError, InputError, OutputError, SourceError
from hepnn.guarded import content_of, seal, unseal
from hepnn.jets import collections_of, labels_of
from hepnn.prefetch import prefetched
from hepnn.readers import JetFiles, Source, open_jets
from hepnn.schema import Schema
from hepnn.staging import part_of, refuse_existing

__all__ = ["BLOCK", "DESCRIPTION", "Shards", "convert", "is_shards"]

BLOCK = 256
"""Jets in a block, the least that is read at once: small, so that many go into the window in which jets are shuffled."""

_BLOCKS_A_FILE = 200
"""Some 50,000 jets, some 100 MB of them in memory while they are written."""

DESCRIPTION = "shards.json"
_FORMAT = 2


@dataclass(frozen=True)
class Shards:
    """A folder of shards, as `convert` writes it.

    Attributes:
        folder: where they are.
        schema: how the jets were spelled in the files they came from.
        counts: jets of each class, by its name.
        checksums: SHA-256 of each file, in order.
    """

    folder: Path
    schema: Schema
    counts: dict[str, int]
    checksums: tuple[str, ...]
    _compared: set[int] = field(default_factory=set, repr=False, compare=False)

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Shards:
        """Returns the shards in a folder.

        Raises:
            SourceError: there are none, or they are not as hepnn writes them.
        """
        path = Path(folder) / DESCRIPTION
        try:
            about = unseal(content_of(path))
            if about["format"] != _FORMAT:
                raise SourceError(
                    f"asked for the shards in {folder}; their format is {about['format']!r}, this hepnn reads {_FORMAT}. "
                    "Convert the files again."
                )
            counts, checksums = dict(about["counts"]), tuple(about["checksums"])
            if not all(type(n) is int and n > 0 for n in counts.values()):
                raise ValueError(f"counts is {str(counts)[:100]}")
            shards = cls(Path(folder), Schema.from_dict(about["schema"]), counts, checksums)
            if len(checksums) != -(-shards.n_blocks // _BLOCKS_A_FILE):
                raise ValueError(f"{len(checksums)} checksums for {shards.n_jets} jets")
        except SourceError:
            raise
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SourceError(
                f"asked for the shards in {folder}; {DESCRIPTION} is missing or damaged ({type(error).__name__}: {error}). "
                "Write them: hepnn convert FILES -o FOLDER."
            ) from error
        for number in range(len(checksums)):
            if not (found := shards.folder / _name(number)).exists():
                raise SourceError(
                    f"asked for the shards in {folder}; {found.name} is missing. Convert the files again."
                )
        return shards

    @property
    def n_jets(self) -> int:
        """The number of jets."""
        return sum(self.counts.values())

    @property
    def n_blocks(self) -> int:
        """The number of blocks; each has `BLOCK` jets, but for the last."""
        return -(-self.n_jets // BLOCK)

    def size(self, block: int) -> int:
        """Returns the number of jets in a block."""
        return min(BLOCK, self.n_jets - block * BLOCK)

    def read(self, blocks: Iterable[int]) -> ak.Array:
        """Returns the jets of some blocks, (jet,) records, those of one file side by side.

        Raises:
            SourceError: a file is missing or damaged.
        """
        files: dict[int, list[int]] = {}
        blocks = sorted(map(int, blocks))
        for block in blocks:
            files.setdefault(block // _BLOCKS_A_FILE, []).append(block % _BLOCKS_A_FILE)
        parts = [self._read(number, groups) for number, groups in files.items()]
        jets = ak.from_arrow(_pyarrow().concat_tables(parts))
        for name in collections_of(jets):
            jets[name] = ak.with_name(jets[name], "Momentum4D")
        found, expected = len(jets), sum(map(self.size, blocks))
        if found != expected:
            raise SourceError(f"asked for {expected} jets in {self.folder}; found {found}. Convert the files again.")
        return ak.with_name(jets, "Momentum4D")

    def _read(self, number: int, groups: list[int]) -> Any:
        parquet, path = _pyarrow().parquet, self.folder / _name(number)
        if number not in self._compared and _checksum(path) != self.checksums[number]:
            raise SourceError(
                f"asked to read {path}; it does not have the checksum that {DESCRIPTION} gives: it is damaged or was "
                "changed. Convert the files again."
            )
        self._compared.add(number)
        try:
            with parquet.ParquetFile(path, page_checksum_verification=True) as file:
                return file.read_row_groups(groups)
        except Exception as error:  # a damaged page can raise anything in the parser
            raise SourceError(f"asked to read {path}; {str(error)[:200]}. Convert the files again.") from error


def is_shards(source: Any) -> bool:
    """Returns whether a source is the name of one folder with shards."""
    one = source[0] if isinstance(source, Sequence) and not isinstance(source, str) and len(source) == 1 else source
    return isinstance(one, str | os.PathLike) and (Path(one) / DESCRIPTION).is_file()


def convert(
    source: Source | JetFiles,
    output: str | os.PathLike[str],
    *,
    seed: int = defaults.SEED,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Shards:
    """Writes labelled jets to a folder of shards, for trainings that stream them, and returns it.

    The jets of each file, some 50,000, are shuffled.

    Args:
        source: what `hepnn.open_jets` takes; or what it returns, for a schema, a selection or observers.
        output: the folder.
        seed: of the shuffling.
        overwrite: replace shards that are there.
        progress: called with the number of jets done.

    Raises:
        InputError: the jets have no labels, or there are none.
        SourceError, SchemaError: the source cannot be read.
        OutputError: the folder exists, or cannot be written.
        DependencyError: pyarrow is missing.
    """
    pyarrow = _pyarrow()
    folder = Path(output)
    refuse_existing(folder, overwrite=overwrite)
    if folder.exists() and not (folder / DESCRIPTION).is_file() and any(folder.iterdir()):
        raise OutputError(f"asked to overwrite {folder}, which holds something else than shards. Choose another name.")
    files = source if isinstance(source, JetFiles) else open_jets(source)
    counts: Counter[str] = Counter()
    waiting: list[Any] = []
    n_waiting = n_files = 0
    full = BLOCK * _BLOCKS_A_FILE
    part = part_of(folder)

    def write(table: Any) -> None:
        nonlocal n_files
        order = np.random.default_rng([seed, n_files]).permutation(len(table))
        pyarrow.parquet.write_table(
            table.take(order), part / _name(n_files), row_group_size=BLOCK, compression="zstd", write_page_checksum=True
        )
        n_files += 1

    try:
        part.mkdir(parents=True)
        for jets in prefetched(files.iterate()):
            counts.update(labels_of(jets).tolist())
            table = ak.to_arrow_table(jets, extensionarray=False)
            waiting.append(table.cast(waiting[0].schema) if waiting else table)
            n_waiting += len(table)
            while n_waiting >= full:
                joined = pyarrow.concat_tables(waiting)
                write(joined.slice(0, full))
                waiting, n_waiting = [joined.slice(full)], n_waiting - full
            if progress is not None:
                progress(counts.total())
        if not counts:
            raise InputError("asked to convert jets; found none. Name files that hold jets.")
        if n_waiting:
            write(pyarrow.concat_tables(waiting))
        about = {
            "format": _FORMAT,
            "hepnn": __version__,
            "schema": files.schema.to_dict(),
            "counts": dict(counts),
            "checksums": [_checksum(part / _name(number)) for number in range(n_files)],
        }
        (part / DESCRIPTION).write_text(seal(json.dumps(about, indent=1)))
        if folder.exists():
            shutil.rmtree(folder)
        part.replace(folder)
    except OSError as error:
        raise OutputError(f"asked to write shards to {folder}; {error}. Choose a folder you may write to.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return Shards.open(folder)


def _name(number: int) -> str:
    return f"jets-{number:05}.parquet"


def _checksum(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            raise OSError("it is no file")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SourceError(f"asked to read {path}; {error.strerror or error}. Convert the files again.") from error


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DependencyError(
            "asked for shards, which are Parquet files; the package pyarrow is missing. Install it with "
            "pip install 'hepnn[parquet]'."
        ) from error
    return pyarrow
