"""The detector's grid of answers: there and back; its loss; what suppression leaves; saving and loading."""

import keras
import numpy as np
import pytest

from hepnn.boxes import Objects, iou_of_pairs
from hepnn.detection import Grid, decode, detect, detection_loss, detector, encode
from hepnn.errors import InputError

GRID = Grid(rows=4, columns=6, cell=8, n_boxes=2, n_kinds=3)


def random_objects(seed, n_images=50, n_objects=5):
    """No more than two centres in a cell, all of them on the image."""
    rng = np.random.default_rng(seed)
    cells = np.stack([rng.permutation(np.repeat(np.arange(24), 2))[:n_objects] for _ in range(n_images)])
    center = 8 * (np.stack([cells % 6, cells // 6], axis=-1) + rng.random((n_images, n_objects, 2)))
    half = rng.uniform(1, 12, center.shape)
    boxes = np.concatenate([center - half, center + half], axis=-1)
    present = rng.random(cells.shape) < 0.7
    present[0] = False
    return Objects(boxes, rng.integers(3, size=cells.shape), present)


def in_order(part, image):
    """Boxes and kinds on one image, sorted."""
    rows = np.column_stack([part.boxes[image], part.kinds[image]])[part.present[image]]
    return rows[np.lexsort(rows.T)]


def loss(true, predicted):
    return keras.ops.convert_to_numpy(detection_loss(keras.ops.convert_to_tensor(true), predicted))


def soft(answers, *, sure=0.9):
    """Answers as a network could give them: right, but not certain."""
    soft = answers.copy()
    soft[..., 0] = np.where(answers[..., 0] > 0, sure, 1 - sure)
    soft[..., 5:] = np.where(answers[..., 5:] > 0, 0.8, 0.1)
    return soft


def test_decoding_undoes_encoding():
    objects = random_objects(0)
    found = decode(encode(objects, GRID), GRID, min_score=0.5)
    assert found.present.sum() == objects.present.sum() > 100
    for image in range(50):
        np.testing.assert_allclose(in_order(found, image), in_order(objects, image), atol=1e-5)
    np.testing.assert_array_equal(found.scores, found.present)


def test_an_answer_says_where_in_its_cell_the_object_is():
    boxes = np.array([[[16.0, 2, 24, 10], [18, 4, 20, 8]]])  # around (20, 6) and (19, 6), both in row 0, column 2
    answers = encode(Objects(boxes, np.array([[2, 0]]), np.ones((1, 2), bool)), GRID)
    np.testing.assert_allclose(answers[0, 0, 2, 0], [1, 0, 0.25, 0, 0, 0, 0, 1], atol=1e-7)
    np.testing.assert_allclose(answers[0, 0, 2, 1], [1, -0.125, 0.25, np.log(0.25), np.log(0.5), 1, 0, 0], atol=1e-7)
    assert answers.sum(axis=-1).astype(bool).sum() == 2


def test_of_too_many_objects_in_a_cell_the_largest_are_kept():
    sides = np.array([2.0, 6, 4])
    boxes = 12 + np.stack([-sides, -sides, sides, sides], axis=-1)[None] / 2
    found = decode(encode(Objects(boxes, np.zeros((1, 3), int), np.ones((1, 3), bool)), GRID), GRID, min_score=0.5)
    np.testing.assert_allclose(np.sort(np.diff(found.boxes[found.present][:, ::2], axis=1)[:, 0]), [4, 6], rtol=1e-6)


def test_an_object_centred_outside_the_image_goes_to_the_nearest_cell():
    objects = Objects(np.array([[[40.0, -8, 60, 4]]]), np.zeros((1, 1), int), np.ones((1, 1), bool))
    answers = encode(objects, GRID)
    assert np.argwhere(answers[..., 0]).tolist() == [[0, 0, 5, 0]]
    found = decode(answers, GRID, min_score=0.5)
    np.testing.assert_allclose(found.boxes[found.present], objects.boxes[0], atol=1e-5)


def test_the_loss_falls_as_boxes_get_better():
    true = encode(random_objects(1), GRID)
    noise = np.random.default_rng(0).normal(0, 1, true[..., 1:5].shape)
    losses = []
    for blur in (1.0, 0.3, 0.1, 0.0):
        predicted = soft(true)
        predicted[..., 1:5] += blur * noise
        losses.append(loss(true, predicted.astype(np.float32)))
    has_objects = true[..., 0].any(axis=(1, 2, 3))
    assert (np.diff([each[has_objects].mean() for each in losses]) < -0.1).all()
    assert (losses[0] >= losses[-1] - 1e-5).all()


def test_the_loss_is_what_the_formula_says():
    true = encode(random_objects(2), GRID)
    predicted = soft(true)
    predicted[..., 1:5] += np.random.default_rng(1).normal(0, 0.5, predicted[..., 1:5].shape)
    expected = np.zeros(len(true))
    for image, row, column, box in np.ndindex(true.shape[:4]):
        want, have = true[image, row, column, box].astype(float), predicted[image, row, column, box].astype(float)
        quality = 0.0
        if want[0]:
            first, second = (
                np.concatenate([part[1:3] - np.exp(part[3:5]) / 2, part[1:3] + np.exp(part[3:5]) / 2])
                for part in (want, have)
            )
            quality = iou_of_pairs(first, second)
            hull = np.prod(np.maximum(first, second)[2:] - np.minimum(first, second)[:2])
            areas = np.exp(want[3:5].sum()) + np.exp(have[3:5].sum())
            union = areas / (1 + quality)  # IoU = shared / (areas - shared)
            expected[image] += 5 * (1 - quality + (hull - union) / hull)
            expected[image] -= np.log(have[5:][want[5:] > 0][0])
        expected[image] -= quality * np.log(have[0]) + (1 - quality) * np.log(1 - have[0])
    np.testing.assert_allclose(loss(true, predicted), expected, rtol=1e-4)


def test_the_loss_of_images_without_objects_is_finite_and_wants_none():
    true = encode(Objects(np.zeros((2, 0, 4)), np.zeros((2, 0), int), np.zeros((2, 0), bool)), GRID)
    losses = []
    for objectness in (0.0, 0.1, 0.5, 1.0):
        predicted = np.zeros_like(true)
        predicted[..., 0], predicted[..., 5:] = objectness, 1 / 3
        losses.append(loss(true, predicted))
    assert np.isfinite(losses).all()
    assert (np.diff(losses, axis=0) > 0).all()
    assert np.abs(losses[0]).max() < 1e-3


def test_the_box_where_there_is_no_object_does_not_matter():
    true = encode(random_objects(3), GRID)
    predicted = soft(true)
    other = predicted.copy()
    other[true[..., 0] == 0, 1:5] += 3
    np.testing.assert_array_equal(loss(true, predicted), loss(true, other))


def test_an_untrained_detector_saves_loads_and_expects_little(tmp_path):
    keras.utils.set_random_seed(0)
    model = detector(GRID, channels=2)
    images = np.random.default_rng(0).normal(size=(3, 32, 48, 2)).astype(np.float32)
    answers = model.predict(images, verbose=0)
    assert answers.shape == (3, 4, 6, 2, 8)
    assert answers[..., 0].max() < 0.1
    np.testing.assert_allclose(answers[..., 5:].sum(axis=-1), 1, rtol=1e-5)
    model.save(tmp_path / "detector.keras")
    again = keras.models.load_model(tmp_path / "detector.keras")
    np.testing.assert_array_equal(again.predict(images, verbose=0), answers)


class Answering:
    """Stands for a network: gives the same answers whatever it sees."""

    def __init__(self, answers):
        self.answers = answers

    def predict(self, images, **_):
        return self.answers


def test_detections_come_by_falling_score_one_of_each_cluster():
    boxes = np.array([[[2.0, 2, 10, 12], [20, 10, 40, 30]], [[0, 0, 6, 6], [0, 0, 0, 0]]])
    objects = Objects(boxes, np.array([[0, 2], [1, 0]]), np.array([[True, True], [True, False]]))
    answers = encode(objects, GRID)
    answers[0, 0, 0, 0, 0], answers[0, 2, 3, 0, 0] = 0.6, 0.9
    answers[0, 2, 2, 0] = answers[0, 2, 3, 0] + np.eye(8)[1]  # the neighbour to the left sees the same object,
    answers[0, 2, 2, 0, 0] = 0.8  # and is less sure
    answers[1, 0, 0, 1, 0] = 0.005  # too little to count

    every = detect(Answering(answers), np.zeros(2), grid=GRID, max_overlap=1.0)
    np.testing.assert_allclose(np.where(every.present, every.scores, 0), [[0.9, 0.8, 0.6], [1, 0, 0]], rtol=1e-6)
    found = detect(Answering(answers), np.zeros(2), grid=GRID)
    np.testing.assert_allclose(np.where(found.present, found.scores, 0), [[0.9, 0.6], [1, 0]], rtol=1e-6)
    np.testing.assert_allclose(found.boxes[found.present], boxes[[0, 0, 1], [1, 0, 0]], atol=1e-5)
    assert found.kinds[found.present].tolist() == [2, 0, 1]


def test_a_single_kind_has_probability_1_and_saves_too(tmp_path):
    grid = GRID._replace(n_kinds=1)
    model = detector(grid, filters=(4, 4, 4), depth=1)
    answers = model.predict(np.zeros((2, 32, 48, 1)), verbose=0)
    np.testing.assert_array_equal(answers[..., 5], 1)
    objects = random_objects(5)
    true = encode(objects._replace(kinds=np.zeros_like(objects.kinds)), grid)[:2]
    assert np.isfinite(loss(true, answers)).all()
    model.save(tmp_path / "detector.keras")
    again = keras.models.load_model(tmp_path / "detector.keras")
    np.testing.assert_array_equal(again.predict(np.zeros((2, 32, 48, 1)), verbose=0), answers)


def test_halvings_that_do_not_make_the_cell_are_refused():
    with pytest.raises(InputError, match=r"cells of 8 pixels from 2 convolutions .* gives cells of 4"):
        detector(GRID, filters=(8, 8))
