"""What tasks measure, each number with its statistical uncertainty: that of a finite number of test samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hepnn.roc import Measured

__all__ = ["bootstrapped", "mean", "share"]


def share(right: npt.NDArray[np.bool_]) -> Measured:
    """Returns the share of samples that are right.

    The uncertainty is half the width of the 68 % interval of Wilson 1927 (J. Am. Stat. Assoc. 22, 209); unlike
    √(p(1 − p)/n) it is not 0 where all are right.

    Args:
        right: (sample,).

    >>> print(share(np.repeat([True, False], [96, 4])))
    0.960 ± 0.020
    """
    n, p = right.size, float(np.mean(right))
    return Measured(p, float(np.sqrt(p * (1 - p) / n + 1 / (4 * n**2)) / (1 + 1 / n)))


def mean(values: Sequence[float] | npt.NDArray[Any]) -> Measured:
    """Returns the mean and its standard error.

    Args:
        values: (sample,), two or more.
    """
    return Measured(float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(np.size(values))))


def bootstrapped(
    statistic: Callable[[npt.NDArray[np.intp]], float],
    n_samples: int,
    *,
    rng: np.random.Generator,
    n_resamplings: int = 200,
) -> Measured:
    """Returns a statistic of the samples and its uncertainty by resampling (Efron 1979, Ann. Stat. 7, 1).

    Args:
        statistic: called with indices of samples, (sample,), in which samples can come more than once.
        n_samples: how many there are.
        rng: of the resampling.
        n_resamplings: more give a steadier uncertainty.
    """
    resampled = [statistic(rng.integers(n_samples, size=n_samples)) for _ in range(n_resamplings)]
    return Measured(float(statistic(np.arange(n_samples))), float(np.std(resampled, ddof=1)))
