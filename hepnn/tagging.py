"""Tagging: a source and a tagger in, a file of scores aligned with the source out; or labels and scores to judge.

Files are read in steps, so memory does not grow with them, and a thread reads and makes features while the jets before
are scored. `tag` is the Python face of ``hepnn tag``, on one processor or many, and `merge` that of ``hepnn merge``.
"""

from __future__ import annotations

import functools
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
import numpy.typing as npt

from hepnn import defaults
from hepnn.drift import Counts, add_counts, drifts, warnings_of_drift
from hepnn.errors import HepnnWarning, InputError
from hepnn.jets import labels_of
from hepnn.jobs import TaggingJob, tagging_job
from hepnn.oddities import warn_of_odd
from hepnn.parts import SUFFIX, Parts
from hepnn.prefetch import prefetched
from hepnn.ranges import until_damage
from hepnn.readers import DEFAULT_STEP, JetFiles, SkippedFile, Source, open_jets
from hepnn.score_files import ScoreFiles, Tagged
from hepnn.score_rows import ScoreRows, default_prefix, rows_of, unscored
from hepnn.staging import named
from hepnn.working_points import WorkingPoint, read_working_point
from hepnn.writers import FORMATS

__all__ = ["Merged", "Scored", "Tagged", "merge", "score", "tag"]


class Scored(NamedTuple):
    """Jets with truth and scores.

    Attributes:
        labels: (jet,) class names.
        probabilities: (jet, class).
        columns: further columns by name, (jet,).
    """

    labels: npt.NDArray[Any]
    probabilities: npt.NDArray[np.float32]
    columns: dict[str, npt.NDArray[Any]]


class Merged(NamedTuple):
    """What `merge` wrote.

    Attributes:
        tagged: each file.
        tree: its tree.
        skipped: the inputs that were left out or end early, because they are damaged.
    """

    tagged: list[Tagged]
    tree: str
    skipped: list[SkippedFile]


def _opened(source: Source | JetFiles, tagger: Any) -> JetFiles:
    return source if isinstance(source, JetFiles) else open_jets(source, schema=tagger.read_schema() or "auto")


