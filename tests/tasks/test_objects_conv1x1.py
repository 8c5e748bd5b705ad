"""A 1×1 convolution over particles: the dense network for each, and what the order of particles does to whom."""

import keras
import numpy as np
import pytest

import hepnn.layers  # noqa: F401  # registers MaskedPooling for load_model
from hepnn.tasks import TASKS
from hepnn.tasks import objects_conv1x1 as task


@pytest.fixture(scope="module")
def result():
    return TASKS["objects-conv1x1"].run(seed=1, quick=True)


@pytest.fixture(scope="module")
def jets():
    return task.draw(100, np.random.default_rng(2))


def test_a_quick_run_reaches_its_bounds(result):
    assert result.passed, result.metrics


def test_only_the_1x1_convolution_does_not_notice_the_order(result):
    changes = {row[0]: row[1:] for row in result.tables[0].rows}
    assert set(changes) == set(task.ENCODERS)
    assert max(changes["1 × 1 convolution"]) < 1e-5
    for name in ("convolution over 3", "LSTM"):
        encodings, pooled, score = changes[name]
        assert encodings > 0.1
        assert pooled > 0.01
        assert score > 0.01


def test_the_auc_in_random_order_is_the_same_only_for_the_1x1_convolution(result):
    rows = {row[0]: row[1:] for row in result.tables[2].rows}
    for name, (parameters, ordered, mixed, difference) in rows.items():
        assert parameters == result.fits[name].model.count_params()
        assert difference.value == pytest.approx(mixed.value - ordered.value, abs=1e-12)
        assert ordered.value > 0.7
        assert (abs(difference.value) < 1e-4) == (name == "1 × 1 convolution")


def test_padding_reaches_no_score(result):
    *_, (_, change) = result.tables[1].rows
    assert change < 1e-5


def test_jets_are_ordered_by_pt_with_zeros_behind(jets):
    values, mask = jets.inputs["particles"], jets.inputs["mask"]
    assert values.shape == (100, task.MAX_PARTICLES, len(task.FEATURES))
    assert not values[~mask].any()
    assert mask[:, 0].all()
    assert (np.diff(mask.astype(int), axis=1) <= 0).all()
    log_pt = np.where(mask, values[..., 0], -np.inf)
    assert (log_pt[:, :-1] >= log_pt[:, 1:] - 1e-6).all()
    assert jets.is_signal.sum() == 50


def test_shuffling_changes_places_and_nothing_else(jets):
    moved, order = task.shuffled(jets.inputs, np.random.default_rng(0))
    mask = jets.inputs["mask"]
    np.testing.assert_array_equal(moved["mask"], mask)
    assert not moved["particles"][~mask].any()
    assert (order[mask] != np.broadcast_to(np.arange(mask.shape[1]), mask.shape)[mask]).mean() > 0.8
    for before, after, n in zip(jets.inputs["particles"], moved["particles"], mask.sum(axis=1), strict=True):
        assert sorted(map(tuple, before[:n])) == sorted(map(tuple, after[:n]))


def test_a_kernel_of_one_is_a_dense_network_and_a_wider_one_is_not(jets):
    one, three = (task.network(name) for name in ("1 × 1 convolution", "convolution over 3"))
    assert max(task.same_as_dense(one, jets.inputs).values()) < 1e-5
    for name in ("hidden", "encodings"):  # the same dense weights, and none for the neighbours
        kernel, bias = one.get_layer(name).get_weights()
        three.get_layer(name).set_weights([np.concatenate([0 * kernel, kernel, 0 * kernel]), bias])
    same = [np.asarray(task.encodings(model)(jets.inputs)) for model in (one, three)]
    np.testing.assert_allclose(*same, atol=1e-5)
    kernel, bias = three.get_layer("hidden").get_weights()
    three.get_layer("hidden").set_weights([np.concatenate([kernel[1:2], kernel[1:]]), bias])
    assert np.abs(np.asarray(task.encodings(three)(jets.inputs)) - same[0]).max() > 0.1


def test_a_position_among_the_inputs_would_be_seen(jets):
    """The comparison itself: a network that knows slots is not equivariant."""
    model = task.network("1 × 1 convolution")
    slots = np.broadcast_to(np.linspace(0, 1, task.MAX_PARTICLES)[None, :, None], (100, task.MAX_PARTICLES, 1))
    honest = task.comparisons(model, jets.inputs, rng=np.random.default_rng(0))
    moved, order = task.shuffled(jets.inputs, np.random.default_rng(0))
    encode = task.encodings(model)
    before = np.asarray(encode({**jets.inputs, "particles": jets.inputs["particles"] + slots}))
    after = np.asarray(encode({**moved, "particles": moved["particles"] + slots}))
    assert max(honest.values()) < 1e-5
    assert np.abs(after - np.take_along_axis(before, order[..., None], axis=1))[jets.inputs["mask"]].max() > 0.1


def test_models_can_be_taken_away(result, jets, tmp_path):
    result.model.save(tmp_path / "sets.keras")
    model = keras.models.load_model(tmp_path / "sets.keras")
    np.testing.assert_array_equal(model(jets.inputs), result.model(jets.inputs))
    assert list(result.fits) == list(task.ENCODERS)
    assert all(np.isfinite(fit.history["val_loss"]).all() and fit.seconds > 0 for fit in result.fits.values())
    assert set(result.figures) == {"score and order", "encodings", "learning"}
