"""Shards: training jets in Parquet files of hepnn's own, written once and streamed in a new order each epoch.

`hepnn.converting` reads any source and writes a folder of shards; `Shards` reads blocks of jets from it, so that a training
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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from hepnn import __version__
from hepnn.errors import DependencyError, SourceError
from hepnn.guarded import content_of, seal, unseal
from hepnn.jets import collections_of
from hepnn.schema import Schema

__all__ = [
    "BLOCK",
    "DESCRIPTION",
    "Shards",
    "is_shards",
    "jets_a_file",
    "require_pyarrow",
    "shard_name",
    "write_description",
    "write_shard",
]

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
        n_reused: of the jets, those whose shards were there before they were put together, from a conversion that did
            not come to its end.
    """

    folder: Path
    schema: Schema
    counts: dict[str, int]
    checksums: tuple[str, ...]
    n_reused: int = 0
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
            if len(checksums) != _n_files(shards.n_jets):
                raise ValueError(f"{len(checksums)} checksums for {shards.n_jets} jets")
        except SourceError:
            raise
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SourceError(
                f"asked for the shards in {folder}; {DESCRIPTION} is missing or damaged ({type(error).__name__}: {error}). "
                "Write them: hepnn convert FILES -o FOLDER."
            ) from error
        for number in range(len(checksums)):
            if not (found := shards.folder / shard_name(number)).exists():
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

    def checksum(self) -> str:
        """Returns what tells these shards from others: the SHA-256 of their description, which has those of the files."""
        return hashlib.sha256((self.folder / DESCRIPTION).read_bytes()).hexdigest()

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
        jets = ak.from_arrow(require_pyarrow().concat_tables(parts))
        for name in collections_of(jets):
            jets[name] = ak.with_name(jets[name], "Momentum4D")
        found, expected = len(jets), sum(map(self.size, blocks))
        if found != expected:
            raise SourceError(f"asked for {expected} jets in {self.folder}; found {found}. Convert the files again.")
        return ak.with_name(jets, "Momentum4D")

    def _read(self, number: int, groups: list[int]) -> Any:
        parquet, path = require_pyarrow().parquet, self.folder / shard_name(number)
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


def jets_a_file() -> int:
    """Returns the number of jets in each file of shards but the last."""
    return BLOCK * _BLOCKS_A_FILE


def _n_files(n_jets: int) -> int:
    return -(-n_jets // jets_a_file())


def write_shard(tables: Sequence[Any], where: Any, *, seed: int, number: int) -> None:
    """Writes the jets of one file, shuffled.

    Args:
        tables: of Arrow, (jet,).
        where: path, or a stream of Arrow's to write to.
        seed: of the conversion.
        number: of the file.
    """
    table = require_pyarrow().concat_tables(tables)
    order = np.random.default_rng([seed, number]).permutation(len(table))
    require_pyarrow().parquet.write_table(
        table.take(order), where, row_group_size=BLOCK, compression="zstd", write_page_checksum=True
    )


def write_description(folder: Path, *, schema: Schema, counts: Mapping[str, int]) -> None:
    """Writes what `Shards.open` reads, beside the shards."""
    about = {
        "format": _FORMAT,
        "hepnn": __version__,
        "schema": schema.to_dict(),
        "counts": dict(counts),
        "checksums": [_checksum(folder / shard_name(number)) for number in range(_n_files(sum(counts.values())))],
    }
    (folder / DESCRIPTION).write_text(seal(json.dumps(about, indent=1)))


def shard_name(number: int) -> str:
    """Returns what the file of this number is called."""
    return f"jets-{number:05}.parquet"


def _checksum(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            raise OSError("it is no file")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SourceError(f"asked to read {path}; {error.strerror or error}. Convert the files again.") from error


def require_pyarrow() -> Any:
    """Returns the package.

    Raises:
        DependencyError: it is missing.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DependencyError(
            "asked for shards, which are Parquet files; the package pyarrow is missing. Install it with "
            "pip install 'hepnn[parquet]'."
        ) from error
    return pyarrow
