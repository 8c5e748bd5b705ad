"""Two classes: the ROC curve, the area under it, and the background rejection, each with its statistical uncertainty.

Truth (jet,), scores (jet,) and weights (jet,) go in as NumPy arrays; NamedTuples come out. Weights may be negative, as
generators beyond leading order make them: an efficiency can then leave [0, 1] and a ROC curve turn back, but signal and
background each need a positive sum. Uncertainties are those of a finite number of test jets; another training would
scatter on top of them. `hepnn.evaluation` builds on this for any number of classes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hepnn.errors import InputError

__all__ = [
    "ROUNDING",
    "SMALLEST_PROBABILITY",
    "Measured",
    "RejectionCurve",
    "Roc",
    "auc",
    "auc_difference",
    "background_rejection",
    "binary_discriminant",
    "checked",
    "plain",
    "points_at",
    "rejection_at",
    "rejection_curve",
    "require_finite",
    "roc",
    "share_with_error",
]

Floats = npt.NDArray[np.floating[Any]]
Flags = npt.NDArray[np.bool_]

_CONFIDENCE, _ONE_SIDED_SIGMA = 0.95, 1.645
"""Confidence level of a lower limit, and the standard deviations that stand for it one-sided."""

ROUNDING = 1e-12
"""Efficiencies closer than this are the same: sums of a million weights agree to about 1e-13."""

SMALLEST_PROBABILITY = float(np.finfo(np.float64).eps)
"""What a probability of 0 counts as in a logarithm; scikit-learn's choice."""

_LEAST_FIXED = 1e-3
"""Numbers closer to 0 are shown with an exponent, where no uncertainty says which digits count."""


class Measured(NamedTuple):
    """A number and its statistical uncertainty.

    Attributes:
        value: the number; infinite for the rejection where no background passes.
        error: one standard deviation; infinite where the jets cannot tell it.
        lower_limit: at 95 % confidence, only where the value is infinite.
    """

    value: float
    error: float
    lower_limit: float | None = None

    def __str__(self) -> str:
        if self.lower_limit is not None:
            return f"> {self.lower_limit:.3g} (95% CL)"
        if not 0 < self.error < np.inf:
            is_tiny = 0 < abs(self.value) < _LEAST_FIXED
            return f"{self.value:{'.2g' if is_tiny else '.4f'}} ± {self.error:.4g}"
        digits = max(0, 1 - int(np.floor(np.log10(self.error))))
        return f"{self.value:.{digits}f} ± {self.error:.{digits}f}"

    def to_dict(self) -> dict[str, float | None]:
        """Returns what JSON can hold: None for what is not finite, the limit only where there is one."""
        return {name: plain(x) for name, x in self._asdict().items() if x is not None}


class Roc(NamedTuple):
    """The ROC curve: what passes each threshold, from the tightest down; it begins at (0, 0).

    Attributes:
        signal_efficiency: (threshold,).
        background_efficiency: (threshold,).
        thresholds: (threshold,); scores at or above one pass it; the first is +inf.
        background_error: (threshold,), of the background efficiency at this signal efficiency, as `roc` says.
        n_background: effective number of background jets, (Σw)²/Σw².
        slope: (threshold,), of the curve, dε_B/dε_S, over ±1σ of the signal efficiency.
    """

    signal_efficiency: Floats
    background_efficiency: Floats
    thresholds: Floats
    background_error: Floats
    n_background: float
    slope: Floats


class RejectionCurve(NamedTuple):
    """A ROC curve as the field draws it, where some background passes.

    Attributes:
        signal_efficiency: (point,).
        rejection: (point,), 1/(background efficiency).
        low: (point,), the same for a background efficiency one standard deviation higher.
        high: (point,), the same for one lower; infinite where that is 0 or less.
    """

    signal_efficiency: Floats
    rejection: Floats
    low: Floats
    high: Floats


