"""Boxes: overlap against hand numbers, suppression against a plain loop, average precision against pycocotools."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from hepnn.boxes import (
    RECALLS,
    Detections,
    Objects,
    iou,
    iou_of_pairs,
    match,
    mean_average_precision,
    precision_at_recalls,
    suppress,
)
from hepnn.errors import InputError


def random_boxes(rng, shape, *, size=100.0, largest=30.0):
    low = rng.uniform(0, size - largest, (*shape, 2))
    return np.concatenate([low, low + rng.uniform(3, largest, (*shape, 2))], axis=-1)


def random_world(seed, *, n_images=30, n_objects=8, n_false=6, n_kinds=3, size=100.0):
    """Objects, and detections: objects found more or less well, some twice or as the wrong kind, some not there."""
    rng = np.random.default_rng(seed)
    boxes = random_boxes(rng, (n_images, n_objects), size=size)
    objects = Objects(boxes, rng.integers(n_kinds, size=boxes.shape[:2]), rng.random(boxes.shape[:2]) < 0.6)
    objects.present[: n_images // 5] = False  # images without objects

    def found(share, blur):
        kinds = np.where(rng.random(boxes.shape[:2]) < 0.9, objects.kinds, rng.integers(n_kinds, size=boxes.shape[:2]))
        noise = rng.normal(0, blur, boxes.shape) * rng.exponential(1, (*boxes.shape[:2], 1))
        return boxes + noise, kinds, objects.present & (rng.random(boxes.shape[:2]) < share)

    false = (
        random_boxes(rng, (n_images, n_false), size=size),
        rng.integers(n_kinds, size=(n_images, n_false)),
        rng.random((n_images, n_false)) < 0.3,
    )
    found = [np.concatenate(parts, axis=1) for parts in zip(found(0.9, 1.0), found(0.4, 2.0), false, strict=True)]
    found[2][-n_images // 5 :] = False  # images with objects and without detections
    found[0][..., 2:] = np.maximum(found[0][..., 2:], found[0][..., :2])
    return Detections(*found, rng.permutation(found[1].size).reshape(found[1].shape) / found[1].size), objects


def coco(found, objects, *, n_kinds, max_detections=100):
    """Precision from pycocotools, (threshold, recall, kind)."""

    def entries(part):
        rows = []
        for number, (image, slot) in enumerate(zip(*np.nonzero(part.present), strict=True), start=1):
            left, top, right, bottom = part.boxes[image, slot].tolist()
            rows.append(
                {
                    "id": number,
                    "image_id": int(image),
                    "category_id": int(part.kinds[image, slot]),
                    "bbox": [left, top, right - left, bottom - top],
                    "area": (right - left) * (bottom - top),
                    "iscrowd": 0,
                }
            )
            if part is found:
                rows[-1]["score"] = float(part.scores[image, slot])
        return rows

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [{"id": image} for image in range(len(objects.present))],
            "categories": [{"id": kind} for kind in range(n_kinds)],
            "annotations": entries(objects),
            "info": {},
        }
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(entries(found)), "bbox")
        evaluation.params.maxDets = [max_detections]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval["precision"][:, :, :, 0, 0]


def test_iou_is_what_a_hand_computes():
    boxes = np.array([[0.0, 0, 4, 2], [1, 1, 3, 3]])
    others = np.array([[0.0, 0, 4, 2], [2, 1, 6, 3], [4, 0, 5, 2], [1, 1, 1, 3]])
    # areas 8 and 4; 8, 8, 2 and 0; shared: 8, 2, 0, 0 and 2, 2, 0, 0
    expected = [[1, 2 / 14, 0, 0], [2 / 10, 2 / 10, 0, 0]]
    np.testing.assert_allclose(iou(boxes, others), expected, rtol=1e-12)
    np.testing.assert_allclose(iou_of_pairs(boxes, others[1:3]), [2 / 14, 0], rtol=1e-12)


def test_iou_of_boxes_without_area_is_0_and_not_nan():
    point = np.array([[3.0, 3, 3, 3], [5, 5, 2, 2]])
    np.testing.assert_array_equal(iou(point, point), np.zeros((2, 2)))


def test_iou_of_many_images_is_that_of_each():
    rng = np.random.default_rng(0)
    boxes, others = random_boxes(rng, (4, 5)), random_boxes(rng, (4, 3))
    together = iou(boxes, others)
    assert together.shape == (4, 5, 3)
    for image in range(4):
        for i in range(5):
            for j in range(3):
                assert together[image, i, j] == iou_of_pairs(boxes[image, i], others[image, j])


def plain_suppression(boxes, scores, kinds, present, threshold):
    kept = []
    for i in sorted(np.flatnonzero(present), key=lambda i: -scores[i]):
        if all(kinds[i] != kinds[j] or iou_of_pairs(boxes[i], boxes[j]) <= threshold for j in kept):
            kept.append(i)
    return np.isin(np.arange(len(boxes)), kept)


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.8])
def test_suppression_is_a_plain_loop(threshold):
    rng = np.random.default_rng(1)
    boxes = random_boxes(rng, (40, 25), size=50.0)
    scores, kinds, present = rng.random((40, 25)), rng.integers(2, size=(40, 25)), rng.random((40, 25)) < 0.7
    present[0] = False
    kept = suppress(boxes, scores, kinds=kinds, present=present, threshold=threshold)
    expected = [plain_suppression(*image, threshold) for image in zip(boxes, scores, kinds, present, strict=True)]
    np.testing.assert_array_equal(kept, expected)
    assert present.sum() > kept.sum() > 0


def test_a_suppressed_box_suppresses_nothing():
    # each overlaps the next by 0.6, so the second falls to the first and the third stands
    boxes = np.array([[0.0, 0, 10, 4], [2.5, 0, 12.5, 4], [5, 0, 15, 4]])
    assert suppress(boxes, np.array([0.9, 0.8, 0.7])).tolist() == [True, False, True]


def test_kinds_do_not_suppress_each_other_and_no_boxes_are_none():
    boxes = np.tile([0.0, 0, 9, 9], (3, 1))
    assert suppress(boxes, np.array([0.9, 0.8, 0.7]), kinds=np.array([0, 1, 0])).tolist() == [True, True, False]
    assert suppress(np.zeros((0, 4)), np.zeros(0)).shape == (0,)


WORLDS = {
    "several kinds": {"seed": 2},
    "one kind": {"seed": 3, "n_kinds": 1},
    "crowded": {"seed": 4, "n_objects": 25, "n_false": 20, "size": 60.0},
    "one object an image": {"seed": 5, "n_objects": 1, "n_false": 2},
    "many images": {"seed": 6, "n_images": 300},
}


@pytest.mark.parametrize("options", WORLDS.values(), ids=WORLDS)
def test_average_precision_is_that_of_pycocotools(options):
    found, objects = random_world(**options)
    n_kinds = options.get("n_kinds", 3)
    expected = coco(found, objects, n_kinds=n_kinds)
    matches = match(found, objects, n_kinds=n_kinds)
    np.testing.assert_allclose(precision_at_recalls(matches), expected.transpose(2, 0, 1), rtol=0, atol=1e-12)
    assert 0.1 < expected.mean() < 0.9
    assert mean_average_precision(matches) == pytest.approx(expected.mean(), abs=1e-12)
    assert mean_average_precision(matches, threshold=0.5) == pytest.approx(expected[0].mean(), abs=1e-12)


def test_of_too_many_detections_the_surest_count_as_in_pycocotools():
    found, objects = random_world(7, n_images=4, n_objects=60, n_false=200)
    expected, unlimited = (coco(found, objects, n_kinds=3, max_detections=n) for n in (10, 1000))
    assert expected.mean() < unlimited.mean()
    matches = match(found, objects, n_kinds=3, max_detections=10)
    assert mean_average_precision(matches) == pytest.approx(expected.mean(), abs=1e-12)


def test_the_limit_is_100_of_one_kind_on_one_image():
    rng = np.random.default_rng(8)
    boxes = random_boxes(rng, (2, 300))
    found = Detections(boxes, np.arange(600).reshape(2, 300) % 2, np.ones((2, 300), bool), rng.random((2, 300)))
    objects = Objects(boxes[:, :4], found.kinds[:, :4], found.present[:, :4])
    matches = match(found, objects, n_kinds=2)
    assert [((matches.images == image) & (matches.kinds == kind)).sum() for image in (0, 1) for kind in (0, 1)] == [
        100
    ] * 4


def test_a_kind_without_objects_does_not_count_as_in_pycocotools():
    found, objects = random_world(9)
    objects.present[objects.kinds == 1] = False
    expected = coco(found, objects, n_kinds=3)
    assert (expected[:, :, 1] == -1).all()
    matches = match(found, objects, n_kinds=3)
    assert np.isnan(precision_at_recalls(matches)[1]).all()
    assert mean_average_precision(matches) == pytest.approx(expected[:, :, [0, 2]].mean(), abs=1e-12)


def test_no_detections_give_0_and_no_objects_nan():
    found, objects = random_world(10)
    nothing = found._replace(present=np.zeros_like(found.present))
    assert mean_average_precision(match(nothing, objects, n_kinds=3)) == 0
    empty = objects._replace(present=np.zeros_like(objects.present))
    assert np.isnan(mean_average_precision(match(found, empty, n_kinds=3)))


def test_objects_found_exactly_up_to_rounding_are_found_at_every_threshold():
    _, objects = random_world(11)
    scores = np.random.default_rng(0).random(objects.kinds.shape)
    found = Detections(objects.boxes + 1e-12, objects.kinds, objects.present, scores)
    matches = match(found, objects, n_kinds=3, thresholds=np.array([0.5, 1.0]))
    np.testing.assert_array_equal(precision_at_recalls(matches), np.ones((3, 2, len(RECALLS))))


def test_padding_changes_nothing():
    found, objects = random_world(12)

    def padded(part):
        values = [np.concatenate([array, np.full_like(array[:, :2], 7)], axis=1) for array in part]
        values[2][:, -2:] = False
        return type(part)(*values)

    plain, more = (match(f, o, n_kinds=3) for f, o in ((found, objects), (padded(found), padded(objects))))
    for first, second in zip(plain, more, strict=True):
        np.testing.assert_array_equal(first, second)


def test_resampled_images_count_as_often_as_they_were_drawn():
    found, objects = random_world(13)
    images = np.random.default_rng(0).integers(len(objects.present), size=len(objects.present))
    resampled = match(
        Detections(*(part[images] for part in found)), Objects(*(part[images] for part in objects)), n_kinds=3
    )
    matches = match(found, objects, n_kinds=3)
    np.testing.assert_allclose(
        precision_at_recalls(matches, images=images), precision_at_recalls(resampled), atol=1e-12
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda found: Detections(*(part[:-1] for part in found)), "29 images with objects on 30"),
        (lambda found: found._replace(kinds=found.kinds + 1), "detections have kinds 1 to 3"),
        (lambda found: found._replace(boxes=found.boxes * np.nan), "NaN in their boxes"),
        (lambda found: found._replace(scores=found.scores * np.nan), "score NaN"),
    ],
    ids=["images", "kinds", "boxes", "scores"],
)
def test_what_cannot_be_matched_is_said(change, message):
    found, objects = random_world(14)
    with pytest.raises(InputError, match=message):
        match(change(found), objects, n_kinds=3)


def test_a_threshold_that_was_not_matched_is_said():
    with pytest.raises(InputError, match=r"an IoU of 0\.52; matched at 0\.5, 0\.55"):
        mean_average_precision(match(*random_world(15), n_kinds=3), threshold=0.52)
