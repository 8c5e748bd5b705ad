"""Scaling: what takes the raw values of features to numbers of order one, inside the network.

A `Scaling` has four numbers a feature: ``clip((value − center) · scale, lower, upper)``, the rule of the public
ParticleNet and JetClass configurations. `fixed_scaling` takes them from the features' own defaults; `fit_scaling`
works out centre and scale from the training jets. Only real particles count: padding is never seen here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hepnn.features import Feature

__all__ = ["Scaling", "fit_scaling", "fixed_scaling"]

_CENTRAL_QUANTILES = (0.16, 0.84)
"""The central 68 %: as wide as ±1 standard deviation of a normal distribution, but blind to its tails."""


_FITTED_LIMIT = 5.0
"""Greatest distance from the centre, in half widths: the limit of the ParticleNet configurations."""


_LEAST_WIDTH, _GREATEST_WIDTH = 1e-30, 1e30
"""Between which a feature is scaled: the network computes with numbers up to 3e38, and down to 1e-38."""


class Scaling(NamedTuple):
    """Centre, scale and limits, each with one number a feature."""

    center: tuple[float, ...]
    scale: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]

    def __call__(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Returns the scaled ``values``, of shape (…, feature)."""
        center, scale, lower, upper = (np.asarray(part, np.float32) for part in self)
        return np.clip((values - center) * scale, lower, upper)


def fixed_scaling(features: Sequence[Feature]) -> Scaling:
    """Returns the default scaling of each feature."""
    return Scaling(*(tuple(float(getattr(f, part)) for f in features) for part in Scaling._fields))


def fit_scaling(features: Sequence[Feature], values: npt.NDArray[np.float32]) -> Scaling:
    """Returns a scaling that takes each feature's median to 0 and half its central 68 % range to 1.

    A feature with no spread between those quantiles (most values of a flag are 0), or one beyond numbers, keeps its
    default scaling. What stands for a missing value does not count.

    Args:
        features: (feature,).
        values: (n, feature), the raw values of the training jets.
    """
    columns = [_fit(feature, values[:, column]) for column, feature in enumerate(features)]
    return Scaling(*(tuple(part) for part in zip(*columns, strict=True)))


def _fit(feature: Feature, values: npt.NDArray[np.float32]) -> tuple[float, float, float, float]:
    """Centre, scale and limits of one feature, from those particles that have it."""
    there = values if feature.missing is None else values[values != feature.missing]
    if len(there):
        quantiles = np.quantile(there.astype(np.float64), [_CENTRAL_QUANTILES[0], 0.5, _CENTRAL_QUANTILES[1]])
        low, median, high = map(float, quantiles)
        if _LEAST_WIDTH < high - low < _GREATEST_WIDTH:
            return median, 2 / (high - low), -_FITTED_LIMIT, _FITTED_LIMIT
    return feature.center, feature.scale, feature.lower, feature.upper
