"""The invariance task: what is built in holds by construction, what is tested was not trained on, images stay images."""

import itertools

import numpy as np
import pytest

from hepnn.roc import Measured
from hepnn.tasks import TASKS, shapes_invariance
from hepnn.tasks.shapes_invariance import (
    EVERYTHING,
    HALF,
    NOISE,
    SIZE,
    TESTS,
    TRAINED,
    augmented,
    dense,
    draw,
    flattened,
    pooled,
)
from hepnn.training import seeded


@pytest.fixture(scope="module")
def result():
    return TASKS["shapes-invariance"].run(seed=1, quick=True)


def entry(table, test, column):
    row = next(row for row in table.rows if row[0] == test)
    return row[list(table.columns).index(column)]


def with_random_biases(network):
    """A network as after some training: Keras begins with biases of 0, which hide what padding does."""
    with seeded(3):
        model = network()
    rng = np.random.default_rng(3)
    model.set_weights([w + (w.ndim == 1) * rng.normal(0, 0.1, w.shape) for w in model.get_weights()])
    return model


def test_a_quick_run_shows_that_place_is_built_in_and_angle_is_not(result):
    assert result.passed, result.metrics
    assert [metric.name for metric in result.metrics] == [goal.metric for goal in result.task.goals]
    plain, _ = result.tables
    pooling, flat = (entry(plain, "other places", f"convolution + {how}") for how in ("pooling", "flatten"))
    assert pooling.value - flat.value > 0.3


def test_both_tables_have_each_test_and_what_was_measured(result):
    plain, shown = result.tables
    for table in result.tables:
        assert [row[0] for row in table.rows] == list(TESTS)
        assert all(isinstance(each, Measured) and 0 <= each.value <= 1 for row in table.rows for each in row[1:])
    cnn, network, turned, turned_augmented = result.metrics
    assert entry(plain, "other places", "convolution + pooling").value == cnn.value
    assert entry(plain, "other places", "dense").value == network.value
    assert entry(plain, "turned", "convolution + pooling").value == turned.value
    assert entry(shown, "turned", "convolution + pooling").value == turned_augmented.value


def test_the_figures_show_examples_places_and_properties(result):
    assert list(result.figures) == ["what is tested", "accuracy by place", "accuracy by property"]
    examples, maps, scans = result.figures.values()
    assert len(examples.axes) == len(TESTS) * 5
    assert [axes.get_title() for axes in maps.axes[:3]] == ["dense", "convolution + flatten", "convolution + pooling"]
    assert [axes.get_xlabel() for axes in scans.axes] == ["angle [degrees]", "radius [pixels]", "brightness"]


def test_the_first_network_is_the_pooled_one_and_knows_no_place(result):
    assert result.model is result.fits["pooled"].model
    assert result.parameters < 0.1 * result.fits["dense"].model.count_params()


def object_at(x, y):
    """An image (1, y, x, 1) of a patch of 5 × 5 random pixels, its upper left corner there."""
    image = np.zeros((1, SIZE, SIZE, 1), np.float32)
    image[0, y : y + 5, x : x + 5, 0] = np.random.default_rng(0).random((5, 5))
    return image


def largest_change(model, images):
    outputs = model.predict(np.concatenate(images), verbose=0)
    return np.abs(outputs - outputs[0]).max()


def test_pooling_forgets_the_place_by_construction():
    # two poolings halve the image twice, so this holds for moves by multiples of 4 pixels
    moved = [object_at(x, y) for x, y in itertools.product((8, 16, 28), (8, 20, 28))]
    assert largest_change(with_random_biases(pooled), moved) < 1e-6
    assert largest_change(with_random_biases(flattened), moved) > 1e-3
    assert largest_change(with_random_biases(dense), moved) > 1e-3


def test_pooling_does_not_forget_turns_sizes_and_brightness():
    model, image = with_random_biases(pooled), object_at(16, 16)
    larger = np.zeros_like(image)
    larger[:, 8:18, 8:18] = image[:, 16:21, 16:21].repeat(2, axis=1).repeat(2, axis=2)
    for changed in (np.rot90(image, axes=(1, 2)), larger, image / 2):
        assert largest_change(model, [image, changed]) > 1e-4  # moves change less than 1e-6, as above