def roc(is_signal: Flags, scores: Floats, *, weights: Floats | None = None) -> Roc:
    """Returns the ROC curve of ``scores``, high for signal, with one point for each distinct score.

    The variance of the background efficiency ε at a fixed signal efficiency has two parts (Hsieh, Turnbull
    1996, Ann. Stat. 24, 25): that of ε at a fixed threshold, Σw²(x − ε)²/(Σw)² with x = 1 for jets that pass
    and 0 for others, which without weights is the binomial ε(1 − ε)/N; and, because signal jets set the
    threshold, that of the signal efficiency times the squared slope of the curve, here taken over ±1σ.

    Args:
        is_signal: (jet,).
        scores: (jet,).
        weights: (jet,) or None. With negative ones the curve can turn back.

    Raises:
        InputError: lengths differ, a score is not finite, or signal or background have no weight.

    >>> curve = roc(np.array([True, True, False, False]), np.array([0.9, 0.4, 0.6, 0.1]))
    >>> curve.signal_efficiency.tolist(), curve.background_efficiency.tolist()
    ([0.0, 0.5, 0.5, 1.0, 1.0], [0.0, 0.0, 0.5, 0.5, 1.0])
    """
    is_signal, scores, weights = checked(is_signal, scores, weights)
    order = np.argsort(scores)[::-1]
    ordered = scores[order]
    last_of_tie = _last_of_tie(ordered)

    def passing(flags: Flags) -> tuple[Floats, Floats]:
        chosen = np.where(flags, weights, 0)[order]
        passed, squares = (np.concatenate([[0.0], np.cumsum(x)[last_of_tie]]) for x in (chosen, chosen**2))
        return share_with_error(passed, squares, total=passed[-1], total_squares=squares[-1])

    signal, signal_error = passing(is_signal)
    background, background_error = passing(~is_signal)
    rising = np.maximum.accumulate(signal)
    low, high = np.clip(signal - signal_error, 0, 1), np.clip(signal + signal_error, 0, 1)
    rise = np.interp(high, rising, background) - np.interp(low, rising, background)
    slope = np.divide(rise, high - low, out=np.zeros_like(rise), where=high > low)
    return Roc(
        signal,
        background,
        np.concatenate([[np.inf], ordered[last_of_tie]]),
        np.hypot(background_error, slope * signal_error),
        float(weights[~is_signal].sum() ** 2 / (weights[~is_signal] ** 2).sum()),
        slope,
    )


def auc(is_signal: Flags, scores: Floats, *, weights: Floats | None = None) -> Measured:
    """Returns the area under the ROC curve: the probability that a signal jet scores above a background jet.

    The uncertainty is that of DeLong, DeLong, Clarke-Pearson 1988 (Biometrics 44, 837), in n·log n steps as
    in Sun, Xu 2014 (IEEE Signal Process. Lett. 21, 1389). With weights, each jet's share of the area is
    weighted, and the variance of a weighted mean is Σw²(x − mean)²/(Σw)². It is 0 where signal and background
    do not overlap at all, which the method cannot judge, and infinite where one of them is a single jet.

    Args:
        is_signal: (jet,).
        scores: (jet,), high for signal.
        weights: (jet,) or None.

    Raises:
        InputError: as in `roc`.

    >>> print(auc(np.array([True, True, True, False, False]), np.array([0.9, 0.8, 0.4, 0.6, 0.1])))
    0.83 ± 0.24
    """
    is_signal, scores, weights = checked(is_signal, scores, weights)
    return _mean_with_error(_shares_of_area(is_signal, scores, weights), is_signal, weights)


