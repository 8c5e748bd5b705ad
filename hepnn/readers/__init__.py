"""Reading: jets that keep the contract of `hepnn.jets`, out of the files physicists have.

`read_jets` reads everything, `iterate_jets` the same in steps. `iterate_chunks` says as well where each step comes
from, so that what is written can be aligned with it. All files are checked before the first is read: existence,
length, tree, branches and their types.

ROOT (TTree and RNTuple), Parquet, HDF5 and npz files are known by their first bytes; how particles hang on jets is
the layout of the schema. A step of a ROOT file needs at least one basket of one branch in memory: a file written with
huge baskets is read with as much memory as its largest one takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import awkward as ak

from hepnn.errors import InputError
from hepnn.expressions import compile_expression
from hepnn.readers.chunks import JetChunk, chunks_of
from hepnn.readers.preflight import BadFiles, Plan, SkippedFile, plan
from hepnn.readers.sources import Source
from hepnn.schema import Match, Schema

__all__ = [
    "DEFAULT_STEP",
    "JetChunk",
    "SkippedFile",
    "Source",
    "iterate_chunks",
    "iterate_jets",
    "match_of",
    "read_jets",
    "schema_of",
]

DEFAULT_STEP = 50_000
"""Entries at once: some 100 MB of jets."""


def iterate_chunks(
    source: Source,
    *,
    schema: str | Path | Schema = "auto",
    tree: str | None = None,
    max_jets: int | None = None,
    select: str | None = None,
    step: int = DEFAULT_STEP,
    observers: Sequence[str] = (),
    bad_files: BadFiles = "fail",
    skipped: list[SkippedFile] | None = None,
) -> Iterator[JetChunk]:
    """Yields the jets of ``source`` in order, at most ``step`` entries at once; an empty file gives one empty chunk.

    Args:
        source: ``file.root``, ``file.root:tree``, a glob, a folder, a URL, or several of these.
        schema: how the files spell jets: built-in name, TOML file, or "auto" to find it from the branches.
        tree: name of the tree; None to find it.
        max_jets: stop after so many jets; where an entry is an event, with the entry that has the last one.
        select: a formula of the jets' fields, such as ``pt > 500 & abs(eta) < 2``; jets that fail are left out.
        step: entries at once.
        observers: branches to copy to the jets under their own names.
        bad_files: "fail" at a damaged or differing file, or "skip" it.
        skipped: a list to which the files that were skipped are added.

    Raises:
        InputError: a setting makes no sense.
        SourceError: a file is missing, damaged or differs from the others; nothing is read before all are checked.
        SchemaError: the schema does not fit, or the selection cannot be read.
        DependencyError: the package for this format or protocol is missing.
    """
    if step < 1 or (max_jets is not None and max_jets < 0):
        raise InputError(f"asked for steps of {step} entries and at most {max_jets} jets; neither can be negative.")
    cut = None if select is None else compile_expression(select, where="the selection")
    made = plan(source, schema=schema, tree=tree, observers=observers, bad_files=bad_files, skipped=skipped)
    return chunks_of(made, step=step, max_jets=max_jets, select=cut, bad_files=bad_files, skipped=skipped)


def iterate_jets(
    source: Source,
    *,
    schema: str | Path | Schema = "auto",
    tree: str | None = None,
    max_jets: int | None = None,
    select: str | None = None,
    step: int = DEFAULT_STEP,
    observers: Sequence[str] = (),
    bad_files: BadFiles = "fail",
    skipped: list[SkippedFile] | None = None,
) -> Iterator[ak.Array]:
    """Yields the jets of ``source`` in order, (jet,) records, at most ``step`` entries at once.

    Arguments and errors are those of `iterate_chunks`; ``max_jets`` is exact.
    """
    chunks = iterate_chunks(
        source,
        schema=schema,
        tree=tree,
        max_jets=max_jets,
        select=select,
        step=step,
        observers=observers,
        bad_files=bad_files,
        skipped=skipped,
    )
    return (jets for _, jets in _exactly(chunks, max_jets))


def read_jets(
    source: Source,
    *,
    schema: str | Path | Schema = "auto",
    tree: str | None = None,
    max_jets: int | None = None,
    select: str | None = None,
    observers: Sequence[str] = (),
    bad_files: BadFiles = "fail",
    skipped: list[SkippedFile] | None = None,
) -> ak.Array:
    """Returns all jets of ``source``, (jet,) records that keep the contract of `hepnn.jets`, in order.

    Arguments and errors are those of `iterate_chunks`. A file that is skipped gives no jets at all.
    """
    if bad_files == "skip" and skipped is None:
        raise InputError("asked to skip bad files; give a list as skipped=, in which they are named at the end.")
    before = len(skipped or [])
    chunks = iterate_chunks(
        source,
        schema=schema,
        tree=tree,
        max_jets=max_jets,
        select=select,
        observers=observers,
        bad_files=bad_files,
        skipped=skipped,
    )
    read = list(_exactly(chunks, max_jets))
    bad = {each.file for each in (skipped or [])[before:]}
    parts = [jets for chunk, jets in read if chunk.file not in bad] or [jets[:0] for _, jets in read[:1]]
    return parts[0] if len(parts) == 1 else ak.concatenate(parts)


def _exactly(chunks: Iterator[JetChunk], max_jets: int | None) -> Iterator[tuple[JetChunk, ak.Array]]:
    """Yields each chunk and its jets, in all no more than ``max_jets``."""
    left = max_jets
    for chunk in chunks:
        jets = chunk.jets if left is None else chunk.jets[:left]
        if left is not None:
            left -= len(jets)
        yield chunk, jets


def schema_of(
    source: Source,
    *,
    schema: str | Path | Schema = "auto",
    tree: str | None = None,
    bad_files: BadFiles = "fail",
) -> Schema:
    """Returns the schema that reading ``source`` uses. Arguments and errors are those of `iterate_chunks`."""
    return plan(source, schema=schema, tree=tree, bad_files=bad_files, skipped=[]).schema


def match_of(source: Source, *, schema: str | Path | Schema = "auto", tree: str | None = None) -> Match:
    """Returns the schema that reading ``source`` uses and why. Arguments and errors as for `iterate_chunks`."""
    made: Plan = plan(source, schema=schema, tree=tree)
    return Match(made.schema, made.reason, made.others)