def tag(
    source: Source | JetFiles,
    tagger: Any,
    output: str | os.PathLike[str],
    *,
    output_tree: str = defaults.SCORE_TREE,
    prefix: str | None = None,
    file_format: str | None = None,
    working_point: Sequence[WorkingPoint | str | os.PathLike[str]] = (),
    overwrite: bool = False,
    step: int = DEFAULT_STEP,
    workers: int | None = None,
    client: Any = None,
    part: tuple[int, int] | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[Tagged]:
    """Writes the scores of all jets in ``source`` and returns what was written.

    One entry of the source is one row of the output, in order: a number a class where an entry is a jet, a list of
    numbers where an entry is an event. A jet that fails the selection has NaN for each class, so the rows still match.
    Observers are copied beside the scores. A `HepnnWarning` says so where jets look unlike those of the training
    (`hepnn.drift`), or like those of no physics (`hepnn.oddities`).

    With ``workers``, ``client`` or ``part`` the work is cut into ranges of ``step`` entries. What each gives is kept in
    the folder ``<output>.parts`` until all are there, so that the same call, after whatever interrupted it, does only
    what is missing. The scores are those of one process, to the last bit.

    Args:
        source: what `hepnn.open_jets` takes, read with the tagger's schema; or what it returns, for another schema, a
            selection, observers, or files that are skipped.
        tagger: a trained `hepnn.Tagger`.
        output: the file for the scores of all inputs, ``*.root`` or ``*.parquet``; or a folder, for one file
            ``<input>_scores.root`` each.
        output_tree: name of the tree to write.
        prefix: of the columns' names, followed by the class; None for ``hepnn_``, and ``Jet_hepnn_`` where an entry is
            an event and its jets are called ``Jet``.
        file_format: "ttree", "rntuple" or "parquet"; None for what the output's name says.
        working_point: cuts, or the JSON files that hold them; each adds a column of booleans with its name, false for
            jets that fail the selection.
        overwrite: replace existing files.
        step: entries read and scored at once.
        workers: processes to start on this machine, each with one thread. A script that does has to begin its work
            under ``if __name__ == "__main__":``, because the processes import it.
        client: a ``distributed.Client``, or the address of a Dask scheduler, to whose workers the ranges are given.
        part: (i, n) for the i-th of n shares, counted from 1; `merge` joins them.
        progress: called with the number of jets done.

    Raises:
        SourceError, SchemaError: the source cannot be read.
        FeatureError: the jets lack what the tagger looks at.
        InputError: a momentum is none (`hepnn.oddities`), two inputs would have the same output, no such share, or a
            working point cannot be read or is about other classes.
        OutputError: a file exists or cannot be written.
        ClusterError: the workers cannot be reached, or died of their work several times.
    """
    files = _opened(source, tagger)
    prefix = default_prefix(files.schema) if prefix is None else prefix
    points = tuple(each if isinstance(each, WorkingPoint) else read_working_point(each) for each in working_point)
    for point in points:
        _check_classes(point, tagger)
    writing = ScoreFiles(
        named(output), Path(output).is_dir() or str(output).endswith(os.sep), output_tree, file_format, overwrite
    )
    tally = _Tally({}, Counter())
    if workers is not None or client is not None or part is not None:
        job = tagging_job(files, tagger, prefix=prefix, points=points, step=step)
        done = _tag_in_parts(job, writing, tally, workers=workers, client=client, part=part, progress=progress)
    else:
        waiting = prefetched(unscored(tagger, chunk) for chunk in files.chunks(step=step))
        rows = (
            rows_of(jets, tagger=tagger, prefix=prefix, observers=files.observers, points=points) for jets in waiting
        )
        targets = writing.targets([table.file for table in files.plan.tables])
        done = writing.write(map(tally.add, rows), targets, progress)
    for text in warnings_of_drift(drifts(tagger.seen_, tally.counts)):
        warnings.warn(text, HepnnWarning, stacklevel=2)
    warn_of_odd(tally.odd)
    return done


class _Tally(NamedTuple):
    """How all jets compare with those of the training, and how many are odd; it grows as rows are made."""

    counts: Counts
    odd: Counter[str]

    def add(self, rows: ScoreRows) -> ScoreRows:
        """Returns the rows."""
        self.counts.update(add_counts(self.counts, rows.counts or {}))
        self.odd.update(rows.odd)
        return rows


def _check_classes(point: WorkingPoint, tagger: Any) -> None:
    """Refuses a working point of another tagger, as far as one can see."""
    known = tuple(map(str, tagger.classes_))
    for name in (point.signal, point.background, *(point.fractions or ())):
        if name is not None and name not in known:
            raise InputError(
                f"asked for the working point {point.name!r}, which is about the class {name!r}; the tagger knows "
                f"{', '.join(known)}. Make one with this tagger: hepnn evaluate FILES --working-point efficiency=0.5."
            )


def merge(
    parts: str | os.PathLike[str],
    *,
    output: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Merged:
    """Joins the shares of a tagging, once all are there, and returns what was written; the parts are removed.

    Every range of entries has to be there once, undamaged, with a row for each entry, and what is written is read back.

    Args:
        parts: the folder ``<output>.parts``.
        output: the file, or folder, for the scores; None for the one that was named when the shares were made.
        overwrite: replace existing files.
        progress: called with the number of jets done.

    Raises:
        InputError: no such folder, or a part is missing or damaged.
        OutputError: a file exists or cannot be written.
    """
    folder = Parts(Path(parts), ScoreRows)
    job = _checked(folder)
    name = folder.folder.name
    if output is None and not name.endswith(SUFFIX):
        raise InputError(f"asked to merge {parts}, whose name does not say where to; name the output: -o FILE.")
    target = folder.folder.with_name(name.removesuffix(SUFFIX)) if output is None else Path(output)
    writing = ScoreFiles(target, job["is_folder"], job["tree"], job["file_format"], overwrite)
    missing = [each for each in job["parts"] if folder.about(each["key"]) is None]
    if missing:
        first = missing[0]
        raise InputError(
            f"asked to merge {parts}; {len(missing)} of {len(job['parts'])} parts are missing, the first of the entries "
            f"{first['start']} to {first['stop']} of {first['file']}. Run the shares that make them, again if they "
            "stopped: what is done is kept."
        )
    skipped = [SkippedFile(*each) for each in job["skipped"]]
    targets = writing.targets(dict.fromkeys(each["file"] for each in job["parts"]))
    done = writing.write(until_damage(_listed(folder, job), skipped), targets, progress)
    folder.remove()
    return Merged(done, writing.tree, skipped)


_JOB: dict[str, Any] = {"is_folder": bool, "tree": str, "file_format": str | None, "skipped": list, "parts": list}
"""What a job of shares says."""


def _checked(folder: Parts[ScoreRows]) -> dict[str, Any]:
    """The job of a folder; refuses what no share writes."""
    job = folder.job()
    try:
        for name, kind in _JOB.items():
            if not isinstance(job[name], kind):
                raise ValueError(f"{name} is {job[name]!r}")
        if job["file_format"] is not None and job["file_format"] not in FORMATS:
            raise ValueError(f"file_format is {job['file_format']!r}")
        for part in job["parts"]:
            if not (isinstance(part["file"], str) and isinstance(part["key"], str)):
                raise ValueError(f"it lists the part {part}")
        if not all(len(each) == len(SkippedFile._fields) for each in job["skipped"]):
            raise ValueError(f"skipped is {job['skipped']}")
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"asked to merge {folder.folder}; its job is not as hepnn writes it ({type(error).__name__}: {error}). Name the "
            "folder that `hepnn tag --part i/n` wrote, *.parts."
        ) from error
    return job


def _listed(folder: Parts[ScoreRows], job: Mapping[str, Any]) -> Iterator[ScoreRows]:
    """The rows of every range of a job, in its order; refuses a part that is about others."""
    for each in job["parts"]:
        rows = folder.read(each["key"])
        if (rows.file, rows.start, rows.stop) != (each["file"], each["start"], each["stop"]):
            raise InputError(
                f"asked for the part {each['key']} of {folder.folder}; it is about the entries {rows.start} to {rows.stop} of "
                f"{rows.file}, not {each['start']} to {each['stop']} of {each['file']}. Delete it, and run its share again."
            )
        yield rows


def _tag_in_parts(
    job: TaggingJob,
    writing: ScoreFiles,
    tally: _Tally,
    *,
    workers: int | None,
    client: Any,
    part: tuple[int, int] | None,
    progress: Callable[[int], None] | None,
) -> list[Tagged]:
    ranges, keys = job.ranges, job.keys
    targets = writing.targets([table.file for table in ranges.files.plan.tables])
    indices = ranges.share(part)
    folder = Parts(writing.target.with_name(writing.target.name + SUFFIX), ScoreRows)
    places = map(ranges.place, range(len(keys)))
    folder.begin(
        {
            "is_folder": writing.is_folder,
            "tree": writing.tree,
            "file_format": writing.file_format,
            "skipped": ranges.files.skipped,
            "parts": [
                {"file": file, "start": start, "stop": stop, "key": key}
                for (file, start, stop), key in zip(places, keys, strict=True)
            ],
        }
    )
    make = job.iterate
    if workers is not None or client is not None:
        from hepnn import cluster

        make = functools.partial(cluster.compute, job.rows, client=client, workers=workers)
    before = folder.gather(keys, indices, make=make, progress=progress)
    made = [folder.about(keys[index]) for index in indices]
    n_jets = sum(rows.n_jets for rows in map(tally.add, until_damage(filter(None, made), [])))
    if part is not None:
        columns = tuple(folder.read(keys[indices[0]]).columns) if indices else ()
        n_entries, n_reused = (sum(map(ranges.size, which)) for which in (indices, before))
        return [Tagged(folder.folder, n_entries, n_jets, columns, n_reused)]
    merged = merge(folder.folder, overwrite=writing.overwrite)
    ranges.files.skipped[:] = merged.skipped
    return [
        each._replace(n_reused=sum(ranges.size(i) for i, rows in before.items() if targets[rows.file] == each.path))
        for each in merged.tagged
    ]


def score(
    source: Source | JetFiles,
    tagger: Any,
    *,
    columns: Sequence[str] = (),
    max_jets: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Scored:
    """Returns truth and scores of the jets in ``source``, in order, to judge a tagger by.

    Args:
        source: as for `tag`.
        tagger: a trained `hepnn.Tagger`.
        columns: fields of the jets to return as well, such as a weight or ``pt``.
        max_jets: stop after so many.
        progress: called with the number of jets done.

    Raises:
        InputError: the source has no labels, no such column, or no jets.
        SourceError, SchemaError, FeatureError: as in `tag`.
    """
    labels, probabilities, kept = [], [], []
    read = ((jets, tagger.tensors(jets)) for jets in _opened(source, tagger).iterate(max_jets=max_jets))
    for jets, tensors in prefetched(read):
        for name in columns:
            if name not in jets.fields:
                raise InputError(
                    f"asked for the column {name!r} of the jets; found only {', '.join(jets.fields)}. "
                    "Name it among the observers in the schema."
                )
        labels.append(labels_of(jets))
        probabilities.append(tagger.scores(tensors))
        kept.append({name: ak.to_numpy(jets[name]) for name in columns})
        if progress is not None:
            progress(sum(map(len, labels)))
    if not sum(map(len, labels)):
        raise InputError("asked to judge a tagger; found no jets in what was read. Name files that hold jets.")
    return Scored(
        np.concatenate(labels),
        np.concatenate(probabilities),
        {name: np.concatenate([part[name] for part in kept]) for name in columns},
    )
