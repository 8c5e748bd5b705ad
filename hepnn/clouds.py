"""Particle clouds: jets as sequences of particle features, the tensors of recurrent and set networks.

`ParticleCloud` says what the network sees: one `Collection` of particles, or several (particles, vertices, tracks),
and features of the jet as a whole. `ParticleCloud.tensors` turns jets into ragged `Clouds`, which hold the real
particles only; `Clouds.pad` makes of any of them the dense tensors that go into a network:

- ``particles``: (jet, particle, feature) float32, padding on the right, filled with zeros;
- ``particles_mask``: (jet, particle) bool, True for a real particle;
- ``jet``: (jet, feature) float32, if there are jet features.

The values are raw; scaling happens inside the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
import numpy.typing as npt

from hepnn import defaults
from hepnn.augmentation import augmenter
from hepnn.errors import InputError
from hepnn.features import (
    JET_FEATURES,
    PARTICLE_FEATURES,
    Feature,
    available,
    by_name_or_own,
    evaluate_features,
    features_named,
    names_of_features,
    resolve_features,
)
from hepnn.jets import check_jets, collections_of, column_of, flat_members, members_of
from hepnn.oddities import check_momenta
from hepnn.scaling import Scaling, fit_scaling, fixed_scaling
from hepnn.schema.rows import falls, plain
from hepnn.tensors import JET, Augment, Contents, TensorSpec

__all__ = [
    "Clouds",
    "Collection",
    "ParticleCloud",
    "Sequences",
    "cloud_for",
]

Names = str | Iterable[str | Feature | Callable[..., Any]]
"""Names of features or of sets of them, or Python functions."""

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Collection:
    """What the network sees of one list of records.

    Attributes:
        features: what is worked out for each record.
        max_particles: only so many records are kept, those of highest pt.
        order_by: the records' field that orders the sequence.
        descending: whether the greatest comes first. With False the hardest comes last, next to the end of an LSTM.
    """

    features: tuple[Feature, ...]
    max_particles: int = defaults.MAX_PARTICLES
    order_by: str = "pt"
    descending: bool = True

    def __post_init__(self) -> None:
        if self.max_particles < 1:
            raise InputError(f"asked for at most {self.max_particles} particles a jet; it takes at least 1.")
        if not self.features:
            raise InputError("asked for a collection without features; name at least one.")


class Sequences(NamedTuple):
    """The records of one collection: all jets one after another.

    Attributes:
        values: (record, feature) float32.
        lengths: (jet,) number of records of each jet.
        n_truncated: how many jets lost records to the limit on their number.
    """

    values: Floats
    lengths: Integers
    n_truncated: int

    @property
    def starts(self) -> Integers:
        """The row of ``values`` at which each jet begins, (jet,)."""
        return np.cumsum(self.lengths) - self.lengths


class Clouds:
    """Jets as ragged tensors.

    Attributes:
        collections: sequences by name.
        jet: (jet, feature) float32, or None.
    """

    def __init__(self, collections: Mapping[str, Sequences], jet: Floats | None) -> None:
        self.collections = dict(collections)
        self.jet = jet
        self._starts = {name: sequences.starts for name, sequences in self.collections.items()}

    def __len__(self) -> int:
        return len(next(iter(self.collections.values())).lengths)

    def __getitem__(self, rows: Integers) -> Clouds:
        """The clouds of the jets ``rows``, a copy."""
        parts = {}
        for name, sequences in self.collections.items():
            lengths = sequences.lengths[rows]
            within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
            values = sequences.values[np.repeat(self._starts[name][rows], lengths) + within]
            parts[name] = Sequences(values, lengths, sequences.n_truncated)
        return Clouds(parts, None if self.jet is None else self.jet[rows])

    @property
    def shapes(self) -> dict[str, tuple[int | None, ...]]:
        """The shape of each dense tensor without the jet axis; None for the number of particles."""
        shapes: dict[str, tuple[int | None, ...]] = {}
        for name, sequences in self.collections.items():
            shapes[name] = (None, sequences.values.shape[1])
            shapes[f"{name}_mask"] = (None,)
        if self.jet is not None:
            shapes[JET] = self.jet.shape[1:]
        return shapes

    @property
    def n_truncated(self) -> dict[str, int]:
        """By collection, how many jets lost records to the limit on their number."""
        return {name: sequences.n_truncated for name, sequences in self.collections.items()}

    @property
    def lengths(self) -> Integers:
        """The length of each jet's longest sequence, (jet,)."""
        return np.max([sequences.lengths for sequences in self.collections.values()], axis=0)

    def pad(self, rows: npt.NDArray[Any] | slice = slice(None), *, length: int | None = None) -> dict[str, Any]:
        """Returns the dense inputs of a network for the jets ``rows``.

        Args:
            rows: indices of jets, in any order.
            length: particles a jet after padding; the longest of these jets if None. Longer sequences are not cut
                but refused.

        Raises:
            InputError: a sequence is longer than ``length``.
        """
        inputs: dict[str, Any] = {}
        for name, sequences in self.collections.items():
            lengths = sequences.lengths[rows]
            longest = int(lengths.max(initial=1))
            width = longest if length is None else length
            if longest > width:
                raise InputError(f"asked for {width} slots a jet; found a jet with {longest} {name}.")
            slots = np.arange(width)
            mask = slots < lengths[:, None]
            n_features = sequences.values.shape[1]
            if not len(sequences.values):
                values = np.zeros((mask.size, n_features), np.float32)
            elif isinstance(rows, slice) and rows.step in (None, 1):  # jets side by side: their values are, too
                first = self._starts[name][rows][:1].sum()
                values = np.zeros((mask.size, n_features), np.float32)
                _whole(values)[mask.ravel()] = _whole(sequences.values[first : first + lengths.sum()])
            else:
                index = self._starts[name][rows][:, None] + slots
                values = sequences.values.take(index, axis=0, mode="clip")  # what is beyond the end is padding
                values[~mask] = 0
            inputs[name] = values.reshape(*mask.shape, n_features)
            inputs[f"{name}_mask"] = mask
        if self.jet is not None:
            inputs[JET] = self.jet[rows]
        return inputs


