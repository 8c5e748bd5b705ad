"""Augmentation: changes to training batches that leave the truth alone, so that a network cannot learn them by heart.

Each augmentation takes a batch's raw sequences, (jet, particle, feature), changes a copy, and returns it; validation
and scoring never see one. `AUGMENTATIONS` lists them by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hepnn.errors import InputError

__all__ = ["AUGMENTATIONS", "augmenter", "rotate"]

Floats = npt.NDArray[np.float32]
Augmentation = Callable[[Floats, Sequence[str], np.random.Generator], Floats]


def rotate(values: Floats, features: Sequence[str], generator: np.random.Generator) -> Floats:
    """Returns each jet turned about its axis by a random angle, and half of them mirrored.

    QCD radiation knows no direction in the plane across the jet axis, but for colour flow to the beam; networks gain
    from being shown so (jet images are rotated and flipped for it: Cogan et al. 2015, arXiv:1407.5675).

    Args:
        values: (jet, particle, feature), raw.
        features: names of the last axis; without both ``delta_eta`` and ``delta_phi`` nothing changes.
        generator: of the angles.
    """
    if "delta_eta" not in features or "delta_phi" not in features:
        return values
    eta, phi = features.index("delta_eta"), features.index("delta_phi")
    angle = generator.uniform(0, 2 * np.pi, (len(values), 1)).astype(np.float32)
    mirror = generator.choice(np.array([-1, 1], np.float32), (len(values), 1))
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = values[..., eta], values[..., phi] * mirror
    turned = values.copy()
    turned[..., eta] = cos * x - sin * y
    turned[..., phi] = sin * x + cos * y
    return turned


AUGMENTATIONS: dict[str, Augmentation] = {"rotate": rotate}


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
            for sequence, columns in features.items():  # all collections of a jet are changed alike
                changed[sequence] = AUGMENTATIONS[name](changed[sequence], columns, np.random.default_rng(seed))
        return changed

    return augment
