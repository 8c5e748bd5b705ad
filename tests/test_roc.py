"""Two classes: every number against scikit-learn or a hand computation, every uncertainty against toys."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score, roc_curve

from hepnn.errors import InputError
from hepnn.roc import (
    Measured,
    auc,
    auc_difference,
    background_rejection,
    binary_discriminant,
    rejection_curve,
    roc,
)

RNG = np.random.default_rng(2)
N = 3000
TRUTH = RNG.random(N) < 0.4
SCORES = np.round(RNG.normal(TRUTH * 1.2, 1.0), 2)  # rounded, so that there are ties
WEIGHTS = {
    "none": None,
    "positive": RNG.uniform(0.1, 2, N),
    "some-negative": RNG.choice([1.0, 1.0, 1.0, -0.5], N),
}


@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)
def test_auc_agrees_with_scikit_learn(weights):
    reference = np.ones(N) if weights is None else weights
    if (reference < 0).any():  # scikit-learn refuses a curve that turns back: sum over all pairs by hand
        signal, background = SCORES[TRUTH], SCORES[~TRUTH]
        pairs = (signal[:, None] > background) + 0.5 * (signal[:, None] == background)
        product = reference[TRUTH][:, None] * reference[~TRUTH]
        expected = (pairs * product).sum() / product.sum()
    else:
        expected = roc_auc_score(TRUTH, SCORES, sample_weight=weights)
    assert auc(TRUTH, SCORES, weights=weights).value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("weights", [WEIGHTS["none"], WEIGHTS["positive"]], ids=["none", "positive"])
def test_roc_agrees_with_scikit_learn(weights):
    background, signal, thresholds = roc_curve(TRUTH, SCORES, sample_weight=weights, drop_intermediate=False)
    ours = roc(TRUTH, SCORES, weights=weights)
    np.testing.assert_allclose(ours.signal_efficiency, signal)
    np.testing.assert_allclose(ours.background_efficiency, background)
    np.testing.assert_allclose(ours.thresholds, thresholds)


def test_delong_variance_agrees_with_the_sum_over_all_pairs():
    truth, scores = TRUTH[:200], SCORES[:200]
    signal, background = scores[truth], scores[~truth]
    pairs = (signal[:, None] > background) + 0.5 * (signal[:, None] == background)
    variance = pairs.mean(axis=1).var(ddof=1) / len(signal) + pairs.mean(axis=0).var(ddof=1) / len(background)
    assert auc(truth, scores).error == pytest.approx(np.sqrt(variance), rel=1e-10)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_error_of_the_auc_covers_the_true_value(weighted):
    """A score drawn from N(1,1) beats one from N(0,1) with probability Φ(1/√2) = 0.7602."""
    rng = np.random.default_rng(5)
    inside = []
    for _ in range(400):
        truth = np.arange(240) % 2 == 0
        weights = rng.exponential(1.0, 240) if weighted else None
        measured = auc(truth, rng.normal(truth, 1.0), weights=weights)
        inside.append(abs(measured.value - 0.76025) < measured.error)
    assert 0.62 < np.mean(inside) < 0.74


@pytest.mark.parametrize("signal_efficiency", [0.5, 0.9])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_error_of_the_rejection_covers_the_true_value(weighted, signal_efficiency):
    """Unit normals 1.5 apart: ε_B = Φ(Φ⁻¹(ε_S) − 1.5); the weights depend on the score of the background."""
    rng = np.random.default_rng(6)
    truth = np.arange(3000) < 1000
    threshold = 1.5 - norm.ppf(signal_efficiency)
    # weights exp(x/2) move the background's mean to 1/2
    true_value = 1 / norm.sf(threshold - (0.5 if weighted else 0.0))
    inside = []
    for _ in range(400):
        scores = rng.normal(truth * 1.5, 1.0)
        weights = np.where(truth, 1.0, np.exp(scores / 2)) if weighted else None
        measured = background_rejection(truth, scores, signal_efficiency=signal_efficiency, weights=weights)
        inside.append(abs(measured.value - true_value) < measured.error)
    assert 0.62 < np.mean(inside) < 0.74


def test_rejection_is_one_over_the_background_that_passes():
    truth = np.array([True] * 4 + [False] * 100)
    scores = np.concatenate([[4, 3, 2, 1], np.linspace(-1, 3.5, 100)])
    passing = (scores[4:] >= 3).mean()
    measured = background_rejection(truth, scores, signal_efficiency=0.5)
    assert measured.value == pytest.approx(1 / passing)


def test_the_error_of_the_rejection_is_binomial_where_the_threshold_is_sure():
    """A million signal jets: their part of the variance is 1e-3 of the whole."""
    truth = np.arange(1_000_400) >= 400
    scores = np.concatenate([np.linspace(0, 1, 400), np.linspace(0, 1, 1_000_000)])
    measured = background_rejection(truth, scores, signal_efficiency=0.5)
    assert measured.error == pytest.approx(np.sqrt(0.25 / 400) / 0.25, rel=2e-3)


def test_the_error_of_a_background_efficiency_is_that_of_a_weighted_share():
    """By hand: background weights 1, 3, 2 of which the first two pass; all signal is above, so that no slope adds."""
    truth = np.array([True, True, False, False, False])
    curve = roc(truth, np.array([9.0, 9.0, 5.0, 4.0, 1.0]), weights=np.array([1.0, 1.0, 1.0, 3.0, 2.0]))
    share = 4 / 6
    expected = np.sqrt(1 * (1 - share) ** 2 + 9 * (1 - share) ** 2 + 4 * share**2) / 6
    assert curve.background_efficiency[3] == pytest.approx(share)
    assert curve.background_error[3] == pytest.approx(expected)


def test_rejection_where_no_background_passes_is_infinite_with_a_lower_limit():
    truth = np.arange(400) < 100
    measured = background_rejection(truth, np.where(truth, 1.0, 0.0), signal_efficiency=0.5)
    assert measured[:2] == (np.inf, np.inf)
    assert (1 - 1 / measured.lower_limit) ** 300 == pytest.approx(0.05)  # Clopper-Pearson: 0 of 300, 95 %
    assert str(measured) == "> 101 (95% CL)"


def test_negative_weights_that_cancel_give_a_limit_and_no_nan():
    truth = np.array([True, True, False, False, False])
    scores, weights = np.array([3, 1, 3.5, 3.2, 0]), np.array([1.0, 1, 1, -1, 5])
    measured = background_rejection(truth, scores, signal_efficiency=0.5, weights=weights)
    assert measured.value == np.inf
    assert 1 <= measured.lower_limit < 25  # two jets of weight 1 among the sum 5: at 1.645σ, 1/(1.645·√2/5) = 2.1


def test_the_rejection_curve_passes_through_the_rejections():
    curve = rejection_curve(roc(TRUTH, SCORES), n_points=10)
    at = int(np.argmin(abs(curve.signal_efficiency - 0.5)))
    expected = background_rejection(TRUTH, SCORES, signal_efficiency=0.5)
    assert curve.rejection[at] == pytest.approx(expected.value)
    epsilon, sigma = 1 / expected.value, expected.error / expected.value**2
    assert curve.low[at] == pytest.approx(1 / (epsilon + sigma))
    assert curve.high[at] == pytest.approx(1 / (epsilon - sigma))


def _paired_toy(rng, n, *, weighted=False):
    truth = np.arange(n) % 2 == 0
    common = rng.normal(truth * 1.0, 1.0)
    weights = rng.exponential(1.0, n) if weighted else None
    return truth, common + rng.normal(0, 0.3, n), common + rng.normal(0, 0.6, n), weights


def test_the_paired_error_agrees_with_the_covariance_of_delong_by_hand():
    truth, a, b, _ = _paired_toy(np.random.default_rng(1), 120)
    pairs = [(x[truth][:, None] > x[~truth]) + 0.5 * (x[truth][:, None] == x[~truth]) for x in (a, b)]
    above, below = (np.cov([p.mean(axis=axis) for p in pairs]) for axis in (1, 0))
    covariance = above / truth.sum() + below / (~truth).sum()
    contrast = np.array([1, -1])
    measured = auc_difference(truth, a, b)
    assert measured.value == pytest.approx(auc(truth, a).value - auc(truth, b).value)
    assert measured.error == pytest.approx(np.sqrt(contrast @ covariance @ contrast))


@pytest.mark.parametrize("weighted", [False, True])
def test_the_paired_error_covers_the_true_difference(weighted):
    """AUC = Φ(1/√(2(1 + s²))) for a score with noise s."""
    true_value = norm.cdf(1 / np.sqrt(2 * 1.09)) - norm.cdf(1 / np.sqrt(2 * 1.36))
    rng = np.random.default_rng(9)
    inside = []
    for _ in range(400):
        truth, a, b, weights = _paired_toy(rng, 400, weighted=weighted)
        measured = auc_difference(truth, a, b, weights=weights)
        inside.append(abs(measured.value - true_value) < measured.error)
    assert 0.62 < np.mean(inside) < 0.74


def test_the_difference_of_a_tagger_to_itself_is_0_and_its_error_too():
    assert auc_difference(TRUTH, SCORES, SCORES) == (0.0, 0.0, None)


def test_the_error_of_an_auc_of_one_signal_jet_is_unknown():
    assert auc(np.array([True, False, False]), np.array([2.0, 1.0, 3.0])) == (0.5, np.inf, None)


def test_discriminant_is_finite_where_both_probabilities_are_zero():
    result = binary_discriminant(np.array([0.3, 0.0, 0.0]), np.array([0.1, 0.5, 0.0]))
    np.testing.assert_allclose(result, [0.75, 0.0, 0.5])


def test_a_measured_number_shows_two_digits_of_its_error():
    assert str(Measured(0.90063, 0.00213)) == "0.9006 ± 0.0021"
    assert str(Measured(34.81, 1.31)) == "34.8 ± 1.3"
    assert str(Measured(1.0, 0.0)) == "1.0000 ± 0"
    assert str(Measured(3.58e-7, 0.0)) == "3.6e-07 ± 0"
    assert str(Measured(0.5, np.inf)) == "0.5000 ± inf"
    assert str(Measured(np.inf, np.inf, 333.4)) == "> 333 (95% CL)"


def test_scores_that_are_not_finite_or_do_not_fit_are_refused():
    with pytest.raises(InputError, match="finite scores; those of 1 jets are not, first jet 3: inf"):
        auc(TRUTH, np.where(np.arange(N) == 3, np.inf, SCORES))
    with pytest.raises(InputError, match=r"scores of shape \(3000,\), one row a jet; found the shape \(5,\)"):
        roc(TRUTH, SCORES[:5])
    with pytest.raises(InputError, match="the 0 background jets have the weight 0"):
        auc(np.ones(N, bool), SCORES)
    with pytest.raises(InputError, match="choose one above 0, at most 1"):
        background_rejection(TRUTH, SCORES, signal_efficiency=1.5)
