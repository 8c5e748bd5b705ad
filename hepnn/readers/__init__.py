"""Reading: jets that keep the contract of `hepnn.jets`, out of the files physicists have.

`read_jets` reads everything, `iterate_jets` the same in steps. `open_jets` checks the files and returns them, with
their schema, to be read later, or in chunks that say where each jet comes from, so that what is written can be aligned
with it. `jets_of` makes jets of arrays that somebody else has read.

ROOT (TTree and RNTuple), Parquet, HDF5 and npz files are known by their first bytes; how particles hang on jets is
the layout of the schema. A step of a ROOT file needs at least one basket of one branch in memory: a file written with
huge baskets is read with as much memory as its largest one takes. What is decompressed for the next step, while this one
is in use, takes as much again, up to 256 MB.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import awkward as ak

from hepnn.readers.arrays import jets_of
from hepnn.readers.chunks import EntryRange, JetChunk, saying_where
from hepnn.readers.files import DEFAULT_STEP, JetFiles, open_jets
from hepnn.readers.preflight import BadFiles, SkippedFile
from hepnn.readers.sources import Source
from hepnn.schema import Schema

__all__ = [
    "DEFAULT_STEP",
    "BadFiles",
    "EntryRange",
    "JetChunk",
    "JetFiles",
    "SkippedFile",
    "Source",
    "iterate_jets",
    "jets_of",
    "open_jets",
    "read_jets",
    "saying_where",
]


def iterate_jets(
    source: Source,
    *,
    schema: str | Path | Schema = "auto",
    tree: str | None = None,
    select: str | None = None,
    observers: Sequence[str] = (),
    max_jets: int | None = None,
    step: int = DEFAULT_STEP,
) -> Iterator[ak.Array]:
    """Yields the jets of ``source`` in order, (jet,) records, at most ``step`` entries at once.

    Arguments and errors are those of `open_jets` and `hepnn.readers.files.JetFiles.chunks`; ``max_jets`` is exact.
    """
    files = open_jets(source, schema=schema, tree=tree, select=select, observers=observers)
    return files.iterate(step=step, max_jets=max_jets)


def read_jets(
    source: Source,
    *,
    schema: str | Path | Schema = "auto",
    tree: str | None = None,
    select: str | None = None,
    observers: Sequence[str] = (),
    max_jets: int | None = None,
) -> ak.Array:
    """Returns all jets of ``source``, (jet,) records that keep the contract of `hepnn.jets`, in order.

    Arguments and errors are those of `open_jets`. To leave damaged files out and learn which they were, use that:
    ``files = open_jets(source, bad_files="skip")``, ``files.read()``, ``files.skipped``.
    """
    return open_jets(source, schema=schema, tree=tree, select=select, observers=observers).read(max_jets=max_jets)
