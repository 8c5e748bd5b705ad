"""The transfer task: what is reused is what was learned, what is new begins anew, and image sizes do not matter."""

import keras
import numpy as np
import pytest

from hepnn.tasks import TASKS
from hepnn.tasks.shapes_transfer import (
    NEW_KINDS,
    NEW_SIZE,
    OLD_KINDS,
    OLD_SIZE,
    WAYS,
    convolutions,
    draw_new,
    draw_old,
    head,
    joined,
    learn_from,
)
from hepnn.training import seeded


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


@pytest.fixture(scope="module")
def learned():
    """Some convolutions, their weights before, and what was learned with them in all three ways."""
    with seeded(2):
        body = convolutions()
        before = [weights.copy() for weights in body.get_weights()]
        images, kinds = draw_new(60, np.random.default_rng(1))
        fits = learn_from(images, kinds, body=body, rng=np.random.default_rng(2), steps=10, report=lambda line: None)
    return body, before, fits


def body_weights(model):
    return model.get_layer("convolutions").get_weights()


def distance(weights, others):
    return np.sqrt(sum(np.sum((a - b) ** 2) for a, b in zip(weights, others, strict=True)))


def test_frozen_convolutions_stay_as_they_are(learned):
    body, before, fits = learned
    assert list(fits) == list(WAYS)
    for weights in (body.get_weights(), body_weights(fits["frozen"].model)):
        assert distance(weights, before) == 0


def test_fine_tuning_begins_with_what_was_learned_and_moves_it_little(learned):
    _, before, fits = learned
    tuned, new = (distance(body_weights(fits[way].model), before) for way in ("fine-tuned", "from scratch"))
    assert 0 < tuned < 0.2 * new


def test_all_ways_have_the_same_network(learned):
    *_, fits = learned
    assert len({fit.model.count_params() for fit in fits.values()}) == 1
    for fit in fits.values():
        assert fit.model.input_shape == (None, NEW_SIZE, NEW_SIZE, 1)
        assert fit.model.output_shape == (None, len(NEW_KINDS))


def test_a_frozen_network_says_what_its_head_says_about_the_features(learned):
    body, _, fits = learned
    images, _ = draw_new(30, np.random.default_rng(3))
    model = fits["frozen"].model
    expected = model.get_layer("head").predict(body.predict(images, verbose=0), verbose=0)
    np.testing.assert_allclose(model.predict(images, verbose=0), expected, atol=1e-6)


def test_features_do_not_depend_on_the_size_of_the_image():
    with seeded(4):
        body = convolutions()
    rng = np.random.default_rng(4)
    # kernels only: with biases an empty image is not all zero, and its edges can be told
    body.set_weights([w + rng.normal(0, 0.1, w.shape) if w.ndim > 1 else w for w in body.get_weights()])
    small = np.zeros((1, OLD_SIZE, OLD_SIZE, 1), np.float32)
    small[:, 10:22, 9:23] = rng.random((1, 12, 14, 1))
    large = np.zeros((1, NEW_SIZE, NEW_SIZE, 1), np.float32)
    large[:, 12 : 12 + OLD_SIZE, 4 : 4 + OLD_SIZE] = small  # moved by multiples of the two poolings' 4 pixels
    np.testing.assert_allclose(body.predict(large, verbose=0), body.predict(small, verbose=0), atol=1e-6)


def test_old_and_new_shapes_have_nothing_in_common():
    assert not set(OLD_KINDS) & set(NEW_KINDS)
    for draw, size, n_kinds in ((draw_old, OLD_SIZE, 2), (draw_new, NEW_SIZE, 3)):
        images, kinds = draw(600, np.random.default_rng(5))
        assert images.shape == (600, size, size, 1)
        counts = np.bincount(kinds, minlength=n_kinds)
        assert len(counts) == n_kinds
        assert counts.min() > 150


def test_a_head_is_made_for_any_number_of_kinds():
    for n_kinds in (2, 5):
        model = joined(convolutions(), head(n_kinds), size=20)
        np.testing.assert_allclose(model.predict(np.ones((1, 20, 20, 1)), verbose=0).sum(), 1, rtol=1e-5)
