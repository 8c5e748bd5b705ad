"""Drift: whether jets look like those that a tagger was trained on, feature by feature.

`seen_in` notes how each feature was distributed in training; a tagger keeps that. `count` compares other jets with it,
chunk by chunk, and `drifts` gives the result: the share of values outside the range seen, where a network can only
guess, and the Kolmogorov–Smirnov distance of the distributions. ``hepnn tag`` warns of both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hepnn.tensors import Tensors

__all__ = ["Counts", "Drift", "Seen", "add_counts", "count", "drifts", "seen_from", "seen_in", "warnings_of_drift"]

Floats = npt.NDArray[np.floating[Any]]
Counts = dict[str, dict[str, Any]]
"""By tensor and feature, the numbers of values between quantiles: arrays, or lists where they come from a file."""

_SHARES = np.concatenate([[0, 0.001, 0.005], np.linspace(0.01, 0.99, 50), [0.995, 0.999, 1]])
"""Where the distribution of a feature is noted: the distance between two is found within 0.02."""

_N_JETS = 4_000
"""Jets that are looked at in training, evenly spaced: enough for the shares above, and little memory."""

_N_CHECKED = 1_000
"""Jets of each chunk that are looked at later, evenly spaced."""

_OUTSIDE = 0.01
"""Share of values outside the range seen in training that is warned of."""

_DISTANCE = 0.25
"""Kolmogorov–Smirnov distance that is warned of: another mixture of classes seldom reaches it."""

_SURE = 5.0
"""Standard deviations, or a p-value of so many, that no warning stays below: few jets differ by chance."""

_SURE_P = math.erfc(_SURE / math.sqrt(2))
"""The p-value of so many, on both sides of a normal distribution."""

_LENGTH = "number of them"
"""Name of the length of a sequence among its features."""


class Seen(NamedTuple):
    """How one feature was distributed.

    Attributes:
        quantiles: at `_SHARES`, the least value first, the greatest last.
        n: values looked at.
    """

    quantiles: tuple[float, ...]
    n: int


class Drift(NamedTuple):
    """How one feature differs from what was seen.

    Attributes:
        tensor: where the feature is: ``particles``, ``jet``, ``image``.
        feature: its name.
        n: values compared.
        n_seen: values looked at in training.
        outside: share beyond the least or greatest value seen.
        distance: of Kolmogorov and Smirnov, the greatest difference of the distribution functions.
    """

    tensor: str
    feature: str
    n: int
    n_seen: int
    outside: float
    distance: float

    @property
    def expected_outside(self) -> float:
        """The share beyond the least or greatest value seen by chance: 2/(n + 1) for n values seen."""
        return 2 / (self.n_seen + 1)

    @property
    def p_value(self) -> float:
        """Of the two-sample test; of particles too small, since those of one jet are not independent."""
        from scipy.special import kolmogorov  # a fifth of a second, and seldom needed

        return float(kolmogorov(self.distance * math.sqrt(self.n * self.n_seen / (self.n + self.n_seen))))


def seen_in(tensors: Tensors, features: Mapping[str, tuple[str, ...]]) -> dict[str, dict[str, Seen]]:
    """Returns how each feature of each tensor is distributed, by tensor and feature.

    Args:
        tensors: those of the training jets.
        features: names of the features of each tensor.
    """
    return {
        name: {
            feature: Seen(tuple(np.quantile(values, _SHARES).tolist()), len(values))
            for feature, values in columns.items()
            if len(values)
        }
        for name, columns in _columns(tensors, features, n_jets=_N_JETS)
    }


def seen_from(described: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, Seen]]:
    """Returns what `seen_in` returned, from a description in JSON.

    Raises:
        ValueError, TypeError, KeyError: it is not as `seen_in` makes it.
    """
    found = {
        name: {key: Seen(tuple(map(float, each["quantiles"])), int(each["n"])) for key, each in columns.items()}
        for name, columns in described.items()
    }
    for feature, each in ((feature, each) for columns in found.values() for feature, each in columns.items()):
        if len(each.quantiles) != len(_SHARES) or not (np.diff(each.quantiles) >= 0).all() or each.n < 1:
            raise ValueError(f"what was seen of {feature!r} is {str(each)[:100]}")
    return found


def count(seen: Mapping[str, Mapping[str, Seen]], tensors: Tensors) -> Counts:
    """Returns how many values of some of these jets lie between the quantiles of each feature.

    The first number is that of values below the least, the last that of values above the greatest; those that equal a
    quantile count half on either side. Counts of several chunks are added.

    Args:
        seen: what `seen_in` returned.
        tensors: of other jets, from the same representation.
    """
    features = {name: tuple(feature for feature in columns if feature != _LENGTH) for name, columns in seen.items()}
    made: Counts = {}
    for name, columns in _columns(tensors, features, n_jets=_N_CHECKED):
        made[name] = {}
        for feature, values in columns.items():
            if feature in seen[name]:
                edges = np.asarray(seen[name][feature].quantiles, values.dtype)
                rising = np.sort(values)  # a tenth of the time that it takes to look up each value among the quantiles
                up_to = [np.searchsorted(rising, edges, side=side) for side in ("left", "right")]
                made[name][feature] = np.diff(np.sort(np.concatenate(up_to)), prepend=0, append=len(values))
    return made


def add_counts(first: Counts, second: Counts) -> Counts:
    """Returns the sum of the counts of two chunks; either can be empty."""
    return {
        name: {
            feature: np.add(numbers, first.get(name, {}).get(feature, 0))
            for feature, numbers in second.get(name, {}).items()
        }
        for name in second
    } or first


def drifts(seen: Mapping[str, Mapping[str, Seen]], counts: Counts) -> tuple[Drift, ...]:
    """Returns how the features differ from what was seen, the greatest distance first.

    Args:
        seen: what `seen_in` returned.
        counts: what `count` returned, summed over chunks.
    """
    found = []
    for name, columns in counts.items():
        for feature, numbers in columns.items():
            n = int(np.sum(numbers))
            if not n:
                continue
            known = seen[name][feature]
            quantiles = np.asarray(known.quantiles)
            up_to = np.cumsum(numbers) / n
            below, at_most = up_to[:-1:2], up_to[1::2]
            # where values repeat, quantiles are equal: the jump is from the share of the first to that of the last
            first = np.searchsorted(quantiles, quantiles, side="left")
            last = np.searchsorted(quantiles, quantiles, side="right") - 1
            apart = np.maximum(below[first] - _SHARES[first], _SHARES[last] - at_most[last])
            distance = max(float(apart.max()), 0.0)
            outside = float((numbers[0] + numbers[-1]) / n)
            found.append(Drift(name, feature, n, known.n, outside, distance))
    return tuple(sorted(found, key=lambda each: -each.distance))


def warnings_of_drift(found: tuple[Drift, ...]) -> list[str]:
    """Returns sentences on features whose values lie outside what was seen, or are distributed differently."""
    outside = [each for each in found if each.outside > _OUTSIDE + each.expected_outside + _by_chance(each)]
    apart = [each for each in found if each.distance > _DISTANCE and each.p_value < _SURE_P]
    texts = []
    if outside:
        names = ", ".join(f"{each.feature} of {each.tensor} ({each.outside:.1%})" for each in outside[:5])
        texts.append(
            f"jets lie outside what the tagger was trained on, where it can only guess: {names}"
            f"{_more(outside)}. Look at the units and the selection, or train on such jets."
        )
    if apart:
        names = ", ".join(f"{each.feature} of {each.tensor} ({each.distance:.2f})" for each in apart[:5])
        texts.append(
            f"jets differ from those that the tagger was trained on (Kolmogorov–Smirnov distance): {names}{_more(apart)}."
        )
    return texts


def _by_chance(drift: Drift) -> float:
    """How far the share outside can be above its expectation: one value counts, however few are expected."""
    return _SURE * float(np.sqrt(max(drift.expected_outside, 1 / drift.n) / drift.n))


def _more(found: list[Drift]) -> str:
    return f" and {len(found) - 5} more" if len(found) > 5 else ""  # five of them were named


def _columns(
    tensors: Tensors, features: Mapping[str, tuple[str, ...]], *, n_jets: int
) -> Iterator[tuple[str, dict[str, Floats]]]:
    """The values of each feature, of particles that are there, or of pixels that are not empty."""
    n = len(tensors)
    rows = np.linspace(0, n - 1, min(n, n_jets)).astype(np.int64)
    inputs = tensors.pad(rows) if n else {}
    for name, names in features.items():
        if name not in inputs:
            continue
        values = inputs[name]
        if f"{name}_mask" in inputs:
            mask = inputs[f"{name}_mask"]
            there = values[mask]
            columns = {feature: _finite(there[:, i]) for i, feature in enumerate(names)}
            yield name, {**columns, _LENGTH: mask.sum(axis=1).astype(np.float32)}
        elif values.ndim == 2:  # of the jet as a whole
            yield name, {feature: _finite(values[:, i]) for i, feature in enumerate(names)}
        else:
            axis = next((i for i in (values.ndim - 1, 1) if values.shape[i] == len(names)), None)
            if axis is not None:
                parts = np.moveaxis(values, axis, -1)
                yield name, {feature: parts[..., i][parts[..., i] != 0] for i, feature in enumerate(names)}


def _finite(values: Floats) -> Floats:
    return values[np.isfinite(values)]
