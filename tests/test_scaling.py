"""Scaling, fixed and fitted, on real particles only."""

import numpy as np
import pytest

from hepnn.features import resolve_features
from hepnn.scaling import fit_scaling, fixed_scaling

FEATURES = resolve_features(["log_pt", "delta_r", "is_muon"])


def test_fixed_scaling_is_that_of_the_features():
    scaling = fixed_scaling(FEATURES)
    assert scaling.center == (1.7, 0.2, 0.0)
    assert scaling.scale == (0.7, 4.0, 1.0)
    scaled = scaling(np.array([[1.7, 0.45, 1.0], [100.0, -100.0, 0.0]]))
    np.testing.assert_allclose(scaled, [[0, 1, 1], [5, -5, 0]], atol=1e-6)


def test_fitted_scaling_takes_a_normal_feature_to_mean_0_and_width_1():
    rng = np.random.default_rng(0)
    values = np.stack([rng.normal(40, 7, 50_000), rng.normal(-1, 0.01, 50_000), np.zeros(50_000)], axis=1)
    scaled = fit_scaling(FEATURES, values.astype(np.float32))(values)
    np.testing.assert_allclose(scaled[:, :2].mean(axis=0), 0, atol=0.02)
    np.testing.assert_allclose(scaled[:, :2].std(axis=0), 1, atol=0.02)


def test_a_feature_without_spread_keeps_its_default_scaling():
    values = np.zeros((100, 3), np.float32)
    values[:3, 2] = 1  # a rare flag: both quantiles are 0
    assert fit_scaling(FEATURES, values) == fixed_scaling(FEATURES)


def test_no_training_particles_leave_the_defaults():
    assert fit_scaling(FEATURES, np.empty((0, 3), np.float32)) == fixed_scaling(FEATURES)


@pytest.mark.parametrize("n_outliers", [1, 50])
def test_outliers_do_not_move_a_fitted_scaling(n_outliers):
    values = np.random.default_rng(0).normal(0, 1, (10_000, 3)).astype(np.float32)
    spoiled = values.copy()
    spoiled[:n_outliers] = 1e9
    before, after = fit_scaling(FEATURES, values), fit_scaling(FEATURES, spoiled)
    np.testing.assert_allclose(after.scale, before.scale, rtol=0.05)


def test_fitted_limits_lie_around_the_fitted_centre_and_missing_values_do_not_count():
    (feature,) = resolve_features(["d0_error"])
    values = np.random.default_rng(0).normal(0.3, 0.05, (1000, 1)).astype(np.float32)
    values[::2] = feature.missing
    scaling = fit_scaling([feature], values)
    assert scaling.center[0] == pytest.approx(0.3, abs=0.01)
    assert (scaling.lower[0], scaling.upper[0]) == (-5, 5)
    assert np.ptp(scaling(values[1::2])) > 4