def auc_difference(is_signal: Flags, scores_a: Floats, scores_b: Floats, *, weights: Floats | None = None) -> Measured:
    """Returns AUC(a) − AUC(b) of two taggers on the same jets.

    The uncertainty knows that both saw the same jets (DeLong, DeLong, Clarke-Pearson 1988, Biometrics 44,
    837, for the contrast (1, −1)); for taggers that agree on most jets it is far smaller than the errors of
    the two AUCs.

    Args:
        is_signal: (jet,).
        scores_a: (jet,), high for signal.
        scores_b: (jet,), high for signal.
        weights: (jet,) or None.

    Raises:
        InputError: as in `roc`.
    """
    _, scores_b, _ = checked(is_signal, scores_b, weights)
    is_signal, scores_a, weights = checked(is_signal, scores_a, weights)
    shares_a, shares_b = (_shares_of_area(is_signal, scores, weights) for scores in (scores_a, scores_b))
    return _mean_with_error(shares_a - shares_b, is_signal, weights)


def background_rejection(
    is_signal: Flags, scores: Floats, *, signal_efficiency: float, weights: Floats | None = None
) -> Measured:
    """Returns 1/(background efficiency) at the tightest threshold that passes ``signal_efficiency``.

    The uncertainty of the background efficiency ε, described at `roc`, is carried over to 1/ε as σ/ε². Where
    no background passes, value and error are infinite, and the lower limit is that of Clopper, Pearson 1934
    (Biometrika 26, 404) for 0 of N = (Σw)²/Σw² effective jets, 1/(1 − 0.05^(1/N)), about N/3; where negative
    weights cancel what passes, it is the Gaussian one if that is lower.

    Args:
        is_signal: (jet,).
        scores: (jet,), high for signal.
        signal_efficiency: above 0, at most 1.
        weights: (jet,) or None.

    Raises:
        InputError: as in `roc`, or an efficiency that is none.
    """
    if not 0 < signal_efficiency <= 1:
        raise InputError(
            f"asked for the rejection at a signal efficiency of {signal_efficiency}; choose one above 0, at most 1."
        )
    return rejection_at(roc(is_signal, scores, weights=weights), signal_efficiency)


def rejection_curve(curve: Roc, *, n_points: int = 400) -> RejectionCurve:
    """Returns ``curve`` as rejection with a ±1σ band, at evenly spaced signal efficiencies.

    Args:
        curve: what `roc` returns.
        n_points: at most so many; those where no background passes are left out.
    """
    at = np.unique(points_at(curve, np.linspace(0, 1, n_points + 1)[1:]))
    at = at[curve.background_efficiency[at] > ROUNDING]
    passing, error = curve.background_efficiency[at], curve.background_error[at]
    least = passing - error
    high = np.divide(1, least, out=np.full_like(least, np.inf), where=least > ROUNDING)
    return RejectionCurve(curve.signal_efficiency[at], 1 / passing, 1 / (passing + error), high)


def binary_discriminant(p_signal: Floats, p_background: Floats) -> Floats:
    """Returns p_S/(p_S + p_B), (jet,); 0.5 where both are 0.

    The discriminant of two classes among many, with which Qu, Li, Qian 2022 (arXiv:2202.03772) quote
    rejections.

    >>> binary_discriminant(np.array([0.75, 0.1, 0.0]), np.array([0.25, 0.0, 0.0])).tolist()
    [0.75, 1.0, 0.5]
    """
    p_signal, p_background = np.asarray(p_signal, np.float64), np.asarray(p_background, np.float64)
    total = p_signal + p_background
    return np.divide(p_signal, total, out=np.full_like(total, 0.5), where=total > 0)


def points_at(curve: Roc, efficiencies: npt.ArrayLike) -> npt.NDArray[np.intp]:
    """Returns where on the curve the tightest thresholds are that pass these signal efficiencies, (efficiency,)."""
    rising = np.maximum.accumulate(curve.signal_efficiency)
    return np.searchsorted(rising, np.asarray(efficiencies, np.float64) - ROUNDING)


