"""Counting: the data, the sum over places and its read-out, and a quick run."""

import keras
import numpy as np
import pytest
from scipy import stats

from hepnn.tasks import TASKS
from hepnn.tasks.shapes_count import draw, flattened, summing, sums_over_places


@pytest.fixture(scope="module")
def result():
    return TASKS["shapes-count"].run(seed=1, quick=True)


@pytest.fixture(scope="module")
def inside(result):
    """The map and the sum, of the trained network."""
    return sums_over_places(result.model)


@pytest.fixture(scope="module")
def scenes():
    return draw(200, np.random.default_rng(0))


def test_a_quick_run_reaches_its_bound(result):
    (metric,) = result.metrics
    assert metric.name == "both counts right"
    assert metric.value > 0.3
    assert 0 < metric.uncertainty < 0.03
    assert result.passed
    assert result.n_test == 1000


def test_what_was_measured_is_what_the_model_does(result):
    """On images it has never seen, drawn here; a guess is right in one of 36."""
    images, counts = draw(1000, np.random.default_rng(99))
    right = (result.model.predict(images, verbose=0).argmax(axis=-1) == counts).all(axis=1)
    (metric,) = result.metrics
    assert abs(right.mean() - metric.value) < 5 * metric.uncertainty


def test_tables_compare_networks_and_count_every_image(result):
    networks, crowding, circles, rectangles, larger = result.tables
    assert [row[0] for row in networks.rows] == list(result.fits) == ["summing", "flattened"]
    assert networks.rows[0][2] == result.measured["both counts right"]
    assert len(crowding.rows) == 4
    for table in (circles, rectangles):
        cells = np.array([row[1:] for row in table.rows])
        assert cells.shape == (6, 6)
        assert cells.sum() == result.n_test
        assert np.trace(cells) / cells.sum() >= result.measured["both counts right"].value
    assert [row[0] for row in larger.rows] == ["circles", "rectangles", "both kinds"]
    for row in larger.rows:
        assert row[1].value <= row[2].value


def test_figures_show_maps_sums_and_learning(result):
    assert set(result.figures) == {"where it counts", "sums over the map", "learning"}
    panels = result.figures["where it counts"].axes
    assert len(panels) == 18
    assert [len(axes.images) for axes in panels] == [1] * 6 + [2] * 12
    circles, rectangles = result.figures["sums over the map"].axes
    assert rectangles.get_xlabel() == "sum over the map [objects]"
    assert circles.get_title() == "circles"
    assert result.figures["learning"].axes[0].get_ylabel() == "share of counts that are right"


def test_each_pair_of_counts_is_as_likely_as_any_other():
    images, counts = draw(3600, np.random.default_rng(1))
    assert images.shape == (3600, 64, 64, 1)
    found = np.bincount(counts @ [6, 1], minlength=36)
    assert found.sum() == 3600
    assert stats.chisquare(found).pvalue > 1e-3


def test_counts_are_those_of_the_images():
    """Objects are brighter than noise: what is painted grows with the number of objects."""
    images, counts = draw(2000, np.random.default_rng(2))
    painted = images.sum(axis=(1, 2, 3))
    assert abs(painted[counts.sum(axis=1) == 0].mean()) < 2
    per_kind, *_ = np.linalg.lstsq(np.c_[counts, np.ones(2000)], painted, rcond=None)
    circle = np.pi * (5**2 + 5 * 8 + 8**2) / 3 * 0.7  # mean of π r² times the mean brightness
    assert per_kind[0] == pytest.approx(circle, rel=0.05)
    assert per_kind[1] == pytest.approx(
        circle / np.pi * 2 * 0.775**2, rel=0.1
    )  # sides are shares of √2 r, 0.775 on average
    assert abs(per_kind[2]) < 12


def test_the_read_out_is_a_gaussian_around_the_sum(scenes):
    images, _ = scenes
    model = summing()
    _, sums = sums_over_places(model)(images, training=False)
    expected = stats.norm.pdf(np.arange(6), sums.numpy(), 0.3)
    expected /= expected.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(model(images, training=False).numpy(), expected, atol=1e-4)


def test_the_most_probable_count_is_the_rounded_sum(result, inside, scenes):
    images, _ = scenes
    sums = inside.predict(images, verbose=0)[1][..., 0]
    clear = np.abs(sums - np.floor(sums) - 0.5) > 1e-3
    found = result.model.predict(images, verbose=0).argmax(axis=-1)
    np.testing.assert_array_equal(found[clear], np.clip(np.rint(sums), 0, 5)[clear])


def test_the_sum_is_over_all_places_and_none_counts_less_than_nothing(inside, scenes):
    images, _ = scenes
    shown, sums = inside.predict(images, verbose=0)
    assert shown.shape == (200, 16, 16, 2)
    assert shown.min() >= 0
    np.testing.assert_allclose(shown.sum(axis=(1, 2)), sums[..., 0], rtol=1e-4)


def test_two_images_side_by_side_count_as_much_as_both_alone(inside):
    """On an image larger than any in training, with a gap of noise between the two that nothing looks across."""
    images, _ = draw(100, np.random.default_rng(3))
    gap = np.random.default_rng(4).normal(0, 0.1, (50, 64, 32, 1)).astype(np.float32)
    _, alone = inside.predict(images, verbose=0)
    _, together = inside.predict(np.concatenate([images[:50], gap, images[50:]], axis=2), verbose=0)
    assert np.abs(together - alone[:50] - alone[50:]).mean() < 0.1 * together.mean()


def test_before_training_the_sum_is_about_the_mean_count():
    shown = summing().get_layer("shown")
    np.testing.assert_allclose(16 * 16 * np.log1p(np.exp(shown.bias.numpy())), 2.5, atol=0.1)


def test_training_leaves_the_read_out_alone(result):
    for trained, fresh in zip(
        result.model.get_layer("probability").get_weights(),
        summing().get_layer("probability").get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(trained, fresh)


@pytest.mark.parametrize("network", [summing, flattened])
def test_networks_are_saved_and_loaded_by_plain_keras(network, scenes, tmp_path):
    model = network()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    probability = loaded(scenes[0][:5], training=False).numpy()
    np.testing.assert_array_equal(probability, model(scenes[0][:5], training=False).numpy())
    assert probability.shape == (5, 2, 6)
    np.testing.assert_allclose(probability.sum(axis=-1), 1, rtol=1e-5)
