"""Several showers in one picture: boxes, the data, and a quick run."""

import numpy as np
import pytest

from hepnn.boxes import iou, mean_average_precision
from hepnn.boxes import match as match_boxes
from hepnn.detection import decode, detect
from hepnn.tasks import TASKS
from hepnn.tasks.calo_data import seen
from hepnn.tasks.calo_locate import GRID, KINDS, boxes_of, draw, draw_scenes


@pytest.fixture(scope="module")
def result():
    return TASKS["calo-locate"].run(seed=1, quick=True)


def test_a_quick_run_reaches_its_bounds(result):
    loose, strict = result.metrics
    assert loose.value > strict.value
    assert all(0 < metric.uncertainty < 0.05 for metric in result.metrics)
    assert result.passed, result.metrics


def test_what_was_measured_is_what_the_model_does_on_pictures_it_has_never_seen(result):
    scenes = draw_scenes(400, np.random.default_rng(99))
    matches = match_boxes(detect(result.model, seen(scenes.images), grid=GRID), scenes.objects, n_kinds=2)
    for metric, threshold in zip(result.metrics, (0.5, None), strict=True):
        again = mean_average_precision(matches, threshold=threshold)
        assert abs(again - metric.value) < 5 * np.sqrt(2) * metric.uncertainty


def test_a_box_holds_what_lies_between_the_shares():
    image = np.zeros((1, 10, 10))
    image[0, 2:6, 3] = 1  # η from 2 to 6, φ from 3 to 4
    np.testing.assert_allclose(boxes_of(image), [[3.05, 2.2, 3.95, 5.8]])
    image[0, 9, 9] = 0.1  # 2.4 % of the energy: less than is left out
    (box,) = boxes_of(image)
    assert 3.9 < box[2] < 4
    assert 5.8 < box[3] < 6


def test_boxes_hold_ninety_percent_of_a_shower_in_each_direction():
    rng = np.random.default_rng(0)
    images = rng.exponential(1, (20, 12, 14)) ** 3
    for image, (left, top, right, bottom) in zip(images, boxes_of(images), strict=True):
        for values, low, high in ((image.sum(axis=0), left, right), (image.sum(axis=1), top, bottom)):
            before = np.concatenate([[0], np.cumsum(values)]) / values.sum()
            held = np.interp([low, high], np.arange(len(before)), before)
            np.testing.assert_allclose(held, [0.05, 0.95], rtol=1e-6)


def test_pictures_have_1_to_5_showers_of_both_kinds():
    scenes = draw_scenes(1_000, np.random.default_rng(0))
    assert scenes.images.shape == (1_000, 40, 40, 6)
    present = scenes.objects.present
    assert set(present.sum(axis=1).tolist()) == {1, 2, 3, 4, 5}
    assert 0.45 < scenes.objects.kinds[present].mean() < 0.55
    assert 20 <= scenes.energies[present].min() <= scenes.energies[present].max() <= 100
    assert not scenes.energies[~present].any()
    # pions are wider, and what is on the picture is what the showers deposit
    sides = (scenes.objects.boxes[..., 2:] - scenes.objects.boxes[..., :2])[present]
    width = [np.median(sides[scenes.objects.kinds[present] == kind], axis=0) for kind in range(2)]
    assert (width[1] > 1.3 * width[0]).all()
    response = scenes.images.sum(axis=(1, 2, 3)) / scenes.energies.sum(axis=1)
    assert 0.8 < np.median(response) < 1


def test_the_box_of_a_single_shower_is_that_of_its_picture():
    scenes = draw_scenes(200, np.random.default_rng(2))
    single = scenes.objects.present.sum(axis=1) == 1
    np.testing.assert_allclose(
        boxes_of(scenes.images[single].sum(axis=-1)), scenes.objects.boxes[single, 0], rtol=1e-4, atol=1e-3
    )


def test_answers_hold_every_shower():
    images, answers = draw(300, np.random.default_rng(1))
    scenes = draw_scenes(300, np.random.default_rng(1))
    np.testing.assert_array_equal(images, seen(scenes.images))
    found = decode(answers, GRID, min_score=0.5)
    overlaps = iou(scenes.objects.boxes, found.boxes)
    overlaps[~(scenes.objects.present[:, :, None] & found.present[:, None])] = 0
    assert (overlaps.max(axis=2)[scenes.objects.present] > 0.999).mean() > 0.995


def test_tables_hold_precision_by_iou_and_what_is_found_by_energy(result):
    precision, by_energy = result.tables
    assert [row[0] for row in precision.rows] == ["0.5", "0.75", "0.9", "0.95"]
    assert precision.rows[0][3] == result.measured["mAP@0.5"]
    for _, *kinds, measured in precision.rows:
        assert sum(kinds) / 2 == pytest.approx(measured.value)
    assert len(by_energy.rows) == 6
    for _, found, whatever, _ in by_energy.rows:
        assert whatever.value >= found.value


def test_pictures_show_boxes_and_efficiencies(result):
    assert set(result.figures) == {"what it found", "found by energy", "learning"}
    panels = result.figures["what it found"].axes[:8]
    true = [sum(box.get_linestyle() == ":" for box in axes.patches) for axes in panels]
    assert all(1 <= number <= 5 for number in true)
    (axes,) = result.figures["found by energy"].axes
    assert "[GeV]" in axes.get_xlabel()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [f"{kind}s" for kind in KINDS]
