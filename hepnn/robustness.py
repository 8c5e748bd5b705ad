"""Robustness: how a trained tagger does on jets that are measured a little differently than those it was trained on.

Jets are varied as a detector might: energies smeared, particles lost, the energy scale shifted. `robustness` scores the
same jets before and after.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
import numpy.typing as npt

from hepnn.discriminants import discriminant
from hepnn.errors import InputError
from hepnn.jets import as_jets, check_jets, labels_of, members_of
from hepnn.roc import Measured, auc, auc_difference

__all__ = ["DEFAULTS", "VARIATIONS", "Varied", "drop", "robustness", "shift", "smear"]

Variation = Callable[[ak.Array, float, np.random.Generator], ak.Array]

DEFAULTS = (("smear", 0.05), ("smear", 0.1), ("drop", 0.02), ("drop", 0.1), ("shift", -0.05), ("shift", 0.05))
"""Variations and their amounts: some are what experiments quote, the larger ones are beyond."""


class Varied(NamedTuple):
    """How a tagger does on varied jets.

    Attributes:
        variation: a key of `VARIATIONS`.
        amount: its size.
        auc: on the varied jets.
        difference: that less the AUC on the jets as they are, with the error of a difference on the same jets.
    """

    variation: str
    amount: float
    auc: Measured
    difference: Measured


def smear(jets: ak.Array, amount: float, generator: np.random.Generator) -> ak.Array:
    """Returns the jets with each particle's energy and momentum times a log-normal factor with the spread ``amount``."""
    counts = ak.num(jets.particles)
    factors = np.exp(amount * generator.standard_normal(int(ak.sum(counts))))
    return _scaled(jets, ak.unflatten(factors, counts))


def drop(jets: ak.Array, amount: float, generator: np.random.Generator) -> ak.Array:
    """Returns the jets without a random share ``amount`` of their particles; the hardest of each is never lost."""
    counts = ak.num(jets.particles)
    kept = ak.unflatten(generator.random(int(ak.sum(counts))) >= amount, counts)
    return _with_particles(jets, jets.particles[kept | (ak.local_index(kept) == 0)])


def shift(jets: ak.Array, amount: float, generator: np.random.Generator) -> ak.Array:
    """Returns the jets with all energies and momenta times 1 + ``amount``; ``generator`` is not needed."""
    return _scaled(jets, 1 + amount)


VARIATIONS: dict[str, Variation] = {"smear": smear, "drop": drop, "shift": shift}


def robustness(
    tagger: Any,
    jets: ak.Array,
    *,
    signal: str,
    background: str,
    y: Any = None,
    variations: Sequence[tuple[str, float]] = DEFAULTS,
    sample_weight: Any = None,
    seed: int = 0,
) -> tuple[Varied, ...]:
    """Returns how a tagger does on varied jets.

    Args:
        tagger: trained.
        jets: (jet,) records with particles; those of other classes are left out.
        signal: the class to find, by p_S/(p_S + p_B).
        background: the class to reject.
        y: (jet,) classes; ``jets.label`` if None.
        variations: keys of `VARIATIONS` with their amounts.
        sample_weight: (jet,) weights or None.
        seed: of what is random.

    Raises:
        InputError: an unknown variation, jets without particles, or a class without jets.
    """
    jets = check_jets(as_jets(jets))
    if members_of(jets) != "particles":
        raise InputError("asked to vary the particles of jets; found showers, which have cells.")
    for name, _ in variations:
        if name not in VARIATIONS:
            raise InputError(f"asked for the variation {name!r}; known: {', '.join(VARIATIONS)}.")
    labels = labels_of(jets, y).astype(str)
    chosen = (labels == signal) | (labels == background)
    jets, is_signal = jets[chosen], np.asarray(labels[chosen] == signal, bool)
    weights = None if sample_weight is None else np.asarray(sample_weight, np.float64)[chosen]

    def scores(given: ak.Array) -> npt.NDArray[np.floating[Any]]:
        classes = tuple(map(str, tagger.classes_))
        return discriminant(tagger.predict_proba(given), classes=classes, signal=signal, background=background)

    before, found = scores(jets), []
    for name, amount in variations:
        after = scores(VARIATIONS[name](jets, amount, np.random.default_rng(seed)))
        found.append(
            Varied(
                name,
                amount,
                auc(is_signal, after, weights=weights),
                auc_difference(is_signal, after, before, weights=weights),
            )
        )
    return tuple(found)


def _scaled(jets: ak.Array, factor: Any) -> ak.Array:
    particles = jets.particles
    for name in ("pt", "energy"):
        particles = ak.with_field(particles, particles[name] * factor, name)
    return _with_particles(jets, particles[ak.argsort(particles.pt, axis=1, ascending=False, stable=True)])


def _with_particles(jets: ak.Array, particles: ak.Array) -> ak.Array:
    """The jets with other particles: their pT and energy grow as the sum of their particles' pT, their direction stays."""
    before, after = (ak.to_numpy(ak.sum(part.pt, axis=1)).astype(np.float64) for part in (jets.particles, particles))
    factor = np.divide(after, before, out=np.ones_like(before), where=before > 0)
    for name, values in {"pt": jets.pt * factor, "energy": jets.energy * factor, "particles": particles}.items():
        jets = ak.with_field(jets, values, name)
    return jets
