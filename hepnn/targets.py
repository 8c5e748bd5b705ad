"""Targets: what a tagger learns from besides the jets: the index of each jet's class, and its weight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.class_weight import compute_class_weight

from hepnn.errors import InputError

__all__ = ["check_validation", "class_indices", "training_weights"]

Integers = npt.NDArray[np.int64]
Weights = npt.NDArray[np.float64] | None


def class_indices(labels: npt.NDArray[Any], classes: npt.NDArray[Any]) -> Integers:
    """Returns the index of each label among the classes, (jet,).

    Raises:
        InputError: a label is none of the classes.
    """
    unknown = set(labels.tolist()) - set(classes.tolist())
    if unknown:
        raise InputError(
            f"asked for the classes {', '.join(map(str, classes))}; found jets labelled "
            f"{', '.join(map(str, sorted(unknown)))}. Leave them out, or train with them."
        )
    return np.searchsorted(classes, labels)


def training_weights(
    class_weight: str | Mapping[Any, float] | None, targets: Integers, weights: Weights, *, classes: npt.NDArray[Any]
) -> Weights:
    """Returns the weight of each jet, (jet,), its class's included; None for one each.

    Args:
        class_weight: "balanced", or a weight for each class, or None.
        targets: (jet,) class indices.
        weights: (jet,) or None.
        classes: their names.

    Raises:
        InputError: not one weight for each class.
    """
    if class_weight is None:
        return weights
    wanted = dict(class_weight) if isinstance(class_weight, Mapping) else class_weight
    if isinstance(wanted, dict) and set(wanted) != set(classes.tolist()):
        raise InputError(
            f"asked for weights of the classes {', '.join(map(str, wanted))}; the jets have "
            f"{', '.join(map(str, classes))}. Give one weight for each."
        )
    by_class = compute_class_weight(wanted, classes=classes, y=classes[targets])
    by_jet = np.asarray(by_class, np.float64)[targets]
    return by_jet if weights is None else by_jet * weights


def check_validation(targets: Integers, weights: Weights, *, classes: npt.NDArray[Any]) -> None:
    """Refuses validation jets that cannot choose the best epoch.

    Raises:
        InputError: a class has none, or no weight, among them.
    """
    found = np.bincount(targets, weights=weights, minlength=len(classes))
    if not (found > 0).all():
        raise InputError(
            f"asked to choose the best epoch with {len(targets)} validation jets; the class "
            f"{classes[int(np.argmin(found))]!r} has none, or no weight, among them. Give jets of every class."
        )
