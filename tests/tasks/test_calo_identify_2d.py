"""Photon or neutral pion: a quick run, and what the images show."""

from dataclasses import replace

import numpy as np
import pytest

from hepnn.calo_images import pixelate_cells
from hepnn.tasks import TASKS
from hepnn.tasks.calo_data import labelled_showers
from hepnn.tasks.calo_identify_2d import CLASSES, EDGES, IMAGES, TREES


@pytest.fixture(scope="module")
def result():
    return TASKS["calo-identify-2d"].run(seed=1, quick=True)


def test_a_quick_run_reaches_its_bounds(result):
    assert result.passed, result.metrics
    assert [metric.name for metric in result.metrics] == [goal.metric for goal in result.task.goals]
    assert all(0 < metric.uncertainty < 0.03 for metric in result.metrics)


def test_three_taggers_are_judged_on_the_same_showers(result):
    table, by_energy = result.tables
    assert result.n_test == 2_000
    assert [row[0] for row in table.rows] == [*IMAGES, TREES]
    areas = {row[0]: row[2].value for row in table.rows}
    for name, *_, below in table.rows[1:]:
        assert below.value == pytest.approx(areas["CNN"] - areas[name], abs=1e-12)
    assert list(by_energy.columns) == ["energy [GeV]", *IMAGES, TREES]
    assert len(by_energy.rows) == len(EDGES) - 1


def test_pions_are_harder_to_tell_the_faster_they_are(result):
    trees = [row[-1].value for row in result.tables[1].rows]
    assert trees[0] > trees[-1] + 0.05


def test_models_and_pictures_can_be_taken_away(result):
    assert result.model.inputs[0].shape == (None, 40, 11, 3)
    assert set(result.fits) == set(IMAGES)
    assert set(result.figures) == {"examples", "ROC", "AUC by energy", "learning"}
    *panels, bar = result.figures["examples"].axes
    assert [panel.get_title().split(",")[0] for panel in panels] == ["photon"] * 4 + [r"$\pi^0$"] * 4
    assert "[GeV]" in bar.get_ylabel()


def test_fine_and_coarse_images_hold_the_same_energy_but_for_what_leaves_the_smaller_frame():
    showers = labelled_showers(100, np.random.default_rng(1), classes=CLASSES)
    images = [replace(image, normalize=None) for image in IMAGES.values()]
    fine, coarse = (pixelate_cells(showers, image).sum(axis=(1, 2)) for image in images)
    assert (fine <= coarse * (1 + 1e-5)).all()
    assert fine.sum() > 0.95 * coarse.sum()


def test_networks_see_shares_of_the_energy():
    showers = labelled_showers(20, np.random.default_rng(2), classes=CLASSES)
    for image in IMAGES.values():
        np.testing.assert_allclose(pixelate_cells(showers, image).sum(axis=(1, 2, 3)), 1, rtol=1e-5)
