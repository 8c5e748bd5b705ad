"""Energy resolutions: measured in bins, and fitted."""

import matplotlib.figure
import numpy as np
import pytest

from hepnn.tasks.resolution import Binned, draw_resolution, fit_resolution, half_range, half_width, measured_in_bins


def binned(energy, a, b, c, *, error=0.01, rng=None):
    """Resolutions by the formula, with a relative error, scattered by it if there is a generator."""
    exact = np.sqrt(a**2 / energy + b**2 + (c / energy) ** 2)
    shown = exact * (1 + error * rng.standard_normal(len(energy))) if rng else exact
    ones = np.ones_like(energy)
    return Binned(energy, ones, 0.01 * ones, shown, error * exact)


ENERGY = np.geomspace(2, 200, 12)


def test_the_fit_finds_the_terms_that_the_resolutions_were_made_with():
    found = fit_resolution(binned(ENERGY, 0.5, 0.03, 0.4))
    assert [term.value for term in found] == pytest.approx([0.5, 0.03, 0.4], rel=1e-4)
    np.testing.assert_allclose(found(ENERGY), binned(ENERGY, 0.5, 0.03, 0.4).resolution, rtol=1e-4)


def test_the_terms_scatter_by_their_uncertainties():
    rng = np.random.default_rng(0)
    fits = [fit_resolution(binned(ENERGY, 0.5, 0.05, 0.5, error=0.02, rng=rng)) for _ in range(300)]
    for index in range(3):
        values, errors = np.array([fit[index][:2] for fit in fits]).T
        assert np.std(values) == pytest.approx(np.mean(errors), rel=0.15)


def test_a_term_that_is_not_there_comes_out_as_small_as_its_finite_uncertainty():
    rng = np.random.default_rng(1)
    for _ in range(20):
        _, _, noise = fit_resolution(binned(ENERGY, 0.5, 0.05, 0.0, rng=rng))
        assert 0 < noise.error < 0.2
        assert noise.value < 5 * noise.error


def test_widths_are_those_of_a_normal_distribution_whatever_its_scale():
    values = np.random.default_rng(2).normal(0.8, 0.08, 100_000)
    assert half_width(values) == pytest.approx(0.1, rel=0.02)
    assert half_width(3 * values) == pytest.approx(half_width(values))
    assert half_range(values) == pytest.approx(0.08, rel=0.02)


def test_bins_hold_the_energies_between_their_edges():
    rng = np.random.default_rng(3)
    true = rng.uniform(10, 30, 20_000)
    found = true * np.where(true < 20, 0.9, 1.1) * rng.normal(1, np.where(true < 20, 0.05, 0.1))
    low, high = np.array(measured_in_bins(true, found, edges=np.array([10.0, 20.0, 30.0]), rng=rng)).T
    for bin_, response, resolution in ((low, 0.9, 0.05), (high, 1.1, 0.1)):
        assert abs(bin_[1] - response) < 5 * bin_[2]
        assert abs(bin_[3] - resolution) < 5 * bin_[4]
    assert (low[0], high[0]) == pytest.approx((15, 25), abs=0.2)


def test_points_and_fit_are_drawn():
    axes = matplotlib.figure.Figure().add_subplot()
    draw_resolution(axes, binned(ENERGY, 0.5, 0.03, 0.4), color="red", label="here")
    curve = axes.lines[-1]
    assert curve.get_label() == "here"
    energy, sigma = curve.get_data()
    np.testing.assert_allclose(sigma, np.sqrt(0.25 / energy + 0.03**2 + (0.4 / energy) ** 2), rtol=1e-3)