@dataclass(frozen=True)
class ParticleCloud:
    """The representation of jets as sequences of particles.

    Attributes:
        collections: what is seen of each list of records, by the name of its field.
        jet_features: what is seen of the jet as a whole.
    """

    collections: Mapping[str, Collection]
    jet_features: tuple[Feature, ...] = field(default=())

    def tensors(self, jets: ak.Array) -> Clouds:
        """Returns ``jets`` as ragged tensors; row i is jet i.

        Raises:
            InputError: the jets do not keep the contract, lack a collection, or have a momentum that is none
                (`hepnn.oddities`).
            FeatureError: a feature cannot be worked out or is not finite.
        """
        check_momenta(check_jets(jets))
        missing = set(self.collections) - set(collections_of(jets))
        if missing:
            raise InputError(
                f"asked for the collection {sorted(missing)[0]!r}; found only {', '.join(collections_of(jets))}. "
                "Read the jets with a schema that maps it."
            )
        return Clouds(
            {name: _sequences(jets, name, collection) for name, collection in self.collections.items()},
            evaluate_features(jets, self.jet_features, collection=None) if self.jet_features else None,
        )

    def specs(self, clouds: Clouds, *, scaling: str) -> dict[str, TensorSpec]:
        """Returns what the network is told of each tensor.

        Args:
            clouds: those of the training jets.
            scaling: "fixed" for the features' own centre and scale, "fitted" to work them out from ``clouds``.

        Raises:
            InputError: another scaling.
        """
        if scaling not in ("fixed", "fitted"):
            raise InputError(f"asked for the scaling {scaling!r}; known: fixed, fitted.")

        def scaled(features: Sequence[Feature], values: Floats) -> Scaling:
            return fixed_scaling(features) if scaling == "fixed" else fit_scaling(features, values)

        specs = {}
        for name, collection in self.collections.items():
            values = clouds.collections[name].values
            hardest_first = collection.order_by == "pt" and collection.descending
            shape = (None, len(collection.features))
            specs[name] = TensorSpec(shape, scaled(collection.features, values), hardest_first)
        if clouds.jet is not None:
            specs[JET] = TensorSpec((len(self.jet_features),), scaled(self.jet_features, clouds.jet))
        return specs

    def contents(self) -> dict[str, Contents]:
        """Returns what each tensor with features holds, by its name."""
        contents = {
            name: Contents(
                *_about(part.features),
                f"{'falling' if part.descending else 'rising'} {part.order_by}",
                part.max_particles,
            )
            for name, part in self.collections.items()
        }
        if self.jet_features:
            contents[JET] = Contents(*_about(self.jet_features))
        return contents

    @property
    def default_augmentations(self) -> tuple[str, ...]:
        """Turn jets about their axis."""
        return ("rotate",)

    def left_out(self, clouds: Clouds) -> str:
        """Returns in words what of the jets is not in their clouds; "" for nothing."""
        cut = {name: number for name, number in clouds.n_truncated.items() if number}
        return ", ".join(
            f"{number} jets were cut to {self.collections[name].max_particles} {name}" for name, number in cut.items()
        )

    def augmenter(self, names: Sequence[str]) -> Augment:
        """Returns the function that varies a training batch; ``names`` are keys of `hepnn.augmentation.AUGMENTATIONS`.

        Raises:
            InputError: an unknown name.
        """
        features = {name: [feature.name for feature in part.features] for name, part in self.collections.items()}
        return augmenter(names, features)

    def settings(self) -> dict[str, Any]:
        """Returns the arguments with which a `hepnn.Tagger` makes this representation."""
        return {
            "features": {
                name: by_name_or_own(part.features, PARTICLE_FEATURES) for name, part in self.collections.items()
            },
            "jet_features": by_name_or_own(self.jet_features, JET_FEATURES),
        }

    def to_dict(self) -> dict[str, Any]:
        """Returns a description that JSON can hold; features go by name."""
        return {
            "collections": {
                name: {
                    "features": names_of_features(collection.features, PARTICLE_FEATURES),
                    "max_particles": collection.max_particles,
                    "order_by": collection.order_by,
                    "descending": collection.descending,
                }
                for name, collection in self.collections.items()
            },
            "jet_features": names_of_features(self.jet_features, JET_FEATURES),
        }

    @classmethod
    def from_dict(cls, description: Mapping[str, Any], *, custom: Mapping[str, Callable[..., Any]]) -> ParticleCloud:
        """Returns the representation that `to_dict` described.

        Args:
            description: what `to_dict` returned.
            custom: the user's own features by name.

        Raises:
            FeatureError: a feature is neither built in nor among ``custom``.
        """
        return cls(
            {
                name: Collection(
                    **{**options, "features": features_named(options["features"], PARTICLE_FEATURES, custom)}
                )
                for name, options in description["collections"].items()
            },
            features_named(description["jet_features"], JET_FEATURES, custom),
        )


