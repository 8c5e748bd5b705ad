"""The transfer task on shapes; the three ways of learning have tests of their own."""

import keras
import numpy as np
import pytest

from hepnn.tasks import TASKS
from hepnn.tasks.few_labels import WAYS
from hepnn.tasks.shapes_transfer import NEW_KINDS, NEW_SIZE, OLD_KINDS, OLD_SIZE, draw_new, draw_old


@pytest.fixture(scope="module")
def result():
    return TASKS["shapes-transfer"].run(seed=1, quick=True)


def test_a_quick_run_shows_that_transfer_helps_where_labels_are_few(result):
    assert result.passed, result.metrics
    assert [metric.name for metric in result.metrics] == [goal.metric for goal in result.task.goals]
    assert all(metric.uncertainty > 0 for metric in result.metrics)


def test_the_table_has_a_row_for_each_number_of_labels(result):
    (table,) = result.tables
    assert list(table.columns) == ["labels", "sets", *WAYS]
    rows = {row[0]: dict(zip(WAYS, row[2:], strict=True)) for row in table.rows}
    assert {50, 100} <= set(rows)
    by_name = {metric.name: metric for metric in result.metrics}
    assert rows[100]["fine-tuned"].value == by_name["accuracy from 100 labels, transferred"].value
    gain = rows[50]["fine-tuned"].value - rows[50]["from scratch"].value
    assert by_name["gain over from scratch with 50 labels"].value == pytest.approx(gain)


def test_the_curves_have_a_band_each_and_a_logarithmic_axis(result):
    (axes,) = result.figures["accuracy by labels"].axes
    assert axes.get_xscale() == "log"
    assert len(axes.collections) == len(WAYS)
    assert axes.get_legend_handles_labels()[1] == list(WAYS)
    assert len(result.figures["old and new"].axes) == 12


def test_the_task_is_about_the_fine_tuned_network_which_plain_keras_reloads(result, tmp_path):
    assert result.model is result.fits["fine-tuned"].model
    images, _ = draw_new(20, np.random.default_rng(0))
    result.model.save(tmp_path / "tuned.keras")
    again = keras.models.load_model(tmp_path / "tuned.keras")
    np.testing.assert_allclose(again.predict(images, verbose=0), result.model.predict(images, verbose=0), atol=1e-6)


def test_old_and_new_shapes_have_nothing_in_common():
    assert not set(OLD_KINDS) & set(NEW_KINDS)
    for draw, size, n_kinds in ((draw_old, OLD_SIZE, 2), (draw_new, NEW_SIZE, 3)):
        images, kinds = draw(600, np.random.default_rng(5))
        assert images.shape == (600, size, size, 1)
        counts = np.bincount(kinds, minlength=n_kinds)
        assert len(counts) == n_kinds
        assert counts.min() > 150