def rejection_at(curve: Roc, signal_efficiency: float) -> Measured:
    """Returns what `background_rejection` does, from a curve that was worked out before."""
    at = int(points_at(curve, signal_efficiency))
    passing, error = float(curve.background_efficiency[at]), float(curve.background_error[at])
    if passing > ROUNDING:
        return Measured(1 / passing, error / passing**2)
    most = max(1 - (1 - _CONFIDENCE) ** (1 / curve.n_background), _ONE_SIDED_SIGMA * error)
    return Measured(float("inf"), float("inf"), 1 / most)


def share_with_error(part: Any, squares: Any, *, total: Any, total_squares: Any) -> tuple[Any, Any]:
    """Returns the share and its error √(Σw²(x − share)²)/Σw, from sums of weights and of their squares."""
    share = part / total
    variance = (squares * (1 - 2 * share) + total_squares * share**2) / total**2
    return share, np.sqrt(np.maximum(variance, 0))


def _shares_of_area(is_signal: Flags, scores: Floats, weights: Floats) -> Floats:
    """DeLong's components: the share of background below each signal jet, of signal above each other; ties count half."""
    order = np.argsort(scores)
    last_of_tie = _last_of_tie(scores[order])
    tie = np.repeat(np.arange(len(last_of_tie)), np.diff(last_of_tie, prepend=-1))
    flags, ordered = is_signal[order], weights[order]

    def below(chosen: Flags) -> Floats:
        passed = np.cumsum(np.where(chosen, ordered, 0))[last_of_tie]
        share: Floats = (passed - np.diff(passed, prepend=0) / 2) / passed[-1]
        return share[tie]

    shares = np.empty(len(scores))
    shares[order] = np.where(flags, below(~flags), 1 - below(flags))
    return shares


def _last_of_tie(ordered: Floats) -> npt.NDArray[np.intp]:
    """Where the last of each run of equal values is."""
    return np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)


def _mean_with_error(shares: Floats, is_signal: Flags, weights: Floats) -> Measured:
    """The mean over signal, which is that over background too, and the error that both sides give it."""
    value = float(np.average(shares[is_signal], weights=weights[is_signal]))
    variance = 0.0
    for side in (is_signal, ~is_signal):
        w, n = weights[side], int(side.sum())
        if n < 2:
            return Measured(value, float("inf"))
        variance += float((w**2 * (shares[side] - value) ** 2).sum() / w.sum() ** 2 * n / (n - 1))
    return Measured(value, float(np.sqrt(variance)))


def plain(value: float) -> float | None:
    """Returns the value, or None where JSON has no number for it."""
    return value if np.isfinite(value) else None


def checked(is_signal: Flags, scores: Floats, weights: Floats | None) -> tuple[Flags, Floats, Floats]:
    """Returns truth, scores and weights as arrays, (jet,) each; weights of 1 for None.

    Raises:
        InputError: lengths differ, a score or weight is not finite, or signal or background have no weight.
    """
    is_signal, scores = np.asarray(is_signal, bool), np.asarray(scores, np.float64)
    weights = np.ones(is_signal.shape) if weights is None else np.asarray(weights, np.float64)
    for what, values in (("scores", scores), ("weights", weights)):
        require_finite(values, (is_signal.size,), what)
    for what, chosen in (("signal", is_signal), ("background", ~is_signal)):
        if not weights[chosen].sum() > 0:
            raise InputError(
                f"asked to tell signal from background; the {int(chosen.sum())} {what} jets have the weight "
                f"{weights[chosen].sum():g}. Give jets of both, with weights whose sum is positive."
            )
    return is_signal, scores, weights


def require_finite(values: Floats, shape: tuple[int, ...], what: str) -> None:
    """Refuses values of another shape, or with NaN or infinity among them."""
    if values.shape != shape:
        raise InputError(f"asked for {what} of shape {shape}, one row a jet; found the shape {values.shape}.")
    finite = np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
    if not finite.all():
        at = int(finite.argmin())
        raise InputError(
            f"asked for finite {what}; those of {int((~finite).sum())} jets are not, first jet {at}: "
            f"{values[at].tolist()}. Leave such jets out; scores that a selection left empty go with that selection."
        )
