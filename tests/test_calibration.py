"""Calibration: temperatures that are known are found, calibrated probabilities look calibrated, errors cover."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import log_loss

from hepnn.calibration import at_temperature, fit_temperature, reliability
from tests.toy_scores import CLASSES, LABELS, PROBABILITIES, WEIGHTS

NAMES = ("a", "b", "c")


def calibrated(rng, n):
    """Probabilities, and labels drawn from them."""
    p = softmax(rng.normal(0, 1.5, (n, 3)), axis=1)
    return p, np.array(NAMES)[(rng.random(n)[:, None] > np.cumsum(p, axis=1)).sum(axis=1).clip(0, 2)]


def test_a_temperature_divides_the_logits():
    logits = np.random.default_rng(1).normal(0, 3, (50, 3))
    np.testing.assert_allclose(at_temperature(softmax(logits, axis=1), 2.5), softmax(logits / 2.5, axis=1))
    np.testing.assert_allclose(at_temperature(PROBABILITIES, 1.0), PROBABILITIES)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_that_spoiled_the_probabilities_is_found(temperature):
    p, labels = calibrated(np.random.default_rng(2), 40_000)
    spoiled = at_temperature(p, 1 / temperature)
    assert fit_temperature(labels, spoiled, classes=NAMES) == pytest.approx(temperature, rel=0.03)


def test_no_other_temperature_has_less_log_loss():
    best = fit_temperature(LABELS, PROBABILITIES, classes=CLASSES, weights=WEIGHTS)
    order = np.argsort(CLASSES)

    def loss(temperature):
        p = at_temperature(PROBABILITIES, temperature)[:, order]
        return log_loss(LABELS, p, sample_weight=WEIGHTS)

    assert loss(best) <= min(loss(best * factor) for factor in (0.97, 0.99, 1.01, 1.03))


def test_zeros_and_ones_have_a_finite_temperature():
    sure = np.eye(3)[np.arange(300) % 3]
    labels = np.array(NAMES)[np.where(np.arange(300) % 10, np.arange(300) % 3, (np.arange(300) + 1) % 3)]
    found = fit_temperature(labels, sure, classes=NAMES)
    assert np.isfinite(at_temperature(sure, found)).all()


def test_reliability_agrees_with_the_definition():
    found = reliability(LABELS, PROBABILITIES, classes=CLASSES, weights=WEIGHTS, n_bins=6)
    best = PROBABILITIES.max(axis=1)
    right = np.array(CLASSES)[PROBABILITIES.argmax(axis=1)] == LABELS
    ece = 0.0
    for i, (low, high) in enumerate(zip(found.edges, found.edges[1:], strict=False)):
        inside = (low <= best) & (high > best)
        w = WEIGHTS[inside]
        assert found.predicted[i] == pytest.approx(np.average(best[inside], weights=w))
        assert found.observed[i] == pytest.approx(np.average(right[inside], weights=w))
        ece += w.sum() / WEIGHTS.sum() * abs(found.predicted[i] - found.observed[i])
    assert found.ece.value == pytest.approx(ece)


def test_a_calibrated_tagger_is_at_the_floor_and_a_spoiled_one_above():
    rng = np.random.default_rng(7)
    ratios, spoiled = [], []
    for _ in range(60):
        p, labels = calibrated(rng, 2000)
        found = reliability(labels, p, classes=NAMES)
        ratios.append(found.ece.value / found.ece_floor)
        spoiled.append(reliability(labels, at_temperature(p, 0.4), classes=NAMES).ece.value / found.ece_floor)
    assert np.mean(ratios) == pytest.approx(1, abs=0.1)
    assert np.min(spoiled) > 3
