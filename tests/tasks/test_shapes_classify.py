"""Circle or rectangle: the data, the two networks, and a quick run."""

import keras
import numpy as np
import pytest

from hepnn.tasks import TASKS
from hepnn.tasks.shapes_classify import convolutional, dense, draw


@pytest.fixture(scope="module")
def result():
    return TASKS["shapes-classify"].run(seed=1, quick=True)


def test_a_quick_run_reaches_its_bound(result):
    (metric,) = result.metrics
    assert metric.name == "accuracy"
    assert metric.value > 0.75
    assert 0 < metric.uncertainty < 0.02
    assert result.passed
    assert result.n_test == 2000


def test_the_measured_accuracy_is_that_of_the_model_it_returns(result):
    """On images it has never seen, drawn here."""
    images, is_rectangle = draw(2000, np.random.default_rng(99))
    right = (result.model.predict(images, verbose=0)[:, 0] > 0.5) == is_rectangle
    (metric,) = result.metrics
    assert abs(right.mean() - metric.value) < 5 * metric.uncertainty


def test_both_networks_are_judged(result):
    assert list(result.fits) == ["convolutional", "dense"]
    (table,) = result.tables
    assert [row[:2] for row in table.rows] == [(name, fit.model.count_params()) for name, fit in result.fits.items()]
    assert table.rows[0][2] == result.measured["accuracy"]
    assert table.rows[0][1] < table.rows[1][1]
    for fit in result.fits.values():
        assert {"loss", "val_loss", "accuracy", "val_accuracy"} == set(fit.history)


def test_figures_show_images_with_answers_and_the_learning(result):
    assert set(result.figures) == {"what it saw", "learning"}
    panels = result.figures["what it saw"].axes
    assert len(panels) == 12
    assert all(axes.get_title().split(":")[0] in ("circle", "rectangle") for axes in panels)
    assert all(len(axes.images) == 1 for axes in panels)
    (axes,) = result.figures["learning"].axes
    assert axes.get_xlabel() == "epoch"
    assert axes.get_ylabel() == "accuracy"


def test_targets_say_which_images_show_a_rectangle():
    """A circle fills π/4 of its box; a rectangle as much only when it lies along the axes."""
    images, is_rectangle = draw(2000, np.random.default_rng(0))
    assert images.shape == (2000, 32, 32, 1)
    assert set(is_rectangle.tolist()) == {0.0, 1.0}
    assert 0.45 < is_rectangle.mean() < 0.55
    # brightness and noise aside, what tells the two is how elongated they are: the ratio of second moments
    weights = np.clip(images[..., 0] - 0.3, 0, None)
    places = np.stack(np.indices((32, 32)), axis=-1).reshape(-1, 2)
    for kind, least, most in ((0.0, 0.8, 1.0), (1.0, 0.0, 0.8)):
        ratios = []
        for image in weights[is_rectangle == kind][:200]:
            small, large = np.linalg.eigvalsh(np.cov(places.T, aweights=image.ravel()))
            ratios.append(small / large)
        assert least < np.median(ratios) < most


@pytest.mark.parametrize("network", [convolutional, dense])
def test_networks_are_saved_and_loaded_by_plain_keras(network, tmp_path):
    model = network()
    model.save(tmp_path / "model.keras")
    images, _ = draw(5, np.random.default_rng(0))
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(images, training=False).numpy(), model(images, training=False).numpy())
