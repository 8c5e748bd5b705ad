"""Two taggers on the same jets: the errors of differences and ratios cover what is true, and know what is shared."""

import numpy as np
import pytest
from scipy.stats import norm

from hepnn.errors import InputError
from hepnn.paired import compare_rejections
from hepnn.roc import background_rejection

NOISE = (0.3, 0.7)
EFFICIENCY = 0.5


def toy(rng, n, *, weighted=False):
    """Two scores with a common part: signal is normal around 1, background around 0; weights exp(x/2) shift it to 1/2."""
    truth = np.arange(n) % 3 == 0
    common = rng.normal(truth * 1.0, 1.0)
    weights = np.where(truth, 1.0, np.exp(common / 2)) if weighted else None
    return truth, *(common + rng.normal(0, s, n) for s in NOISE), weights


def true_rejections(*, weighted):
    """The signal's median is 1; the background is normal around its mean with the width √(1 + s²)."""
    return [1 / norm.sf((1.0 - 0.5 * weighted) / np.hypot(1, s)) for s in NOISE]


def at_half(curve):
    place = int(np.argmin(abs(curve.signal_efficiency - EFFICIENCY)))
    return curve.ratio[place], curve.error[place]


@pytest.mark.parametrize("weighted", [False, True])
def test_the_errors_cover_the_true_difference_and_ratio(weighted):
    a, b = true_rejections(weighted=weighted)
    rng = np.random.default_rng(4)
    of_difference, of_ratio = [], []
    for _ in range(400):
        truth, *scores, weights = toy(rng, 3000, weighted=weighted)
        found = compare_rejections(truth, *scores, at=[EFFICIENCY], weights=weights)
        measured = found.difference[EFFICIENCY]
        of_difference.append(abs(measured.value - (a - b)) < measured.error)
        ratio, error = at_half(found.ratio)
        of_ratio.append(abs(ratio - a / b) < error)
    assert 0.62 < np.mean(of_difference) < 0.74
    assert 0.62 < np.mean(of_ratio) < 0.74


def test_the_values_are_those_of_the_rejections():
    truth, a, b, _ = toy(np.random.default_rng(1), 900)
    first, second = (background_rejection(truth, x, signal_efficiency=EFFICIENCY) for x in (a, b))
    found = compare_rejections(truth, a, b, at=[0.3, EFFICIENCY])
    measured = found.difference[EFFICIENCY]
    assert measured.value == pytest.approx(first.value - second.value)
    assert at_half(found.ratio)[0] == pytest.approx(first.value / second.value)
    assert measured.error < 0.95 * np.hypot(first.error, second.error)


def test_the_covariance_is_the_sum_over_jets_by_hand():
    truth, a, b, _ = toy(np.random.default_rng(2), 400)
    weights = np.random.default_rng(3).choice([1.0, 2.0, -0.5], 400)
    efficient = np.where(truth, np.abs(weights), weights)
    from hepnn.roc import points_at, roc

    expected, epsilons = 0.0, []
    curves = [roc(truth, x, weights=efficient) for x in (a, b)]
    places = [int(points_at(curve, EFFICIENCY)) for curve in curves]
    passed = [x >= curve.thresholds[at] for x, curve, at in zip((a, b), curves, places, strict=True)]
    for side in (truth, ~truth):
        w = efficient[side]
        shares = [np.average(x[side], weights=w) for x in passed]
        product = np.prod([x[side] - share for x, share in zip(passed, shares, strict=True)], axis=0)
        slopes = [curve.slope[at] for curve, at in zip(curves, places, strict=True)] if side[0] else (1.0, 1.0)
        expected += slopes[0] * slopes[1] * (w**2 * product).sum() / w.sum() ** 2
        epsilons = shares
    variances = [curve.background_error[at] ** 2 for curve, at in zip(curves, places, strict=True)]
    relative = variances[0] / epsilons[0] ** 2 + variances[1] / epsilons[1] ** 2 - 2 * expected / np.prod(epsilons)
    ratio, error = at_half(compare_rejections(truth, a, b, weights=efficient).ratio)
    assert error / ratio == pytest.approx(np.sqrt(relative))


def test_a_tagger_differs_from_itself_by_0_without_error():
    truth, a, *_ = toy(np.random.default_rng(1), 900)
    found = compare_rejections(truth, a, a, at=[0.3])
    np.testing.assert_allclose(found.difference[0.3][:2], 0, atol=1e-6)
    np.testing.assert_allclose(found.ratio.ratio, 1)
    np.testing.assert_allclose(found.ratio.error, 0, atol=1e-7)


def test_where_no_background_passes_there_is_no_difference():
    truth = np.arange(300) < 100
    perfect = np.where(truth, 1.0, 0.0)
    found = compare_rejections(truth, perfect, np.arange(300.0), at=[0.5])
    assert np.isnan(found.difference[0.5].value)
    assert found.difference[0.5].error == np.inf
    assert found.ratio.ratio.size == 0


def test_efficiencies_that_are_none_are_refused():
    truth, a, b, _ = toy(np.random.default_rng(1), 90)
    with pytest.raises(InputError, match=r"asked to compare at a signal efficiency of 1.5; choose one above 0"):
        compare_rejections(truth, a, b, at=[1.5])
