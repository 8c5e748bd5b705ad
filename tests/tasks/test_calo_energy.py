"""The energy of pions: the data, the sums, and a quick run."""

import keras
import numpy as np
import pytest

from hepnn.tasks import TASKS
from hepnn.tasks.calo_energy import ENERGY, IMAGE, TRAINED, corrected_sum, draw, fitted_sums
from hepnn.tasks.fitting import streams
from hepnn.tasks.resolution import half_width

SEED = 1


@pytest.fixture(scope="module")
def result():
    return TASKS["calo-energy"].run(seed=SEED, quick=True)


@pytest.fixture(scope="module")
def showers():
    images, logs = draw(4_000, np.random.default_rng(7), energy=ENERGY)
    return images, np.exp(logs[:, 0])


def test_a_quick_run_reaches_its_bounds(result):
    assert result.passed, result.metrics
    assert all(0 < metric.uncertainty < 0.05 for metric in result.metrics)


def test_what_was_measured_is_what_the_model_does_on_showers_it_has_never_seen(result, showers):
    images, energies = showers
    known, logs = draw(4_000, np.random.default_rng(8), energy=ENERGY)
    constant = fitted_sums(known, np.exp(logs[:, 0]))["sum of cells"]
    found = np.exp(result.model.predict(images, verbose=0)[:, 0])
    edges = np.geomspace(*ENERGY, 9)
    place = np.searchsorted(edges, energies, side="right") - 1
    ratios = [each / energies for each in (found, images.sum(axis=(1, 2)) @ constant)]
    over = np.mean([half_width(ratios[0][place == i]) / half_width(ratios[1][place == i]) for i in range(8)])
    assert abs(over - result.metrics[0].value) < 5 * np.sqrt(2) * result.metrics[0].uncertainty


def test_the_sum_has_the_right_median_and_weights_by_layer_the_smaller_square(showers):
    images, energies = showers
    sums = fitted_sums(images, energies)
    relative = {name: images.sum(axis=(1, 2)) @ weights / energies for name, weights in sums.items()}
    assert np.median(relative["sum of cells"]) == pytest.approx(1, abs=1e-3)
    assert len(set(sums["sum of cells"].tolist())) == 1
    squares = {name: np.mean((each - 1) ** 2) for name, each in relative.items()}
    assert squares["weighted layers"] < squares["sum of cells"]
    # no weights do better
    for factor in (0.99, 1.01):
        changed = images.sum(axis=(1, 2)) @ (sums["weighted layers"] * [1, factor, 1, 1, 1, 1]) / energies
        assert np.mean((changed - 1) ** 2) > squares["weighted layers"]


def test_an_untrained_network_gives_the_sum_of_cells(showers):
    images, _ = showers
    found = np.exp(corrected_sum().predict(images[:50], verbose=0)[:, 0])
    np.testing.assert_allclose(found, images[:50].sum(axis=(1, 2, 3)), rtol=1e-4)


def test_no_cells_give_a_finite_energy(result):
    assert np.isfinite(result.model.predict(np.zeros((1, *IMAGE.shape), np.float32), verbose=0)).all()


def test_training_showers_are_of_a_wider_range_than_those_tested():
    images, logs = draw(3_000, np.random.default_rng(2))
    assert images.shape == (3_000, 11, 11, 6)
    energies = np.exp(logs[:, 0])
    assert TRAINED[0] < energies.min() < ENERGY[0] < ENERGY[1] < energies.max() < TRAINED[1]
    # 6 × 0.05 in each direction hold nearly all: pions lose a fifth to what is not seen
    assert 0.75 < np.median(images.sum(axis=(1, 2, 3)) / energies) < 0.9


def test_tables_hold_the_fits_and_the_bins_behind_the_metrics(result):
    terms, bins = result.tables
    assert [row[0] for row in terms.rows] == ["sum of cells", "weighted layers", "network"]
    assert len(bins.rows) == 8
    ratio = np.mean([row[4].value / row[3].value for row in bins.rows])
    assert ratio == pytest.approx(result.metrics[0].value)
    assert max(abs(row[2].value - 1) for row in bins.rows) == pytest.approx(result.metrics[1].value)


def test_the_fits_go_through_the_points_they_are_drawn_with(result):
    (axes,) = result.figures["resolution"].axes
    assert "[GeV]" in axes.get_xlabel()
    assert len(axes.get_legend().get_texts()) == 3
    points, curves = axes.containers, [line for line in axes.lines if len(line.get_xdata()) == 100]
    for errorbar, curve in zip(points, curves, strict=True):
        energy, resolution = errorbar.lines[0].get_data()
        assert np.abs(np.interp(energy, *curve.get_data()) / resolution - 1).max() < 0.15


def test_there_are_pictures_and_a_model_to_take_away(result, showers, tmp_path):
    assert set(result.figures) == {"resolution", "linearity", "ratios", "what was corrected", "learning"}
    assert all(axes.get_xlabel() for figure in result.figures.values() for axes in figure.axes if axes.get_legend())
    result.model.save(tmp_path / "energy.keras")
    images = showers[0][:20]
    again = keras.models.load_model(tmp_path / "energy.keras").predict(images, verbose=0)
    np.testing.assert_array_equal(again, result.model.predict(images, verbose=0))


def test_test_showers_are_not_those_trained_on():
    rngs = streams(SEED)
    (one, _), (other, _) = draw(10, rngs.train), draw(10, rngs.test)
    assert not np.array_equal(one, other)
