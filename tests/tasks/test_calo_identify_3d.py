"""Electron or charged pion: a quick run, and the volumes it sees."""

import awkward as ak
import numpy as np
import pytest

from hepnn.calo_images import pixelate_cells
from hepnn.tasks import TASKS
from hepnn.tasks.calo_identify_3d import EDGES, LEAST_SEEN, TWELVE, VOLUME, draw


@pytest.fixture(scope="module")
def result():
    return TASKS["calo-identify-3d"].run(seed=1, quick=True)


@pytest.fixture(scope="module")
def showers():
    return draw(1_000, np.random.default_rng(2))


def test_a_quick_run_reaches_its_bounds(result):
    assert result.passed, result.metrics
    assert [metric.name for metric in result.metrics] == [goal.metric for goal in result.task.goals]
    assert all(metric.uncertainty > 0 for metric in result.metrics)


def test_network_and_profile_are_judged_on_the_same_showers(result):
    table, by_energy = result.tables
    (_, _, area, at_90, at_95, _), (*_, profile_at_95, below) = table.rows
    assert below.value == pytest.approx(area.value - table.rows[1][2].value, abs=1e-12)
    assert area.value > 0.9
    assert at_90.value >= at_95.value
    rejection, ratio = result.metrics
    assert rejection.value == at_95.value
    assert ratio.value == pytest.approx(at_95.value / profile_at_95.value)
    assert len(by_energy.rows) == len(EDGES) - 1


def test_models_and_pictures_can_be_taken_away(result):
    assert result.model.input_shape["image"] == (None, *VOLUME.shape)
    assert {"examples", "profiles", "ROC", "rejection by energy", "learning"} == set(result.figures)
    (axes,) = result.figures["profiles"].axes
    assert axes.get_xlabel() == "depth in the calorimeter [$X_0$]"
    assert len(result.figures["examples"].axes) == 3 * 6 + 1


def test_only_showers_that_leave_enough_energy_count(showers):
    seen = ak.to_numpy(ak.sum(showers.cells.energy, axis=1))
    assert seen.min() >= LEAST_SEEN
    n_electrons, n_pions = (showers.label.tolist().count(name) for name in ("electron", "pion"))
    assert n_electrons > 450  # of 500
    assert 50 < n_pions < 400  # many pions pass through, or leave part of their energy behind


def test_each_voxel_is_a_cell_and_all_add_up_to_one(showers):
    volumes = pixelate_cells(showers, VOLUME)
    assert volumes.shape == (len(showers), 12, 9, 9, 1)
    np.testing.assert_allclose(volumes.sum(axis=(1, 2, 3, 4)), 1, rtol=1e-5)
    n_cells = ak.to_numpy(ak.num(showers.cells))
    n_voxels = np.count_nonzero(volumes.reshape(len(showers), -1), axis=1)
    assert (n_voxels <= n_cells).all()
    assert n_voxels.sum() > 0.9 * n_cells.sum()  # windows follow the flight, so some of their cells lie outside


def test_electrons_are_deepest_where_the_literature_has_them(showers):
    """The shower maximum of electrons, ln(E/E_c) − 0.5 (PDG), behind 2 X0 of matter."""
    electrons = showers[(showers.label == "electron") & (showers.energy > 6)]
    shares = pixelate_cells(electrons, VOLUME).sum(axis=(2, 3, 4)).mean(axis=0)
    deepest = 2 * shares.argmax() + 1  # middle of the layer, in X0
    critical = TWELVE.layers[0].medium.critical_energy
    expected = np.log(np.exp(np.log(electrons.energy.to_numpy()).mean()) / critical) - 0.5 - TWELVE.upstream
    assert abs(deepest - expected) < 2