def cloud_for(
    jets: ak.Array,
    *,
    features: Names | Mapping[str, Names],
    jet_features: Names,
    max_particles: int,
    order_by: str,
    descending: bool,
) -> ParticleCloud:
    """Returns the representation for jets like these.

    Args:
        jets: (jet,) records, looked at only for what they provide.
        features: "auto" for all of `hepnn.features.AUTO_SETS` that the jets provide, names of features or sets, or
            functions; by collection if a mapping, else those of ``particles`` or ``cells``.
        jet_features: names in `hepnn.features.JET_FEATURES`, or functions.
        max_particles: records kept a jet and collection.
        order_by: the records' field that orders the sequences.
        descending: whether the greatest comes first.

    Raises:
        InputError: no features, or no room for particles.
        FeatureError: an unknown feature.
    """
    by_collection = features if isinstance(features, Mapping) else {members_of(jets): features}
    return ParticleCloud(
        {
            name: Collection(
                resolve_features(available(jets, name) if wanted == "auto" else wanted),
                max_particles=max_particles,
                order_by=order_by,
                descending=descending,
            )
            for name, wanted in by_collection.items()
        },
        resolve_features(jet_features, JET_FEATURES),
    )


def _about(features: Sequence[Feature]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(feature.name for feature in features), tuple(feature.unit for feature in features)


def _sequences(jets: ak.Array, name: str, collection: Collection) -> Sequences:
    records = unsorted = jets[name]
    flat, counts = flat_members(jets, name)
    n_truncated = int((counts > collection.max_particles).sum())
    offsets = np.concatenate([[0], np.cumsum(counts)])
    if not falls(plain(column_of(flat, "pt")), offsets):
        records = records[ak.argsort(records.pt, axis=1, ascending=False, stable=True)]
    if n_truncated:
        records = records[:, : collection.max_particles]
    if collection.order_by != "pt":
        if collection.order_by not in records.fields:
            raise InputError(
                f"asked to order {name} by {collection.order_by!r}; found only {', '.join(records.fields)}."
            )
        records = records[
            ak.argsort(records[collection.order_by], axis=1, ascending=not collection.descending, stable=True)
        ]
    elif not collection.descending:
        records = records[:, ::-1]
    if records is not unsorted:
        jets = ak.with_field(jets, records, name)
    return Sequences(
        evaluate_features(jets, collection.features, collection=name),
        np.minimum(counts, collection.max_particles),
        n_truncated,
    )


def _whole(values: Floats) -> npt.NDArray[np.void]:
    """Returns the rows of a table, (row,), each as one item, which NumPy moves in half the time of its numbers."""
    return values.view(f"V{values.itemsize * values.shape[1]}")[:, 0]
