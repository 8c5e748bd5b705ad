"""Transfer to a new calorimeter; the three ways of learning have tests of their own."""

import awkward as ak
import keras
import numpy as np
import pytest

from hepnn.calo_images import pixelate_cells
from hepnn.generators.calorimeter import BARREL
from hepnn.tasks import TASKS
from hepnn.tasks.calo_data import FAINT, labelled_showers
from hepnn.tasks.calo_transfer import CLASSES, COARSE, NEW, OLD, draw_new, draw_old
from hepnn.tasks.few_labels import WAYS


@pytest.fixture(scope="module")
def result():
    return TASKS["calo-transfer"].run(seed=1, quick=True)


def test_a_quick_run_reaches_its_bounds(result):
    assert result.passed, result.metrics
    assert [metric.name for metric in result.metrics] == [goal.metric for goal in result.task.goals]
    assert all(metric.uncertainty > 0 for metric in result.metrics)


def test_the_table_has_what_was_measured(result):
    (table,) = result.tables
    rows = {row[0]: dict(zip(WAYS, row[2:], strict=True)) for row in table.rows}
    area, gain = (metric.value for metric in result.metrics)
    assert rows[200]["fine-tuned"].value == area
    assert rows[200]["fine-tuned"].value - rows[200]["from scratch"].value == pytest.approx(gain)


def test_pictures_show_both_calorimeters(result):
    assert set(result.figures) == {"AUC by labels", "old and new"}
    *panels, _ = result.figures["old and new"].axes
    titles = [axes.get_title().split(",")[0] for axes in panels]
    assert titles == [r"old: $\pi^0$", "old: photon", r"new: $\pi^0$", "new: photon"]


def test_the_fine_tuned_network_is_the_result_and_plain_keras_reloads_it(result, tmp_path):
    assert result.model is result.fits["fine-tuned"].model
    assert result.model.input_shape == (None, *NEW.shape)
    images, _ = draw_new(20, np.random.default_rng(0))
    result.model.save(tmp_path / "tuned.keras")
    again = keras.models.load_model(tmp_path / "tuned.keras")
    np.testing.assert_allclose(again.predict(images, verbose=0), result.model.predict(images, verbose=0), atol=1e-6)


@pytest.mark.parametrize(("draw", "image", "calorimeter"), [(draw_old, OLD, BARREL), (draw_new, NEW, COARSE)])
def test_images_are_logarithms_of_the_energy_of_half_photons_half_pions(draw, image, calorimeter):
    images, is_photon = draw(100, np.random.default_rng(3))
    assert is_photon.sum() == 50
    showers = labelled_showers(
        100, np.random.default_rng(3), classes=CLASSES, energy=(10.0, 40.0), calorimeter=calorimeter
    )
    np.testing.assert_array_equal(is_photon == 1, showers.label.to_numpy() == "photon")
    np.testing.assert_allclose(np.expm1(images) * FAINT, pixelate_cells(showers, image), rtol=1e-4, atol=1e-5)


def test_the_new_strips_are_twice_as_wide_with_twice_the_noise():
    showers = labelled_showers(50, np.random.default_rng(4), classes=CLASSES, calorimeter=COARSE)
    strips = ak.flatten(showers.cells[showers.cells.layer == 0])
    numbers = ak.to_numpy(strips.eta) / (2 * BARREL.layers[0].eta_cell) - 0.5
    np.testing.assert_allclose(numbers, np.round(numbers), atol=1e-3)
    assert ak.min(strips.energy) > 2 * BARREL.layers[0].threshold
