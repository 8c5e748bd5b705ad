"""Locating: the overlap of boxes, the loss, the mean places, and a quick run."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hepnn.boxes import iou_of_pairs
from hepnn.detection import generalised_iou
from hepnn.tasks import TASKS
from hepnn.tasks.shapes_locate import corner_loss, draw, flattened, mean_places

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def result():
    return TASKS["shapes-locate"].run(seed=1, quick=True)


def whole_boxes(n_boxes):
    """Boxes with corners at whole numbers from 0 to 20, so that areas are numbers of cells."""
    corners = RNG.integers(0, 20, (n_boxes, 2))
    return np.concatenate([corners, np.minimum(corners + RNG.integers(1, 12, (n_boxes, 2)), 20)], axis=1).astype(float)


def cells(box):
    y, x = np.indices((20, 20))
    return (x >= box[0]) & (x < box[2]) & (y >= box[1]) & (y < box[3])


def around(box, other):
    return np.concatenate([np.minimum(box, other)[:2], np.maximum(box, other)[2:]])


def test_a_quick_run_reaches_its_bound(result):
    (metric,) = result.metrics
    assert metric.name == "mean IoU"
    assert metric.value > 0.6
    assert 0 < metric.uncertainty < 0.01
    assert result.passed
    assert result.n_test == 2000


def test_what_was_measured_is_what_the_model_does(result):
    """On images it has never seen, drawn here."""
    images, truth = draw(1000, np.random.default_rng(99))
    overlap = iou_of_pairs(truth, result.model.predict(images, verbose=0))
    (metric,) = result.metrics
    assert abs(overlap.mean() - metric.value) < 5 * np.hypot(metric.uncertainty, overlap.std() / np.sqrt(1000))


def test_a_fixed_box_would_miss_the_bound_of_a_quick_run():
    _, truth = draw(2000, np.random.default_rng(0))
    assert iou_of_pairs(truth, np.tile(truth.mean(axis=0), (2000, 1))).mean() < 0.4


def test_tables_compare_networks_and_sizes(result):
    networks, sizes = result.tables
    assert [row[0] for row in networks.rows] == list(result.fits) == ["mean places", "flattened"]
    assert networks.rows[0][2] == result.measured["mean IoU"]
    assert len(sizes.rows) == 4
    quarters = [row[1].value for row in sizes.rows]
    assert np.mean(quarters) == pytest.approx(result.measured["mean IoU"].value, abs=1e-3)
    assert quarters[0] < quarters[-1]  # the same distance costs a small box more


def test_figures_show_both_boxes_the_overlap_and_the_learning(result):
    assert set(result.figures) == {"boxes", "overlap", "learning"}
    panels = result.figures["boxes"].axes
    assert len(panels) == 12
    assert all(len(axes.patches) == 2 for axes in panels)
    overlap = result.figures["overlap"].axes[0]
    assert overlap.get_xlabel() == "IoU of found and true box"
    assert result.figures["learning"].axes[0].get_xlabel() == "epoch"


def test_overlap_is_that_of_counted_cells():
    boxes, others = whole_boxes(300), whole_boxes(300)
    expected = [(cells(a) & cells(b)).sum() / (cells(a) | cells(b)).sum() for a, b in zip(boxes, others, strict=True)]
    assert len(np.unique(expected)) > 50
    np.testing.assert_allclose(iou_of_pairs(boxes, others), expected)
    np.testing.assert_allclose(iou_of_pairs(others, boxes), expected)


def test_overlap_with_itself_is_one_and_inside_out_none():
    boxes = whole_boxes(20)
    np.testing.assert_array_equal(iou_of_pairs(boxes, boxes), 1)
    np.testing.assert_array_equal(iou_of_pairs(boxes, boxes[:, [2, 3, 0, 1]]), 0)
    np.testing.assert_array_equal(iou_of_pairs(boxes[:, [2, 3, 0, 1]], boxes[:, [2, 3, 0, 1]]), 0)


def test_generalised_overlap_is_that_of_counted_cells():
    boxes, others = whole_boxes(300), whole_boxes(300)
    expected = []
    for a, b in zip(boxes, others, strict=True):
        both, either, hull = (cells(a) & cells(b)).sum(), (cells(a) | cells(b)).sum(), cells(around(a, b)).sum()
        expected.append(both / either - (hull - either) / hull)
    assert min(expected) < -0.5
    np.testing.assert_allclose(generalised_iou(boxes / 20, others / 20)[1], expected, atol=1e-3)


def test_the_loss_leads_from_anywhere_to_the_true_box():
    """From a box far away, from one turned inside out, from a point, and from outside the image."""
    truth = np.array([[0.1, 0.2, 0.4, 0.6]], np.float32)
    starts = [(0.7, 0.7, 0.9, 0.9), (0.3, 0.3, 0.1, 0.1), (0.5, 0.5, 0.5, 0.5), (-2.0, -2.0, -1.0, -1.0)]
    corners = tf.Variable(starts, dtype=tf.float32)

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            loss = corner_loss(truth, corners)
        return loss, tape.gradient(loss, corners)

    assert (gradients()[0].numpy() > 1).all()
    for step in np.geomspace(0.1, 1e-4, 300):
        corners.assign_sub(step * tf.sign(gradients()[1]))
    np.testing.assert_allclose(corners.numpy(), np.repeat(truth, 4, axis=0), atol=0.01)


def test_the_loss_is_none_at_the_true_box():
    boxes = (whole_boxes(10) / 20).astype(np.float32)
    np.testing.assert_allclose(corner_loss(boxes, boxes), 0, atol=1e-3)


def test_a_map_gives_the_mean_of_the_places_by_their_probability():
    model = mean_places()
    images, _ = draw(3, np.random.default_rng(0))
    inner = keras.Model(model.input, [model.get_layer("where").output, model.get_layer("mean_place").output])
    probability, places = (values.numpy() for values in inner(images, training=False))
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-5)
    assert places.shape == (3, 32, 2)
    for image, of_map, place in ((0, 0, places[0, 0]), (2, 31, places[2, 31])):
        grid = probability[image, :, of_map].reshape(8, 8)
        pixels = 4 * np.arange(8) + 2  # the middle of each place
        x, y = (grid.sum(axis=0) * pixels).sum(), (grid.sum(axis=1) * pixels).sum()
        np.testing.assert_allclose(place, [x / 16 - 1, y / 16 - 1], atol=1e-5)


def test_training_leaves_the_places_where_they_are(result):
    (trained,), (fresh,) = (model.get_layer("mean_place").get_weights() for model in (result.model, mean_places()))
    np.testing.assert_array_equal(trained, fresh)


def test_targets_are_the_corners_of_what_is_on_the_image():
    images, truth = draw(300, np.random.default_rng(1))
    assert images.shape == (300, 32, 32, 1)
    assert truth.shape == (300, 4)
    assert truth.min() >= 0
    assert truth.max() <= 1
    for image, (left, top, right, bottom) in zip(images[..., 0], 32 * truth, strict=True):
        outside = np.ones((32, 32), bool)
        outside[int(top) : int(bottom) + 1, int(left) : int(right) + 1] = False
        assert abs(image[outside].mean()) < 0.05
        assert image[~outside].mean() > 0.12
        middle = image[round((top + bottom) / 2 - 0.5), round((left + right) / 2 - 0.5)]
        assert middle > 0.05


@pytest.mark.parametrize("network", [mean_places, flattened])
def test_networks_are_saved_and_loaded_by_plain_keras(network, tmp_path):
    model = network()
    model.save(tmp_path / "model.keras")
    images, _ = draw(5, np.random.default_rng(0))
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(images, training=False).numpy(), model(images, training=False).numpy())
