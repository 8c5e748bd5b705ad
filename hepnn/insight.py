"""Insight: which features a trained tagger uses, and which particles of a jet speak for or against the signal.

`permutation_importance` shuffles one feature after the other and sees how much worse the tagger gets; `occlusion` leaves
out one particle after the other and sees how the score changes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import awkward as ak
import numpy as np
import numpy.typing as npt

from hepnn.discriminants import discriminant
from hepnn.errors import InputError
from hepnn.jets import as_jets, check_jets, labels_of
from hepnn.kinematics import delta_phi
from hepnn.roc import Measured
from hepnn.targets import class_indices

__all__ = ["Importance", "Occlusion", "occlusion", "permutation_importance"]

Floats = npt.NDArray[np.floating[Any]]

_LEAST_PROBABILITY = 1e-7
"""What less counts as in a logarithm; float32 has no more digits around 1."""


class Importance(NamedTuple):
    """What a feature is worth to a tagger.

    Attributes:
        tensor: where the feature is: ``particles``, ``jet``, ``image``.
        feature: its name.
        log_loss: by how much the log loss grows, in nats, when the feature is shuffled.
    """

    tensor: str
    feature: str
    log_loss: Measured


class Occlusion(NamedTuple):
    """What each particle of one jet does to its score.

    Attributes:
        signal: the class that the score is high for.
        score: of the whole jet.
        delta_eta: (particle,) from the jet axis.
        delta_phi: (particle,), rad.
        pt_fraction: (particle,) of the jet's pT.
        change: (particle,), score of the whole jet less that of the jet without the particle: positive for a particle
            that speaks for the signal.
    """

    signal: str
    score: float
    delta_eta: Floats
    delta_phi: Floats
    pt_fraction: Floats
    change: Floats


def permutation_importance(
    tagger: Any, jets: ak.Array, *, y: Any = None, sample_weight: Any = None, seed: int = 0
) -> tuple[Importance, ...]:
    """Returns what each feature is worth, the most important first (Breiman 2001, Machine Learning 45, 5, Sec. 10).

    A feature of particles is shuffled among all particles of all jets, one of jets among jets, a channel of images among
    images. Features that say the same thing share their importance: each alone can be done without. The error is that
    of the mean of the jets' changes.

    Args:
        tagger: trained.
        jets: (jet,) records that it was not trained on.
        y: (jet,) classes; ``jets.label`` if None.
        sample_weight: (jet,) weights, or None.
        seed: of the shuffling.

    Raises:
        InputError: no jets, or a class that the tagger does not know.
    """
    jets = check_jets(as_jets(jets))
    if not len(jets):
        raise InputError("asked what features are worth; found no jets.")
    truth = class_indices(labels_of(jets, y), tagger.classes_)
    weights = np.ones(len(jets)) if sample_weight is None else np.asarray(sample_weight, np.float64)
    tensors = tagger.tensors(jets)
    whole = _Padded(tensors.lengths, tensors.pad())
    contents = tagger.representation_.contents()

    def losses(given: _Padded) -> Floats:
        scores = tagger.scores(given)[np.arange(len(truth)), truth].astype(np.float64)
        return -np.log(np.maximum(scores, _LEAST_PROBABILITY))

    before, found = losses(whole), []
    for name, part in contents.items():
        axis = tagger.inputs_[name].channel_axis
        for i, feature in enumerate(part.features):
            change = losses(whole.shuffled(name, i, axis=axis, generator=np.random.default_rng(seed))) - before
            value = float(np.average(change, weights=weights))
            error = float(np.sqrt((weights**2 * (change - value) ** 2).sum()) / weights.sum())
            found.append(Importance(name, feature, Measured(value, error)))
    return tuple(sorted(found, key=lambda each: -each.log_loss.value))


def occlusion(tagger: Any, jet: ak.Record, *, signal: str, background: str | None = None) -> Occlusion:
    """Returns what each particle of one jet does to its score (occlusion: Zeiler, Fergus 2014, arXiv:1311.2901, Sec. 4.2).

    Args:
        tagger: trained.
        jet: one record of jets with particles. Its own momentum stays as it is.
        signal: the class that the score is high for.
        background: the class it stands against, by p_S/(p_S + p_B); None for all others.

    Raises:
        InputError: not one jet with particles, or an unknown class.
    """
    if not isinstance(jet, ak.Record) or "particles" not in jet.fields:
        raise InputError(
            f"asked what the particles of one jet do; found {type(jet).__name__}. Take one of the array: jets[0]."
        )
    n = len(jet.particles)
    whole = ak.Array(jet.layout.array)[[jet.layout.at] * (n + 1)]
    index = ak.local_index(whole.particles)
    without = np.append(np.arange(n), -1)  # the last has all
    jets = ak.with_field(whole, whole.particles[index != without], "particles")
    classes = tuple(map(str, tagger.classes_))
    scores = discriminant(tagger.predict_proba(jets), classes=classes, signal=signal, background=background)
    pt, eta, phi = (ak.to_numpy(jet.particles[name]).astype(np.float64) for name in ("pt", "eta", "phi"))
    return Occlusion(
        signal,
        float(scores[-1]),
        eta - float(jet.eta),
        delta_phi(phi, float(jet.phi)),
        pt / float(jet.pt),
        scores[-1] - scores[:-1],
    )


class _Padded:
    """Jets as dense tensors, padded once; what a network is given of some of them is cut to the longest of these."""

    def __init__(self, lengths: npt.NDArray[np.int64], inputs: dict[str, Any]) -> None:
        self.lengths, self._inputs = lengths, inputs
        self.n_truncated: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, rows: npt.NDArray[np.int64]) -> _Padded:
        return _Padded(self.lengths[rows], {name: values[rows] for name, values in self._inputs.items()})

    @property
    def shapes(self) -> dict[str, tuple[int | None, ...]]:
        return {
            name: (None, *values.shape[2:]) if self._is_sequence(name) else values.shape[1:]
            for name, values in self._inputs.items()
        }

    def pad(self, rows: npt.NDArray[Any] | slice = slice(None), *, length: int | None = None) -> dict[str, Any]:
        longest = int(self.lengths[rows].max(initial=1)) if length is None else length
        return {
            name: values[rows][:, :longest] if self._is_sequence(name) else values[rows]
            for name, values in self._inputs.items()
        }

    def shuffled(self, name: str, column: int, *, axis: int, generator: np.random.Generator) -> _Padded:
        """With one feature of one tensor shuffled among what is there."""
        values = self._inputs[name].copy()
        if self._is_sequence(name):
            mask = self._inputs[f"{name}_mask"]
            of_particles = values[mask]
            of_particles[:, column] = generator.permutation(of_particles[:, column])
            values[mask] = of_particles
        else:
            # the axis is one without that of the jets
            part = np.moveaxis(values, axis if axis < 0 else axis + 1, -1)[..., column]
            part[...] = part[generator.permutation(len(part))]
        return _Padded(self.lengths, {**self._inputs, name: values})

    def _is_sequence(self, name: str) -> bool:
        return name.endswith("_mask") or f"{name}_mask" in self._inputs
