"""A network from an image to an image of probabilities."""

import keras
import numpy as np
import pytest

from hepnn.errors import InputError
from hepnn.models.decoder import UPSAMPLINGS, unet
from hepnn.scaling import Scaling
from hepnn.tensors import TensorSpec

UNSCALED = Scaling((0.0, 0.0), (1.0, 1.0), (-100.0, -100.0), (100.0, 100.0))
SPECS = {"image": TensorSpec((12, 8, 2), UNSCALED)}
SMALL = {"filters": (3, 4, 5)}


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).exponential(1, (6, 12, 8, 2)).astype(np.float32)


@pytest.mark.parametrize("skips", [True, False], ids=["skips", "no skips"])
@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
def test_every_pixel_has_probabilities_and_a_file_gives_the_same_again(images, upsampling, skips, tmp_path):
    model = unet(SPECS, 3, upsampling=upsampling, skips=skips, **SMALL)
    probabilities = model.predict({"image": images}, verbose=0)
    assert probabilities.shape == (6, 12, 8, 3)
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1, rtol=1e-5)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras").predict({"image": images}, verbose=0)
    np.testing.assert_array_equal(again, probabilities)


def test_a_transposed_convolution_is_where_it_was_asked_for():
    kinds = {how: {type(layer) for layer in unet(SPECS, 2, upsampling=how, **SMALL).layers} for how in UPSAMPLINGS}
    assert keras.layers.Conv2DTranspose in kinds["transposed"]
    assert keras.layers.UpSampling2D not in kinds["transposed"]
    for how in ("nearest", "bilinear"):
        assert keras.layers.UpSampling2D in kinds[how]
        assert keras.layers.Conv2DTranspose not in kinds[how]


def silenced(*, skips):
    """A network whose smallest image is all 0, and its answers on two images."""
    keras.utils.set_random_seed(0)
    model = unet(SPECS, 2, skips=skips, **SMALL)
    deepest = model.get_layer("down_2")
    deepest.set_weights([np.zeros_like(weight) for weight in deepest.get_weights()])
    inputs = np.random.default_rng(1).exponential(1, (2, 12, 8, 2)).astype(np.float32)
    return model.predict({"image": inputs}, verbose=0)


def test_only_skips_pass_the_smallest_image_by():
    first, second = silenced(skips=False)
    np.testing.assert_array_equal(first, second)
    first, second = silenced(skips=True)
    assert np.abs(first - second).max() > 1e-3


@pytest.mark.parametrize(
    ("specs", "options", "message"),
    [
        (SPECS, {"upsampling": "cubic"}, r"asked for the up-sampling 'cubic'; known: transposed"),
        (SPECS, {"filters": (2, 2, 2, 2)}, r"asked to halve images of 12 × 8 pixels 3 times; give a multiple of 8"),
        ({**SPECS, "other": SPECS["image"]}, {}, r"from one image to one; found image, other"),
        ({"particles": TensorSpec((None, 2), UNSCALED)}, {}, "asked for images with 3 axes"),
    ],
    ids=["up-sampling", "size", "two", "particles"],
)
def test_what_cannot_be_built_is_refused(specs, options, message):
    with pytest.raises(InputError, match=message):
        unet(specs, 2, **options)
