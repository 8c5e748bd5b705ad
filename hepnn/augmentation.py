"""Augmentation: changes to training batches that leave the truth alone, so that a network cannot learn them by heart.

Each augmentation takes a batch's raw sequences, a `Cloud`, and returns a changed copy; validation and scoring never see
one. `AUGMENTATIONS` lists them by name. Those of images are in `hepnn.image_augmentation`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hepnn.errors import InputError

__all__ = ["AUGMENTATIONS", "Cloud", "augmenter", "drop_soft", "rotate", "smear", "smear_soft"]

Floats = npt.NDArray[np.float32]

RESOLUTION = 0.05
"""Relative spread of a smeared momentum: about that of calorimeters at some 10 GeV; tracks are better."""

SOFT_SCALE = 0.1
"""Λ in GeV of the smeared directions' spread Λ/pT: Dillon et al. 2021 (arXiv:2108.04253)."""

DROP_SCALE = 0.5
"""GeV; a particle of this pT is dropped with probability 1/e, about where tracks get lost in a magnetic field."""

_LOGARITHMS = ("log_pt", "log_energy", "log_pt_rel", "log_energy_rel")
"""Features that grow by ln f when a particle's energy and momentum grow by the factor f."""

_PROPORTIONAL = ("pt_fraction", "pt_to_axis", "mass")
"""Features that grow by f."""


class Cloud(NamedTuple):
    """One collection of a batch of jets.

    Attributes:
        values: (jet, particle, feature), raw, 0 in padding.
        mask: (jet, particle), True for a particle.
        features: names of the last axis of ``values``.
    """

    values: Floats
    mask: npt.NDArray[np.bool_]
    features: Sequence[str]


Augmentation = Callable[[Cloud, np.random.Generator], Cloud]


def rotate(cloud: Cloud, generator: np.random.Generator) -> Cloud:
    """Returns each jet turned about its axis by a random angle, and half of them mirrored.

    QCD radiation knows no direction in the plane across the jet axis, but for colour flow to the beam; networks gain
    from being shown so (jet images are rotated and flipped for it: Cogan et al. 2015, arXiv:1407.5675). Without both
    features ``delta_eta`` and ``delta_phi`` nothing changes.

    Args:
        cloud: the jets.
        generator: of the angles.
    """
    values, _, features = cloud
    if "delta_eta" not in features or "delta_phi" not in features:
        return cloud
    eta, phi = features.index("delta_eta"), features.index("delta_phi")
    angle = generator.uniform(0, 2 * np.pi, (len(values), 1)).astype(np.float32)
    mirror = generator.choice(np.array([-1, 1], np.float32), (len(values), 1))
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = values[..., eta], values[..., phi] * mirror
    turned = values.copy()
    turned[..., eta] = cos * x - sin * y
    turned[..., phi] = sin * x + cos * y
    return cloud._replace(values=turned)


def smear(cloud: Cloud, generator: np.random.Generator) -> Cloud:
    """Returns the jets with each particle's energy and momentum multiplied by a random factor, as detectors do.

    The factor is log-normal with a spread of `RESOLUTION`. The order of the particles and the jet's own momentum stay.

    Args:
        cloud: the jets.
        generator: of the factors.
    """
    values = cloud.values.copy()
    logarithm = RESOLUTION * generator.standard_normal(cloud.mask.shape, np.float32) * cloud.mask
    for column, name in enumerate(cloud.features):
        if name in _LOGARITHMS:
            values[..., column] += logarithm
        elif name in _PROPORTIONAL:
            values[..., column] *= np.exp(logarithm)
    return cloud._replace(values=values)


def smear_soft(cloud: Cloud, generator: np.random.Generator) -> Cloud:
    """Returns the jets with the particles' directions changed, the more the softer they are: theory cannot tell them.

    Δη and Δφ get normal noise of the spread Λ/pT (Dillon et al. 2021, arXiv:2108.04253), and ``delta_r`` follows.
    Without the features ``delta_eta``, ``delta_phi`` and ``log_pt`` nothing changes.

    Args:
        cloud: the jets.
        generator: of the noise.
    """
    values, mask, features = cloud
    if not {"delta_eta", "delta_phi", "log_pt"} <= set(features):
        return cloud
    spread = SOFT_SCALE * np.exp(-values[..., features.index("log_pt")]) * mask
    changed = values.copy()
    places = [features.index(name) for name in ("delta_eta", "delta_phi")]
    for column in places:
        changed[..., column] += spread * generator.standard_normal(mask.shape, np.float32)
    if "delta_r" in features:
        changed[..., features.index("delta_r")] = np.hypot(*(changed[..., column] for column in places))
    return cloud._replace(values=changed)


def drop_soft(cloud: Cloud, generator: np.random.Generator) -> Cloud:
    """Returns the jets without some of their soft particles, as detectors lose them.

    A particle is dropped with probability exp(−pT / `DROP_SCALE`). Those left keep their order, with padding on the
    right. Features of the jet as a whole stay. Without the feature ``log_pt`` nothing changes.

    Args:
        cloud: the jets.
        generator: of what is dropped.
    """
    values, mask, features = cloud
    if "log_pt" not in features:
        return cloud
    pt = np.exp(values[..., features.index("log_pt")])
    kept = mask & (generator.random(mask.shape, np.float32) > np.exp(-pt / DROP_SCALE))
    order = np.argsort(~kept, axis=1, kind="stable")
    left = np.take_along_axis(kept, order, axis=1)
    return Cloud(np.take_along_axis(values, order[..., None], axis=1) * left[..., None], left, features)


AUGMENTATIONS: dict[str, Augmentation] = {
    "rotate": rotate,
    "smear": smear,
    "smear_soft": smear_soft,
    "drop_soft": drop_soft,
}


def augmenter(
    names: Sequence[str], features: Mapping[str, Sequence[str]]
) -> Callable[[dict[str, Any], np.random.Generator], dict[str, Any]]:
    """Returns the function that changes a batch's inputs.

    Args:
        names: keys of `AUGMENTATIONS`, applied in turn.
        features: names of the features of each sequence.

    Raises:
        InputError: an unknown name.
    """
    for name in names:
        if name not in AUGMENTATIONS:
            raise InputError(f"asked for the augmentation {name!r}; known: {', '.join(AUGMENTATIONS)}.")

    def augment(inputs: dict[str, Any], generator: np.random.Generator) -> dict[str, Any]:
        changed = dict(inputs)
        for name in names:
            seed = generator.integers(2**63)
            for sequence, columns in features.items():  # all collections of a jet are turned alike
                cloud = Cloud(changed[sequence], changed[f"{sequence}_mask"], columns)
                cloud = AUGMENTATIONS[name](cloud, np.random.default_rng(seed))
                changed[sequence], changed[f"{sequence}_mask"] = cloud.values, cloud.mask
        return changed

    return augment
