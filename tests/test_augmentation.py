"""Augmentation keeps what it promises to keep, and happens in training only."""

import numpy as np
import pytest

from hepnn import Tagger
from hepnn.augmentation import AUGMENTATIONS, augmenter, rotate
from hepnn.clouds import Clouds, Sequences
from hepnn.errors import InputError
from hepnn.training import BucketedBatches

FEATURES = ["log_pt", "delta_eta", "delta_phi"]
VALUES = np.random.default_rng(0).normal(0, 1, (50, 7, 3)).astype(np.float32)


def test_rotation_keeps_distances_from_the_axis_and_among_particles():
    turned = rotate(VALUES, FEATURES, np.random.default_rng(1))
    np.testing.assert_array_equal(turned[..., 0], VALUES[..., 0])
    for before, after in zip(VALUES[..., 1:], turned[..., 1:], strict=True):
        np.testing.assert_allclose(after @ after.T, before @ before.T, atol=1e-5)


def test_angles_are_spread_and_half_of_the_jets_are_mirrored():
    point = np.tile(np.array([[[0, 1, 0], [0, 0, 1]]], np.float32), (4000, 1, 1))
    turned = rotate(point, FEATURES, np.random.default_rng(1))[..., 1:]
    assert np.abs(turned.mean(axis=0)).max() < 0.05
    assert np.linalg.det(turned).mean() == pytest.approx(0, abs=0.05)


def test_the_input_is_left_alone_and_the_seed_decides():
    before = VALUES.copy()
    first, second = (rotate(VALUES, FEATURES, np.random.default_rng(4)) for _ in range(2))
    np.testing.assert_array_equal(VALUES, before)
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - VALUES).max() > 0.1


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_features_without_a_direction_stay(name):
    generator = np.random.default_rng(0)
    np.testing.assert_array_equal(AUGMENTATIONS[name](VALUES, ["log_pt", "mass", "charge"], generator), VALUES)


def test_padding_stays_zero_and_batches_differ_by_epoch():
    clouds = Clouds({"particles": Sequences(VALUES.reshape(-1, 3), np.full(50, 7), 0)}, None)
    batches = BucketedBatches(
        clouds,
        np.arange(50),
        None,
        batch_size=50,
        n_buckets=1,
        seed=0,
        augment=augmenter(["rotate"], {"particles": FEATURES}),
    )
    (inputs, targets) = next(iter(batches))
    assert (inputs["particles"][~inputs["particles_mask"]] == 0).all()
    again = next(iter(batches))[0]["particles"]
    np.testing.assert_array_equal(again, inputs["particles"])
    batches.epoch = 1
    other_inputs, other_targets = next(iter(batches))
    order, other_order = np.argsort(targets), np.argsort(other_targets)
    assert np.abs(inputs["particles"][order] - other_inputs["particles"][other_order]).max() > 0.1


def test_scores_are_never_augmented(trained, jets):
    assert trained.augment == ("rotate",)
    np.testing.assert_array_equal(trained.predict_proba(jets[:20]), trained.predict_proba(jets[:20]))


def test_an_unknown_augmentation_is_refused(jets):
    with pytest.raises(InputError, match="asked for the augmentation 'blur'; known: rotate"):
        Tagger(augment=("blur",), epochs=1).fit(jets)


def test_all_collections_of_a_jet_turn_together():
    augment = augmenter(["rotate"], {"particles": FEATURES, "tracks": FEATURES})
    turned = augment({"particles": VALUES, "tracks": VALUES}, np.random.default_rng(0))
    np.testing.assert_array_equal(turned["particles"], turned["tracks"])
