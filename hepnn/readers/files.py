"""Jet files: checked, with the schema that fits them, ready to be read whole, in steps, or in chunks.

`open_jets` checks every file before the first is read: existence, length, tree, branches and their types. What it
returns knows the schema, and reads as often as it is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import awkward as ak

from hepnn.defaults import STEP as DEFAULT_STEP
from hepnn.errors import InputError
from hepnn.expressions import Expression, compile_expression
from hepnn.readers.chunks import EntryRange, JetChunk, chunk_of, chunks_of, ranges_of
from hepnn.readers.preflight import BadFiles, Plan, SkippedFile, plan
from hepnn.readers.sources import Source
from hepnn.schema import Match, Schema

__all__ = ["DEFAULT_STEP", "JetFiles", "open_jets"]


@dataclass(frozen=True)
class JetFiles:
    """Files whose jets can be read; made by `open_jets`.

    Attributes:
        plan: what is read of each file.
        select: the formula that jets have to pass, or None.
        observers: branches that are copied to the jets under their own names.
        bad_files: "fail" at a damaged file, or "skip" it.
        skipped: the files that were skipped so far; reading adds to it.
    """

    plan: Plan
    select: Expression | None
    observers: tuple[str, ...]
    bad_files: BadFiles
    skipped: list[SkippedFile]

    @property
    def schema(self) -> Schema:
        """How the files spell their jets."""
        return self.plan.schema

    @property
    def match(self) -> Match:
        """The schema, why it was taken, and which others fit."""
        return Match(self.plan.schema, self.plan.reason, self.plan.others)

    def chunks(self, *, step: int = DEFAULT_STEP, max_jets: int | None = None) -> Iterator[JetChunk]:
        """Yields the jets in order with where they come from; an empty file gives one empty chunk.

        Args:
            step: entries at once.
            max_jets: stop after so many jets; where an entry is an event, with the entry that has the last one.

        Raises:
            InputError: an argument is too small.
            SourceError: a file turns out to be damaged, and is not to be skipped.
            SchemaError: the columns do not fit the schema.
        """
        if step < 1:
            raise InputError(f"asked for steps of {step} entries; it takes at least 1.")
        if max_jets is not None and max_jets < 0:
            raise InputError(f"asked for at most {max_jets} jets; it takes 0 or more.")
        return chunks_of(
            self.plan,
            step=step,
            max_jets=max_jets,
            select=self.select,
            skipped=self.skipped if self.bad_files == "skip" else None,
        )

    def ranges(self, *, step: int = DEFAULT_STEP) -> list[EntryRange]:
        """Returns the entries of each chunk that `chunks` yields, to be read apart with `chunk`."""
        return ranges_of(self.plan, step=step)

    def chunk(self, entries: EntryRange, *, max_jets: int | None = None) -> JetChunk:
        """Returns the jets of some entries, as `chunks` would give them.

        Args:
            entries: of one file.
            max_jets: stop with the entry that has the last of so many jets.

        Raises:
            InputError: there are no such entries.
            SourceError: the file turns out to be damaged, whatever ``bad_files`` says.
            SchemaError: the columns do not fit the schema.
        """
        return chunk_of(self.plan, entries, select=self.select, max_jets=max_jets)

    def iterate(self, *, step: int = DEFAULT_STEP, max_jets: int | None = None) -> Iterator[ak.Array]:
        """Yields the jets in order, (jet,) records; as for `chunks`, but ``max_jets`` is exact."""
        return (jets for _, jets in self._exactly(step, max_jets))

    def read(self, *, max_jets: int | None = None) -> ak.Array:
        """Returns the jets, (jet,) records. A file that is skipped gives none at all. Errors as for `chunks`."""
        before = len(self.skipped)
        read = list(self._exactly(DEFAULT_STEP, max_jets))
        bad = {each.file for each in self.skipped[before:]}
        parts = [jets for chunk, jets in read if chunk.file not in bad] or [jets[:0] for _, jets in read[:1]]
        return parts[0] if len(parts) == 1 else ak.concatenate(parts)

    def _exactly(self, step: int, max_jets: int | None) -> Iterator[tuple[JetChunk, ak.Array]]:
        """Each chunk and its jets, in all no more than ``max_jets``."""
        left = max_jets
        for chunk in self.chunks(step=step, max_jets=max_jets):
            jets = chunk.jets if left is None else chunk.jets[:left]
            if left is not None:
                left -= len(jets)
            yield chunk, jets


def open_jets(
    source: Source,
    *,
    schema: str | Path | Schema = "auto",
    tree: str | None = None,
    select: str | None = None,
    observers: Sequence[str] = (),
    bad_files: BadFiles = "fail",
) -> JetFiles:
    """Returns the files that ``source`` means, all of them checked.

    Args:
        source: ``file.root``, ``file.root:tree``, a glob, a folder, a URL, or several of these.
        schema: how the files spell jets: built-in name, TOML file, or "auto" to find it from the branches.
        tree: name of the tree; None to find it.
        select: a formula of the jets' fields, such as ``pt > 500 & abs(eta) < 2``; jets that fail are left out. Names of
            classes, ``has_label`` and ``is_sound`` (`hepnn.oddities`) are true of such jets.
        observers: branches to copy to the jets under their own names.
        bad_files: "fail" at a damaged or differing file, or "skip" it.

    Raises:
        InputError: ``bad_files`` is neither.
        SourceError: a file is missing, damaged or differs from the others; or all were skipped.
        SchemaError: the schema does not fit, or the selection cannot be read.
        DependencyError: the package for this format or protocol is missing.
    """
    cut = None if select is None else compile_expression(select, where="the selection")
    skipped: list[SkippedFile] = []
    made = plan(source, schema=schema, tree=tree, observers=observers, bad_files=bad_files, skipped=skipped)
    return JetFiles(made, cut, tuple(observers), bad_files, skipped)
