"""Shares of energy pixel by pixel: the data, the measure, and a quick run."""

import keras
import numpy as np
import pytest

from hepnn.tasks import TASKS
from hepnn.tasks.calo_data import seen
from hepnn.tasks.calo_segment import Pairs, by_layers, draw, draw_pairs, put_right, shares_of


@pytest.fixture(scope="module")
def result():
    return TASKS["calo-segment"].run(seed=1, quick=True)


@pytest.fixture(scope="module")
def pairs():
    return draw_pairs(500, np.random.default_rng(3))


def test_a_quick_run_reaches_its_bounds(result):
    assert result.passed, result.metrics


def test_what_was_measured_is_what_the_model_does_on_pictures_it_has_never_seen(result, pairs):
    right = put_right(pairs, shares_of(result.model, pairs.images))
    gain = right - put_right(pairs, by_layers(pairs.images))
    for metric, values in zip(result.metrics, (right, gain), strict=True):
        error = np.std(values) / np.sqrt(len(values))
        assert abs(np.mean(values) - metric.value) < 5 * np.hypot(error, metric.uncertainty)


def test_pictures_hold_an_electron_and_a_pion_and_their_shares(pairs):
    assert pairs.images.shape == (500, 24, 24, 6)
    energy = pairs.images.sum(axis=-1)
    assert 0 <= pairs.shares.min() < pairs.shares.max() <= 1
    assert not pairs.shares[energy == 0].any()
    electron = pairs.images * pairs.shares[..., None]
    of_kind = [each[..., 3:].sum() / each.sum() for each in (electron, pairs.images - electron)]
    assert of_kind[0] < 0.15 < 0.5 < of_kind[1]
    mixed = (pairs.shares > 0.1) & (pairs.shares < 0.9)
    assert 0.02 < energy[mixed].sum() / energy.sum() < 0.9


def test_targets_are_shares_of_both_and_weights_energies():
    inputs, targets, weights = draw(20, np.random.default_rng(4))
    pairs = draw_pairs(20, np.random.default_rng(4))
    np.testing.assert_array_equal(inputs["image"], seen(pairs.images))
    np.testing.assert_array_equal(targets[..., 0], pairs.shares)
    np.testing.assert_allclose(targets.sum(axis=-1), 1, rtol=1e-6)
    energy = pairs.images.sum(axis=-1)
    np.testing.assert_allclose(weights.mean(axis=(1, 2)), 1, rtol=1e-4)
    np.testing.assert_allclose(weights * energy.mean(axis=(1, 2), keepdims=True), energy, rtol=1e-4)


def test_energy_put_right_is_1_for_the_truth_and_0_for_its_opposite():
    images = np.array([[[[3.0, 0.0], [0.0, 1.0]]]])
    pairs = Pairs(images, np.array([[[1.0, 0.0]]]))
    assert put_right(pairs, pairs.shares) == 1
    assert put_right(pairs, 1 - pairs.shares) == 0
    np.testing.assert_allclose(put_right(pairs, np.array([[[0.5, 0.0]]])), 1 - 1.5 / 4)


def test_by_layers_the_front_is_the_electrons():
    images = np.zeros((1, 1, 3, 6))
    images[0, 0, 0, :3] = 1
    images[0, 0, 1, 3:] = 2
    np.testing.assert_array_equal(by_layers(images), [[[1, 0, 0]]])


def test_the_table_compares_with_and_without_skips_and_by_hand(result):
    (table,) = result.tables
    assert [row[0] for row in table.rows] == ["U-Net", "without skips", "by layers"]
    assert table.rows[0][1] == result.measured["energy put right"]
    gain = table.rows[0][1].value - table.rows[2][1].value
    assert gain == pytest.approx(result.metrics[1].value, abs=1e-5)


def test_there_are_pictures_and_a_model_to_take_away(result, pairs, tmp_path):
    assert set(result.figures) == {"shares", "energy put right", "energy of the electron", "learning"}
    titles = [axes.get_title() for axes in result.figures["shares"].axes[:5]]
    assert titles == ["energy", "true share", "U-Net", "without skips", "by layers"]
    result.model.save(tmp_path / "unet.keras")
    again = shares_of(keras.models.load_model(tmp_path / "unet.keras"), pairs.images[:10])
    np.testing.assert_array_equal(again, shares_of(result.model, pairs.images[:10]))