def test_training_shows_objects_in_one_quarter_and_a_test_in_the_others_only():
    rng = np.random.default_rng(0)
    inside, _ = draw(300, rng)
    outside, _ = draw(300, rng, **TESTS["other places"])
    bright = 0.6  # 2 standard deviations of the noise below the darkest object, 6 above the background
    assert (inside[:, :HALF, :HALF] > bright).sum(axis=(1, 2, 3)).min() > 20
    assert not (inside[:, HALF:] > bright).any()
    assert not (inside[:, :, HALF:] > bright).any()
    assert not (outside[:, :HALF, :HALF] > bright).any()
    quarters = [
        outside[:, rows, columns]
        for rows in (slice(HALF), slice(HALF, None))
        for columns in (slice(HALF), slice(HALF, None))
    ]
    assert [int((each > bright).any(axis=(1, 2, 3)).sum()) for each in quarters] == [0, 100, 100, 100]


@pytest.mark.parametrize("test", [name for name in TESTS if name != "as trained"])
def test_what_is_tested_was_not_trained_on_but_lies_within_everything(test):
    assert TESTS[test]
    for setting, values in TESTS[test].items():
        if setting == "places":
            assert not set(values) & set(TRAINED["places"])
            continue
        (low, high), (trained_low, trained_high) = values, TRAINED[setting]
        assert high < trained_low or low > trained_high
        assert EVERYTHING[setting][0] <= low < high <= EVERYTHING[setting][1]


def test_the_last_test_makes_all_changes():
    assert set(TESTS["all at once"]) == set(TRAINED)


def blob(x, y, *, sigma=1.5):
    """A Gaussian blob of height 1 on an image without noise, its centre there in pixels: (y, x, 1)."""
    centers = np.arange(SIZE) + 0.5
    return np.exp(-((centers[:, None] - y) ** 2 + (centers - x) ** 2) / (2 * sigma**2))[..., None].astype(np.float32)


def centroids(images):
    """(image, 2): x and y in pixels."""
    centers = np.arange(SIZE) + 0.5
    total = images.sum(axis=(1, 2, 3))
    x = (images[..., 0] * centers).sum(axis=(1, 2)) / total
    return np.stack([x, (images[..., 0] * centers[:, None]).sum(axis=(1, 2)) / total], axis=1)


@pytest.fixture
def undimmed(monkeypatch):
    monkeypatch.setattr(shapes_invariance, "_DIM", (1.0, 1.0))


@pytest.mark.parametrize("zoom", [1.0, 0.5])
def test_augmentation_turns_by_every_angle_and_shrinks_as_drawn(undimmed, monkeypatch, zoom):
    monkeypatch.setattr(shapes_invariance, "_ZOOM", (zoom, zoom))
    middle, aside = (
        augmented(np.stack([blob(x, HALF / 2, sigma=2.5)] * 400), np.random.default_rng(5))
        for x in (HALF / 2, HALF / 2 + 4)
    )
    arm = centroids(aside) - centroids(middle)
    np.testing.assert_allclose(np.hypot(*arm.T), 4 * zoom, rtol=0.02)
    in_each_eighth, _ = np.histogram(np.arctan2(*arm.T), bins=8, range=(-np.pi, np.pi))
    assert in_each_eighth.min() > 25  # 50 expected
    np.testing.assert_allclose(middle.sum(axis=(1, 2, 3)), zoom**2 * blob(10, 10, sigma=2.5).sum(), rtol=0.02)


def test_augmentation_moves_to_all_places_where_objects_fit(undimmed, monkeypatch):
    monkeypatch.setattr(shapes_invariance, "_ZOOM", (1.0, 1.0))
    x, y = centroids(augmented(np.stack([blob(HALF / 2, HALF / 2)] * 1000), np.random.default_rng(6))).T
    for center in (x, y):
        np.testing.assert_allclose([center.min(), center.mean(), center.max()], [10, 20, 30], atol=0.7)
    assert abs(np.corrcoef(x, y)[0, 1]) < 0.1


def test_augmentation_dims_objects_to_every_brightness():
    images, _ = draw(500, np.random.default_rng(7))
    changed = augmented(images, np.random.default_rng(8))
    brightest = np.sort(changed.reshape(500, -1), axis=1)[:, -20:].mean(axis=1)
    assert brightest.min() < 0.4
    assert brightest.max() > 0.8


def test_augmentation_adds_the_noise_that_dimming_takes_away():
    added = augmented(np.zeros((2000, SIZE, SIZE, 1), np.float32), np.random.default_rng(11))
    # the variance of the noise falls by the square of a factor that is uniform between 0.2 and 1
    kept = (1 - 0.2**3) / (3 * 0.8)
    assert added.var() == pytest.approx(NOISE**2 * (1 - kept), rel=0.03)


def test_augmentation_leaves_the_images_it_was_given():
    images, _ = draw(5, np.random.default_rng(9))
    before = images.copy()
    changed = augmented(images, np.random.default_rng(10))
    np.testing.assert_array_equal(images, before)
    assert changed.shape == images.shape
    assert changed.dtype == np.float32
