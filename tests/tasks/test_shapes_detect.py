"""Several objects on an image: the data, and a quick run."""

import numpy as np
import pytest

from hepnn.boxes import Objects, iou, mean_average_precision
from hepnn.boxes import match as match_boxes
from hepnn.detection import decode, detect
from hepnn.tasks import TASKS
from hepnn.tasks.shapes_detect import GRID, draw, draw_scenes


@pytest.fixture(scope="module")
def result():
    return TASKS["shapes-detect"].run(seed=1, quick=True)


def test_a_quick_run_reaches_its_bounds(result):
    assert [metric.name for metric in result.metrics] == ["mAP@0.5", "mAP@[.5:.95]"]
    loose, strict = result.metrics
    assert loose.value > strict.value
    assert all(0 < metric.uncertainty < 0.05 for metric in result.metrics)
    assert result.passed
    assert result.n_test == 500


def test_what_was_measured_is_what_the_model_does_on_images_it_has_never_seen(result):
    scenes = draw_scenes(500, np.random.default_rng(99))
    objects = Objects(scenes.boxes, scenes.kinds, scenes.present)
    found = detect(result.model, scenes.images, grid=GRID)
    matches = match_boxes(found, objects, n_kinds=2)
    for metric, threshold in zip(result.metrics, (0.5, None), strict=True):
        again = mean_average_precision(matches, threshold=threshold)
        assert abs(again - metric.value) < 5 * np.sqrt(2) * metric.uncertainty


def test_no_two_detections_of_a_kind_overlap_by_more_than_half(result):
    scenes = draw_scenes(100, np.random.default_rng(98))
    found = detect(result.model, scenes.images, grid=GRID)
    both = found.present[:, :, None] & found.present[:, None]
    same = both & (found.kinds[:, :, None] == found.kinds[:, None]) & ~np.eye(found.kinds.shape[1], dtype=bool)
    assert same.any()
    assert iou(found.boxes, found.boxes)[same].max() <= 0.5


def test_tables_hold_precision_by_iou_and_what_suppression_does(result):
    precision, suppression = result.tables
    assert [row[0] for row in precision.rows] == ["0.5", "0.75", "0.9", "0.95"]
    both = [row[3] for row in precision.rows]
    assert both[0] == result.measured["mAP@0.5"]
    assert (np.diff([measured.value for measured in both]) < 0).all()
    for _, circles, rectangles, measured in precision.rows:
        assert (circles + rectangles) / 2 == pytest.approx(measured.value)
    every, best = suppression.rows
    assert best[3] == result.measured["mAP@0.5"]
    # to suppress can lose an object, but hardly does; what it takes away is mostly wrong
    assert every[1].value >= best[1].value > every[1].value - 0.02
    assert best[2].value >= every[2].value


def test_figures_show_boxes_curves_and_the_learning(result):
    assert set(result.figures) == {"what it found", "precision and recall", "learning"}
    panels = result.figures["what it found"].axes
    assert len(panels) == 8
    dashed = [[box for box in axes.patches if box.get_linestyle() == "--"] for axes in panels]
    assert all(1 <= len(boxes) <= 6 for boxes in dashed)
    assert sum(len(axes.patches) - len(axes.texts) for axes in panels) == sum(map(len, dashed))  # found: with a score
    (axes,) = result.figures["precision and recall"].axes
    assert axes.get_xlabel().startswith("recall")
    assert axes.get_ylabel().startswith("precision")
    assert len(axes.lines) == 6
    for line in axes.lines:
        assert (np.diff(line.get_ydata()) <= 0).all()
    (axes,) = result.figures["learning"].axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", "loss")


def test_images_have_1_to_6_objects_of_both_kinds_that_overlap_little():
    scenes = draw_scenes(2000, np.random.default_rng(0))
    assert scenes.images.shape == (2000, 64, 64, 1)
    n_objects = scenes.present.sum(axis=1)
    assert set(n_objects.tolist()) == {1, 2, 3, 4, 5, 6}
    assert 0.47 < scenes.kinds[scenes.present].mean() < 0.53
    pairs = scenes.present[:, :, None] & scenes.present[:, None] & ~np.eye(6, dtype=bool)
    # a fifth of the smaller box shared makes an IoU of at most 0.2 / (1 + 1 - 0.2)
    assert iou(scenes.boxes, scenes.boxes)[pairs].max() <= 0.2 / 1.8 + 1e-6


def test_answers_hold_every_object_but_those_that_share_a_cell_with_two_others():
    images, answers = draw(2000, np.random.default_rng(1))
    scenes = draw_scenes(2000, np.random.default_rng(1))
    np.testing.assert_array_equal(images, scenes.images)
    found = decode(answers, GRID, min_score=0.5)
    assert found.present.sum() >= scenes.present.sum() - 2
    overlaps = iou(scenes.boxes, found.boxes)
    overlaps[~(scenes.present[:, :, None] & found.present[:, None])] = 0
    assert (overlaps.max(axis=2)[scenes.present] > 0.999).mean() > 0.999
