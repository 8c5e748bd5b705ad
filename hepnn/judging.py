"""Judging: jets read once, and what every tagger says of them, with the columns that numbers are shown against.

Files and taggers go in, a `Sample` comes out: NumPy arrays of labels, ratings and columns, with a few jets to look at.
`hepnn.evaluation` makes numbers of them, `hepnn.evaluation_page` a page.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
import numpy.typing as npt

from hepnn.drift import Counts, Drift, add_counts, count, drifts
from hepnn.errors import InputError, closest
from hepnn.features import JET_FEATURES, evaluate_features
from hepnn.friends import Friend, Rating, branches_for, rate, read_friend
from hepnn.jets import collections_of, labels_of, members_of
from hepnn.kinematics import invariant_mass
from hepnn.oddities import fingerprints, odd_in, repeated_in, warn_of_odd
from hepnn.prefetch import prefetched
from hepnn.ranges import Ranges, until_damage
from hepnn.readers import JetChunk, JetFiles, SkippedFile, saying_where
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
    with saying_where(chunk):
        made: Tensors = tagger.tensors(chunk.jets)
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
    workers: int | None = None,
    client: Any = None,
    progress: Callable[[int], None] | None = None,
) -> Sample:
    """Returns truth, and what each tagger and friend says, of the jets in ``files``, in order.

    Args:
        files: what `hepnn.open_jets` returns.
        taggers: trained, by name.
        friends: scores of other programs; each has as many rows as the files have entries.
        columns: further numbers a jet, as `column_of` knows them.
        max_jets: stop after so many.
        workers: processes to start on this machine, as in `hepnn.tag`.
        client: a ``distributed.Client``, or the address of a Dask scheduler, whose workers read and score; what is
            returned is the same, to the last bit.
        progress: called with the number of jets done.

    Raises:
        InputError: no labels, jets, column or branch, or rows that differ.
        SourceError, SchemaError, FeatureError: as in `hepnn.tagging.tag`.
        ClusterError: the workers cannot be reached, or died of their work several times.
    """
    if max_jets is not None and max_jets < 0:
        raise InputError(f"asked to judge at most {max_jets} jets; give a number from 0 on, or None for all.")
    taggers, classes = dict(taggers or {}), tuple(files.schema.labels)
    n_rows = sum(table.n_entries for table in files.plan.tables)
    friends = [read_friend(friend, classes=classes, n_rows=n_rows) for friend in friends]
    inside, beside = ([friend for friend in friends if bool(friend.place) == apart] for apart in (False, True))
    ratings: dict[str, list[Rating]] = {name: [] for name in (*taggers, *(friend.name for friend in friends))}
    if len(ratings) < len(taggers) + len(friends):
        raise InputError("asked to compare taggers; two have the same name. Give scores another with NAME=.")
    work = _Work(Ranges.of(files), taggers, tuple(inside), tuple(columns))
    labels: list[Any] = []
    kept: dict[str, list[Any]] = {name: [] for name in columns}
    counts: dict[str, Counts] = {name: {} for name in taggers}
    odd: Counter[str] = Counter()
    prints: list[npt.NDArray[np.uint64]] = []
    first: list[tuple[_Piece, int]] = []
    n_done, n_entries, n_skipped = 0, 0, len(files.skipped)
    with contextlib.ExitStack() as opened:
        pieces = work.here(files, max_jets=max_jets)
        if workers is not None or client is not None:
            from hepnn import cluster

            client = opened.enter_context(cluster.connected(client, workers=workers))
            pieces = work.on_workers(client, skipped=files.skipped, max_jets=max_jets)
        for piece in opened.enter_context(contextlib.closing(pieces)):
            if len(files.skipped) > n_skipped and beside:
                raise InputError(
                    f"asked for scores beside jets; {files.skipped[-1].file} turned out to be damaged, so rows no longer "
                    "match. Restore it, or judge the other files by themselves."
                )
            n_jets = len(piece.labels) if max_jets is None else min(len(piece.labels), max_jets - n_done)
            of_friends = {f.name: rate(f, piece.chunk, start=n_entries, classes=classes) for f in beside}
            labels.append(piece.labels[:n_jets])
            odd.update(piece.odd)
            prints.append(piece.prints)
            for name, rating in {**piece.ratings, **of_friends}.items():
                ratings[name].append(rating._replace(values=rating.values[:n_jets]))
            for name, values in piece.columns.items():
                kept[name].append(values[:n_jets])
            for name, more in piece.counts.items():
                counts[name] = add_counts(counts[name], more)
            if n_done < N_SHOWN:
                first.append((piece, min(n_jets, N_SHOWN - n_done)))
            n_done += n_jets
            n_entries += piece.chunk.stop - piece.chunk.start
            if progress is not None:
                progress(n_done)
        jets = [piece.chunk.jets for piece, _ in first]
        if client is not None:  # jets stayed where they were read
            read = dict(cluster.run(work.jets, [piece.at for piece, _ in first], client=client))
            jets = [read[piece.at] for piece, _ in first]
        shown = [each[:n] for each, (_, n) in zip(jets, first, strict=True)]
    if not n_done:
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


class _Piece(NamedTuple):
    """What is said of the jets of some entries of one file.

    Attributes:
        chunk: where they come from; and the jets, if they are in this process.
        labels: (jet,) class names.
        ratings: by tagger, and by friend in the jets' own files.
        columns: further numbers, (jet,), by name.
        counts: by tagger, how the jets compare with those of its training.
        odd: numbers of odd jets, `hepnn.oddities.odd_in`.
        prints: (jet with members,), `hepnn.oddities.fingerprints`.
        damage: why nothing could be read, or "".
        at: index of the range; -1 in one process.
    """

    chunk: JetChunk
    labels: npt.NDArray[Any]
    ratings: Mapping[str, Rating]
    columns: Mapping[str, npt.NDArray[np.float64]]
    counts: Mapping[str, Counts]
    odd: Mapping[str, int]
    prints: npt.NDArray[np.uint64]
    damage: str = ""
    at: int = -1

    @property
    def file(self) -> str:
        """Where the entries are."""
        return self.chunk.file

    @property
    def start(self) -> int:
        """The first of them."""
        return self.chunk.start


@dataclass(frozen=True)
class _Work:
    """What is done with each range of entries, here or on a worker.

    Attributes:
        ranges: what is read.
        taggers: by name.
        friends: those in the jets' own files.
        columns: further numbers a jet.
    """

    ranges: Ranges
    taggers: Mapping[str, Any]
    friends: tuple[Friend, ...]
    columns: tuple[str, ...]

    def here(self, files: JetFiles, *, max_jets: int | None) -> Generator[_Piece, None, None]:
        """Yields what is said in this process, in order; the next chunk is read while one is scored."""
        made = ((chunk, self._tensors(chunk)) for chunk in files.chunks(max_jets=max_jets))
        for chunk, tensors in prefetched(made):
            yield self._piece(chunk, tensors)

    def on_workers(
        self, client: Any, *, skipped: list[SkippedFile], max_jets: int | None
    ) -> Generator[_Piece, None, None]:
        """Yields what is said on workers, in order."""
        from hepnn.cluster import in_order, run

        for tagger in self.taggers.values():
            tagger.onnx_  # noqa: B018  # translated here, so that no worker needs Keras for it
        left = max_jets
        with contextlib.closing(run(self.piece, range(len(self.ranges.entries)), client=client)) as found:
            for piece in until_damage(in_order(found), skipped):
                if left is not None and len(piece.labels) >= left:  # one process reads and scores no more than it needs
                    yield self.piece(piece.at, max_jets=left)
                    return
                yield piece
                left = None if left is None else left - len(piece.labels)

    def piece(self, index: int, *, max_jets: int | None = None) -> _Piece:
        """Returns what is said of a range, without its jets; where its file is damaged, only the reason."""
        chunk = self.ranges.read(index, max_jets=max_jets)
        if isinstance(chunk, str):
            file, start, stop = self.ranges.place(index)
            nothing = JetChunk(ak.Array([]), None, file, "", start, stop)
            return _Piece(nothing, np.array([]), {}, {}, {}, {}, np.zeros(0, np.uint64), chunk, index)
        piece = self._piece(chunk, self._tensors(chunk))
        return piece._replace(chunk=chunk._replace(jets=chunk.jets[:0]), at=index)

    def jets(self, index: int) -> ak.Array:
        """Returns the jets of a range, (jet,)."""
        return self.ranges.files.chunk(self.ranges.entries[index]).jets

    def _tensors(self, chunk: JetChunk) -> list[Tensors]:
        return [tensors_of(tagger, chunk) for tagger in self.taggers.values()]

    def _piece(self, chunk: JetChunk, tensors: Sequence[Tensors]) -> _Piece:
        jets, classes = chunk.jets, tuple(self.ranges.files.schema.labels)
        given = dict(zip(self.taggers, tensors, strict=True))
        ratings = {
            name: Rating(tuple(map(str, tagger.classes_)), tagger.scores(given[name]))
            for name, tagger in self.taggers.items()
        }
        return _Piece(
            chunk,
            labels_of(jets),
            ratings | {each.name: rate(each, chunk, start=0, classes=classes) for each in self.friends},
            {name: column_of(jets, name) for name in self.columns},
            {name: count(tagger.seen_, given[name]) for name, tagger in self.taggers.items()},
            odd_in(jets),
            fingerprints(jets),
        )
