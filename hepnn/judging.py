"""Judging: jets read once, and what every tagger says of them, with the columns that numbers are shown against.

Files and taggers go in, a `Sample` comes out: NumPy arrays of labels, ratings and columns, with a few jets to look at.
`hepnn.evaluation` makes numbers of them, `hepnn.evaluation_page` a page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
import numpy.typing as npt

from hepnn.drift import Counts, Drift, add_counts, count, drifts
from hepnn.errors import FeatureError, InputError, closest
from hepnn.features import JET_FEATURES, evaluate_features
from hepnn.friends import Friend, Rating, branches_for, rate, read_friend
from hepnn.jets import collections_of, labels_of, members_of
from hepnn.kinematics import invariant_mass
from hepnn.oddities import fingerprints, odd_in, repeated_in, warn_of_odd
from hepnn.prefetch import prefetched
from hepnn.readers import JetChunk, JetFiles
from hepnn.tensors import Tensors

__all__ = ["Sample", "column_of", "judge", "observers_for", "tensors_of"]

N_SHOWN = 10_000
"""Jets kept to be looked at: enough for a smooth average image."""


class Sample(NamedTuple):
    """Jets with truth, and what taggers say of them.

    Attributes:
        labels: (jet,) class names.
        ratings: by the tagger's name.
        columns: further numbers, (jet,), by name.
        shown: the first jets, as they were read.
        n_entries: entries read of the files.
        drifts: by tagger, how its features differ from those of its training.
        odd: numbers of odd jets by what they are, `hepnn.oddities`.
    """

    labels: npt.NDArray[Any]
    ratings: dict[str, Rating]
    columns: dict[str, npt.NDArray[Any]]
    shown: ak.Array
    n_entries: int
    drifts: Mapping[str, tuple[Drift, ...]] = MappingProxyType({})
    odd: Mapping[str, int] = MappingProxyType({})


def tensors_of(tagger: Any, chunk: JetChunk) -> Tensors:
    """Returns what a tagger sees of the jets of a chunk; an error says where they come from.

    Raises:
        InputError, FeatureError: as `hepnn.Tagger.tensors`.
    """
    try:
        made: Tensors = tagger.tensors(chunk.jets)
    except (InputError, FeatureError) as error:
        raise type(error)(f"in {chunk.file}, entries {chunk.start} to {chunk.stop}: {error}") from error
    return made


def column_of(jets: ak.Array, name: str) -> npt.NDArray[np.float64]:
    """Returns one number a jet, (jet,).

    Args:
        jets: (jet,) records.
        name: one of their fields; ``mass``, of their four-momentum in GeV; ``abs_eta``; ``n_particles`` and the like; or
            a name in `hepnn.features.JET_FEATURES`.

    Raises:
        InputError: there is no such number.
    """
    collections = {f"n_{each}": each for each in collections_of(jets)}
    if name in jets.fields and jets[name].ndim == 1 and not jets[name].fields:
        try:
            return np.ma.filled(np.ma.asarray(ak.to_numpy(jets[name])).astype(np.float64), np.nan)
        except (ValueError, TypeError) as error:
            raise InputError(f"asked for the column {name!r} of the jets, which holds no numbers: {error}") from error
    if name == "mass":
        with np.errstate(all="ignore"):  # what is not finite is counted where it is shown
            return invariant_mass(*(ak.to_numpy(jets[each]).astype(np.float64) for each in ("pt", "eta", "energy")))
    if name == "abs_eta":
        return np.abs(ak.to_numpy(jets.eta).astype(np.float64))
    if name in collections:
        return ak.to_numpy(ak.num(jets[collections[name]])).astype(np.float64)
    if name in JET_FEATURES and members_of(jets) == "particles":
        return evaluate_features(jets, [JET_FEATURES[name]], collection=None)[:, 0].astype(np.float64)
    known = {*jets.fields, "mass", "abs_eta", *collections, *JET_FEATURES} - set(collections.values())
    raise InputError(
        f"asked for the column {name!r} of the jets; closest: {closest(name, known)}. Known are their fields, mass, "
        f"abs_eta, {', '.join(collections)}, and the jet features; branches of the file that the schema does not name have to "
        "be among the observers."
    )


def judge(
    files: JetFiles,
    *,
    taggers: Mapping[str, Any] | None = None,
    friends: Sequence[Friend] = (),
    columns: Sequence[str] = (),
    max_jets: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Sample:
    """Returns truth, and what each tagger and friend says, of the jets in ``files``, in order.

    Args:
        files: what `hepnn.open_jets` returns.
        taggers: trained, by name.
        friends: scores of other programs; each has as many rows as the files have entries.
        columns: further numbers a jet, as `column_of` knows them.
        max_jets: stop after so many.
        progress: called with the number of jets done.

    Raises:
        InputError: no labels, jets, column or branch, or rows that differ.
        SourceError, SchemaError, FeatureError: as in `hepnn.tagging.tag`.
    """
    taggers, classes = taggers or {}, tuple(files.schema.labels)
    n_rows = sum(table.n_entries for table in files.plan.tables)
    friends = [read_friend(friend, classes=classes, n_rows=n_rows) for friend in friends]
    labels: list[Any] = []
    kept: dict[str, list[Any]] = {name: [] for name in columns}
    ratings: dict[str, list[Rating]] = {name: [] for name in (*taggers, *(friend.name for friend in friends))}
    if len(ratings) < len(taggers) + len(friends):
        raise InputError("asked to compare taggers; two have the same name. Give scores another with NAME=.")
    counts: dict[str, Counts] = {name: {} for name in taggers}
    shown: list[ak.Array] = []
    odd: Counter[str] = Counter()
    prints: list[npt.NDArray[np.uint64]] = []
    left, n_entries, n_skipped = max_jets, 0, len(files.skipped)
    made = (
        (chunk, [tensors_of(tagger, chunk) for tagger in taggers.values()]) for chunk in files.chunks(max_jets=max_jets)
    )
    for chunk, tensors in prefetched(made):
        jets = chunk.jets if left is None else chunk.jets[:left]
        if len(files.skipped) > n_skipped and any(friend.place for friend in friends):
            raise InputError(
                f"asked for scores beside jets; {files.skipped[-1].file} turned out to be damaged, so rows no longer "
                "match. Restore it, or judge the other files by themselves."
            )
        labels.append(labels_of(jets))
        odd.update(odd_in(jets))
        prints.append(fingerprints(jets))
        for (name, tagger), given in zip(taggers.items(), tensors, strict=True):
            scores = tagger.scores(given)[: len(jets)]
            ratings[name].append(Rating(tuple(map(str, tagger.classes_)), scores))
            counts[name] = add_counts(counts[name], count(tagger.seen_, given))
        for friend in friends:
            ratings[friend.name].append(rate(friend, chunk, jets, start=n_entries, classes=classes))
        for name in columns:
            kept[name].append(column_of(jets, name))
        n_done = sum(map(len, labels))
        if n_done - len(jets) < N_SHOWN:
            shown.append(jets[: N_SHOWN - n_done + len(jets)])
        n_entries += chunk.stop - chunk.start
        left = None if left is None else left - len(jets)
        if progress is not None:
            progress(n_done)
    if not sum(map(len, labels)):
        raise InputError("asked to judge a tagger; found no jets in what was read. Name files that hold jets.")
    odd.update(repeated_in(np.concatenate(prints)))
    warn_of_odd(odd)
    return Sample(
        np.concatenate(labels),
        {
            name: Rating(parts[0].classes, np.concatenate([part.values for part in parts]))
            for name, parts in ratings.items()
        },
        {name: np.concatenate(parts) for name, parts in kept.items()},
        shown[0] if len(shown) == 1 else ak.concatenate(shown),
        n_entries,
        {name: drifts(tagger.seen_, counts[name]) for name, tagger in taggers.items()},
        odd,
    )


def observers_for(files: JetFiles, friends: Sequence[Friend], columns: Sequence[str]) -> tuple[str, ...]:
    """Returns the branches that have to be read beside what the schema names: of columns, and of scores among the jets.

    Raises:
        InputError: the files have no such branch.
    """
    known = {*files.schema.jets, *files.schema.observers, "mass", "abs_eta", *JET_FEATURES}
    known |= {f"n_{name}" for name in files.schema.collections}
    there = files.plan.tables[0].types
    wanted = [name for name in columns if name not in known and name in there]
    for friend in friends:
        if not friend.place:
            names = {*there, *files.schema.jets, *files.schema.observers}
            found = branches_for(friend, names, classes=tuple(files.schema.labels)).values()
            wanted += [name for name in found if name not in known]
    return tuple(dict.fromkeys(wanted))
