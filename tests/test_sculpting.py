"""Mass sculpting: the divergence of known distributions, its floor and error by toys."""

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from hepnn.errors import InputError
from hepnn.sculpting import jensen_shannon, mass_sculpting

RNG = np.random.default_rng(1)
MASS = RNG.gamma(4, 20, 6000)
WEIGHTS = RNG.choice([1.0, 2.0, -0.3], 6000)


def test_the_divergence_agrees_with_scipy():
    p, q = RNG.random((2, 12))
    assert jensen_shannon(p, q) == pytest.approx(jensenshannon(p, q, base=2) ** 2)
    assert jensen_shannon(p, p) == 0
    assert jensen_shannon(np.array([1.0, 0]), np.array([0, 3.0])) == 1


def test_spectra_are_shares_of_all_jets_and_of_those_that_pass():
    edges = [0, 50, 100, 500]
    passed = MASS > 60
    found = mass_sculpting(MASS, {"cut": passed}, edges=edges, weights=WEIGHTS)
    counts, _ = np.histogram(MASS, edges, weights=WEIGHTS)
    np.testing.assert_allclose(found.before.share, counts / WEIGHTS.sum())
    counts, _ = np.histogram(MASS[passed], edges, weights=WEIGHTS[passed])
    np.testing.assert_allclose(found.after["cut"].share, counts / WEIGHTS[passed].sum())
    squares, _ = np.histogram(MASS, edges, weights=WEIGHTS**2)
    np.testing.assert_allclose(found.before.error, np.sqrt(squares) / WEIGHTS.sum())


def test_a_cut_that_knows_nothing_of_the_mass_is_at_the_floor_and_one_on_the_mass_far_above():
    rng, ratios = np.random.default_rng(2), []
    for _ in range(80):
        mass = rng.gamma(4, 20, 4000)
        found = mass_sculpting(mass, {"blind": rng.random(4000) < 0.2, "mass": mass > 100})
        ratios.append(found.divergence["blind"].value / found.floor["blind"])
        assert found.divergence["mass"].value > 20 * found.floor["mass"]
    assert np.mean(ratios) == pytest.approx(1, abs=0.1)


def test_the_error_of_the_divergence_is_its_scatter():
    rng, found = np.random.default_rng(5), []
    for _ in range(300):
        mass = rng.gamma(4, 20, 2000)
        passed = rng.random(2000) < np.clip(mass / 200, 0, 1)
        (value,) = mass_sculpting(mass, {"cut": passed}, edges=np.linspace(0, 200, 11)).divergence.values()
        found.append(value)
    scatter = np.std([each.value for each in found])
    assert np.mean([each.error for each in found]) == pytest.approx(scatter, rel=0.15)


def test_a_cut_that_nothing_passes_has_no_divergence():
    found = mass_sculpting(MASS, {"none": np.zeros(6000, bool)})
    assert np.isnan(found.divergence["none"].value)
    assert found.to_dict()["none"]["divergence"]["value"] is None


def test_masses_that_cannot_be_used_are_refused():
    with pytest.raises(InputError, match="finite masses; those of 1 jets are not, first jet 0"):
        mass_sculpting(np.where(np.arange(6000) == 0, np.nan, MASS), {})
    with pytest.raises(InputError, match="found 0 with the weight 0"):
        mass_sculpting(np.empty(0), {})
