"""Augmentation of particle clouds keeps what it promises to keep, and happens in training only."""

import numpy as np
import pytest

from hepnn import Tagger
from hepnn.augmentation import AUGMENTATIONS, Cloud, augmenter, drop_soft, rotate, smear, smear_soft
from hepnn.batches import BucketedBatches
from hepnn.clouds import Clouds, Sequences
from hepnn.errors import InputError

FEATURES = ["log_pt", "delta_eta", "delta_phi"]
VALUES = np.random.default_rng(0).normal(0, 1, (50, 7, 3)).astype(np.float32)
ALL = np.ones((50, 7), bool)
RAGGED = np.arange(7) < np.arange(50)[:, None] % 8
MANY = ("log_pt", "log_energy_rel", "delta_eta", "delta_phi", "delta_r", "pt_fraction", "charge")


def cloud_of(n=400):
    """Jets of up to 30 particles from 0.1 to 10 GeV, with `MANY` features; the first is empty."""
    rng = np.random.default_rng(5)
    mask = np.arange(30) < rng.integers(0, 31, n)[:, None]
    mask[0] = False
    log_pt, charge = rng.uniform(-2.3, 2.3, mask.shape), rng.integers(-1, 2, mask.shape)
    eta, phi = rng.normal(0, 0.2, (2, *mask.shape))
    columns = [log_pt, log_pt - 6, eta, phi, np.hypot(eta, phi), np.exp(log_pt - 6), charge]
    return Cloud((np.stack(columns, axis=-1) * mask[..., None]).astype(np.float32), mask, MANY)


def column(cloud, name):
    return cloud.values[cloud.mask][:, MANY.index(name)]


def test_rotation_keeps_distances_from_the_axis_and_among_particles():
    turned = rotate(Cloud(VALUES, ALL, FEATURES), np.random.default_rng(1)).values
    np.testing.assert_array_equal(turned[..., 0], VALUES[..., 0])
    for before, after in zip(VALUES[..., 1:], turned[..., 1:], strict=True):
        np.testing.assert_allclose(after @ after.T, before @ before.T, atol=1e-5)


def test_angles_are_spread_and_half_of_the_jets_are_mirrored():
    point = np.tile(np.array([[[0, 1, 0], [0, 0, 1]]], np.float32), (4000, 1, 1))
    turned = rotate(Cloud(point, np.ones((4000, 2), bool), FEATURES), np.random.default_rng(1)).values[..., 1:]
    assert np.abs(turned.mean(axis=0)).max() < 0.05
    assert np.linalg.det(turned).mean() == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_the_input_is_left_alone_the_seed_decides_and_padding_stays_zero(name):
    cloud, untouched = cloud_of(), cloud_of()
    first, second, other = (AUGMENTATIONS[name](cloud, np.random.default_rng(seed)) for seed in (4, 4, 5))
    np.testing.assert_array_equal(cloud.values, untouched.values)
    np.testing.assert_array_equal(cloud.mask, untouched.mask)
    np.testing.assert_array_equal(first.values, second.values)
    assert np.abs(first.values - cloud.values).max() > 0.1
    assert np.abs(first.values - other.values).max() > 0.1
    assert (first.values.shape, first.values.dtype) == (cloud.values.shape, np.float32)
    assert (first.values[~first.mask] == 0).all()
    assert np.isfinite(first.values).all()
    assert (np.diff(first.mask.astype(int), axis=1) <= 0).all()  # padding on the right


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_features_without_a_direction_or_momentum_stay(name):
    cloud = Cloud(VALUES, RAGGED, ["rapidity", "is_photon", "charge"])
    changed = AUGMENTATIONS[name](cloud, np.random.default_rng(0))
    np.testing.assert_array_equal(changed.values, VALUES)
    np.testing.assert_array_equal(changed.mask, RAGGED)


def test_smearing_multiplies_each_momentum_by_one_factor():
    cloud = cloud_of()
    smeared = smear(cloud, np.random.default_rng(1))
    change = column(smeared, "log_pt") - column(cloud, "log_pt")
    assert change.std() == pytest.approx(0.05, rel=0.05)
    assert abs(change.mean()) < 0.003
    np.testing.assert_allclose(column(smeared, "log_energy_rel") - column(cloud, "log_energy_rel"), change, atol=1e-5)
    np.testing.assert_allclose(column(smeared, "pt_fraction"), column(cloud, "pt_fraction") * np.exp(change), rtol=1e-5)
    for name in ("delta_eta", "delta_r", "charge"):
        np.testing.assert_array_equal(column(smeared, name), column(cloud, name))


def test_directions_of_soft_particles_are_smeared_more():
    cloud = cloud_of()
    smeared = smear_soft(cloud, np.random.default_rng(1))
    pt = np.exp(column(cloud, "log_pt"))
    for name in ("delta_eta", "delta_phi"):
        pulls = (column(smeared, name) - column(cloud, name)) * pt / 0.1
        assert pulls[pt < 0.5].std() == pytest.approx(1, rel=0.05)
        assert pulls[pt > 2].std() == pytest.approx(1, rel=0.05)
    r = np.hypot(column(smeared, "delta_eta"), column(smeared, "delta_phi"))
    np.testing.assert_allclose(column(smeared, "delta_r"), r, rtol=1e-5)
    np.testing.assert_array_equal(column(smeared, "log_pt"), column(cloud, "log_pt"))


def test_soft_particles_are_dropped_and_the_others_keep_their_order():
    cloud = cloud_of()
    thinned = drop_soft(cloud, np.random.default_rng(1))
    before, after = column(cloud, "log_pt"), column(thinned, "log_pt")
    kept = np.isin(before, after)  # random numbers tell particles apart
    np.testing.assert_array_equal(before[kept], after)
    pt = np.exp(before)
    for low, high in ((0.1, 0.3), (0.3, 0.8), (0.8, 2), (2, 10)):
        chosen = (pt >= low) & (pt < high)
        expected = np.exp(-pt[chosen] / 0.5).mean()
        assert 1 - kept[chosen].mean() == pytest.approx(expected, abs=0.03)
    counts = thinned.mask.sum(axis=1)
    assert (counts <= cloud.mask.sum(axis=1)).all()
    assert counts[0] == 0


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
    assert (trained.augment, trained.representation_.default_augmentations) == ("auto", ("rotate",))
    np.testing.assert_array_equal(trained.predict_proba(jets[:20]), trained.predict_proba(jets[:20]))


def test_an_unknown_augmentation_is_refused(jets):
    with pytest.raises(InputError, match="asked for the augmentation 'blur'; known: rotate"):
        Tagger(augment=("blur",), epochs=1).fit(jets)


def test_all_collections_of_a_jet_turn_together():
    augment = augmenter(["rotate"], {"particles": FEATURES, "tracks": FEATURES})
    inputs = {"particles": VALUES, "particles_mask": ALL, "tracks": VALUES, "tracks_mask": RAGGED}
    turned = augment(inputs, np.random.default_rng(0))
    np.testing.assert_array_equal(turned["particles"], turned["tracks"])


def test_a_mask_that_changes_is_handed_on():
    cloud = cloud_of()
    inputs = {"particles": cloud.values, "particles_mask": cloud.mask, "jet": np.ones((400, 2))}
    changed = augmenter(["drop_soft", "smear"], {"particles": MANY})(inputs, np.random.default_rng(0))
    assert changed["particles_mask"].sum() < cloud.mask.sum()
    assert (changed["particles"][~changed["particles_mask"]] == 0).all()
    assert changed["jet"] is inputs["jet"]
