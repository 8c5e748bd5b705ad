"""Taggers of images: the same tagger, reader and writer as for particles, from a ROOT file to a file of scores."""

import numpy as np
import pytest
import uproot

from hepnn import Tagger, generate_showers, read_jets, tag
from hepnn.calo_images import CaloImage
from hepnn.errors import InputError
from hepnn.images import JetImage

SMALL = {"filters": (3,), "head_units": (4,)}
PIXELS = {"size": (7, 7), "n_layers": 3, "time_edges": (-5.0, 0.0, 5.0)}
CASES = {
    "cnn2d": CaloImage("layers", **PIXELS),
    "cnn2d-channels-first": CaloImage("layers", **PIXELS, data_format="channels_first"),
    "cnn3d": CaloImage("volume", **PIXELS),
    "convlstm": CaloImage("time", **PIXELS),
    "convlstm-channels-first": CaloImage("time", **PIXELS, data_format="channels_first"),
}


@pytest.fixture(scope="module")
def showers(tmp_path_factory):
    """A ROOT file of electrons and pions."""
    folder = tmp_path_factory.mktemp("showers")
    return generate_showers(folder / "showers.root", 120, seed=1, classes=["electron", "pion"])


@pytest.mark.filterwarnings("ignore:this tagger is scored by Keras")  # ConvLSTM has no translation to ONNX
@pytest.mark.parametrize("case", CASES)
def test_a_network_for_showers_goes_from_a_root_file_to_a_file_of_scores(showers, case, tmp_path):
    jets = read_jets(showers)
    network = case.removesuffix("-channels-first")
    tagger = Tagger(network, representation=CASES[case], model_options=SMALL, augment=(), epochs=1).fit(jets)
    again = Tagger.load(tagger.save(tmp_path / "tagger"))
    assert again.representation_ == CASES[case]
    np.testing.assert_allclose(again.predict_proba(jets), tagger.predict_proba(jets), atol=1e-6)
    (done,) = tag(showers, again, tmp_path / "scores.root")
    with uproot.open(done.path) as file:
        scores = file["hepnn"].arrays()
    np.testing.assert_allclose(scores.hepnn_pion, tagger.predict_proba(jets)[:, 1], atol=1e-6)


def test_jets_as_images_are_tagged_and_augmented(jets):
    image = JetImage(size=9, channels=("pt", "count"))
    settings = {"model_options": {"filters": (6,), "head_units": (8,)}, "batch_size": 32, "learning_rate": 5e-3}
    tagger = Tagger("cnn2d", representation=image, epochs=5, augment=("flip", "shift"), **settings).fit(jets)
    assert tagger.score(jets) > 0.65
    assert set(tagger.n_truncated_) == {"image"}
    assert tagger.training_.padding == 0


def test_fitted_scaling_makes_the_pixels_of_order_one(jets):
    image = JetImage(size=9, channels=("pt", "count"))
    images = image.tensors(jets)
    spec = image.specs(images, scaling="fitted")["image"]
    scaled = spec.scaling(images.pad()["image"])
    for channel in range(2):
        pixels = scaled[..., channel]
        assert np.sqrt((pixels[pixels != 0] ** 2).mean()) == pytest.approx(1, rel=1e-4)
    assert image.specs(images, scaling="fixed")["image"].scaling.scale == (1.0, 1.0)
    with pytest.raises(InputError, match="asked for the scaling 'log'; known: fixed, fitted"):
        image.specs(images, scaling="log")


def test_an_unknown_augmentation_of_images_is_refused(jets):
    with pytest.raises(InputError, match="asked for the augmentation 'drop_soft' of images; known: "):
        Tagger("cnn2d", representation=JetImage(size=9), augment=("drop_soft",), epochs=1).fit(jets)
