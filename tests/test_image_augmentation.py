"""Augmentations of images keep their shape and content, follow from the seed, and do what their name says."""

import numpy as np
import pytest

from hepnn.batches import BucketedBatches
from hepnn.errors import InputError
from hepnn.image_augmentation import IMAGE_AUGMENTATIONS, _moved, brighten, flip, image_augmenter, rotate, scale, shift
from hepnn.image_augmentation import smear as smear_pixels
from hepnn.images import JetImage

RNG = np.random.default_rng(0)
SHAPES = {"picture": (50, 15, 15, 2), "volume": (50, 4, 15, 15, 1), "film": (50, 3, 15, 15, 2)}
CENTRE = np.arange(15) - 7


def sparse(shape, *, margin=0):
    """Images with a tenth of their pixels filled, and none of those near the border."""
    images = np.where(RNG.random(shape) < 0.1, RNG.exponential(5, shape), 0).astype(np.float32)
    images[0] = 0
    inner = np.zeros(shape[-3:-1], bool)
    inner[margin : 15 - margin, margin : 15 - margin] = True
    return images * inner[..., None]


def seeded(seed=1):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("name", IMAGE_AUGMENTATIONS)
def test_shape_and_type_stay_the_seed_decides_and_the_input_is_left_alone(name, shape):
    images = sparse(shape)
    before = images.copy()
    first, second, other = (IMAGE_AUGMENTATIONS[name](images, seeded(seed), "channels_last") for seed in (1, 1, 2))
    assert (first.shape, first.dtype) == (shape, np.float32)
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()
    assert (first != images).any()
    assert not first[0].any()
    assert np.isfinite(first).all()
    assert (first >= 0).all()


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("name", [name for name in IMAGE_AUGMENTATIONS if name != "smear"])
def test_channels_first_are_changed_like_channels_last(name, shape):
    images = sparse(shape)
    last = IMAGE_AUGMENTATIONS[name](images, seeded(), "channels_last")
    first = IMAGE_AUGMENTATIONS[name](np.ascontiguousarray(np.moveaxis(images, -1, 1)), seeded(), "channels_first")
    np.testing.assert_allclose(np.moveaxis(first, 1, -1), last, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["shift", "rotate", "flip", "scale"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_what_stays_in_the_frame_keeps_its_content_in_each_plane(name, shape):
    images = sparse(shape, margin=4)
    moved = IMAGE_AUGMENTATIONS[name](images, seeded(), "channels_last")
    np.testing.assert_allclose(moved.sum(axis=(-3, -2)), images.sum(axis=(-3, -2)), rtol=1e-5)


def centroids(images):
    total = images.sum(axis=(1, 2, 3))
    return np.stack([(images.sum(axis=(other, 3)) * CENTRE).sum(axis=1) / total for other in (2, 1)], axis=1)


def point(eta, phi, *, n=400):
    images = np.zeros((n, 15, 15, 1), np.float32)
    images[:, 7 + eta, 7 + phi] = 3
    return images


def test_shifts_are_up_to_a_pixel_each_way():
    places = centroids(shift(point(2, -1), seeded())) - [2, -1]
    assert 0.98 < np.abs(places).max() <= 1
    assert np.abs(places.mean(axis=0)).max() < 0.1
    assert abs(np.corrcoef(places.T)[0, 1]) < 0.15


def test_rotations_keep_the_distance_from_the_centre_and_take_all_angles():
    places = centroids(rotate(point(4, 0), seeded())) @ [1, 1j]
    np.testing.assert_allclose(np.abs(places), 4, rtol=1e-5)
    assert np.abs((places / np.abs(places)).mean()) < 0.1


def test_content_moves_to_where_the_matrix_says():
    turn = np.array([[0, -1], [1, 0]])[..., None]
    moved = _moved(point(4, 1, n=1), turn, np.array([[0.5], [0.0]]), "channels_last")[0, ..., 0]
    assert (moved[6, 11], moved[7, 11]) == (1.5, 1.5)  # (4, 1) is turned to (−1, 4) and moved to (−0.5, 4)
    assert np.count_nonzero(moved) == 2


def test_what_leaves_the_frame_is_lost():
    moved = _moved(point(7, 0, n=1), np.eye(2)[..., None], np.array([[0.25], [0.0]]), "channels_last")
    assert moved.sum() == pytest.approx(3 * 0.75)


def test_nothing_moved_is_nothing_changed():
    images = sparse(SHAPES["film"])
    identity = np.broadcast_to(np.eye(2)[..., None], (2, 2, 50))
    np.testing.assert_array_equal(_moved(images, identity, np.zeros((2, 50)), "channels_last"), images)


def test_flips_take_each_side_as_often():
    places = centroids(flip(point(3, 2), seeded()))
    np.testing.assert_allclose(np.abs(places), [[3, 2]] * 400)
    assert np.abs(np.sign(places).mean(axis=0)).max() < 0.12
    assert np.abs(np.sign(places).prod(axis=1).mean()) < 0.12


def test_scaling_stretches_distances_by_up_to_a_tenth():
    places = centroids(scale(point(0, 5), seeded()))
    np.testing.assert_allclose(places[:, 0], 0, atol=1e-6)
    assert 4.5 <= places[:, 1].min() < 4.55
    assert 5.45 < places[:, 1].max() <= 5.5


def test_smearing_changes_pixels_apart_by_a_tenth():
    images = np.ones((20, 15, 15, 2), np.float32)
    smeared = smear_pixels(images, seeded())
    assert smeared.std() == pytest.approx(0.1, rel=0.05)
    assert smeared.mean() == pytest.approx(1, rel=0.01)
    assert smeared.mean(axis=(1, 2, 3)).std() < 0.02


def test_brightening_changes_a_whole_image_by_one_factor():
    images = sparse(SHAPES["volume"])[1:]
    factors = brighten(images, seeded()) / np.where(images > 0, images, np.nan)
    each = np.nanmean(factors, axis=(1, 2, 3, 4))
    np.testing.assert_allclose(np.nanmax(factors, axis=(1, 2, 3, 4)), np.nanmin(factors, axis=(1, 2, 3, 4)), rtol=1e-6)
    assert 0.9 <= each.min() < 0.92
    assert 1.08 < each.max() <= 1.1


def test_batches_of_training_are_changed_anew_each_epoch_and_the_images_stay(jets):
    tensors = JetImage(size=15).tensors(jets)
    augment = image_augmenter(list(IMAGE_AUGMENTATIONS))
    batches = BucketedBatches(tensors, np.arange(600), None, batch_size=600, n_buckets=1, seed=0, augment=augment)

    def ordered():
        (inputs, targets) = next(iter(batches))
        return inputs["image"][np.argsort(targets)]

    before = tensors.pad()["image"]
    first = ordered()
    np.testing.assert_array_equal(ordered(), first)
    assert first.shape == before.shape
    assert np.abs(first - before).max() > 1
    batches.epoch = 1
    assert np.abs(ordered() - first).max() > 1
    np.testing.assert_array_equal(tensors.pad()["image"], before)


def test_other_inputs_stay():
    inputs = {"image": sparse(SHAPES["picture"]), "jet": np.ones((50, 3))}
    changed = image_augmenter(["shift"])(inputs, seeded())
    assert changed["jet"] is inputs["jet"]
    assert (changed["image"] != inputs["image"]).any()


def test_an_unknown_augmentation_is_refused():
    with pytest.raises(InputError, match="asked for the augmentation 'blur' of images; known: shift, rotate, flip"):
        image_augmenter(["shift", "blur"])
