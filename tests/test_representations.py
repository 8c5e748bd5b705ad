"""Representations by name: which one a network takes, its options, its augmentation, and what it leaves out."""

import json

import numpy as np
import pytest
from sklearn.base import clone

from hepnn import Tagger, generate_showers, read_jets
from hepnn.calo_images import CaloImage
from hepnn.clouds import ParticleCloud
from hepnn.errors import InputError
from hepnn.images import JetImage
from hepnn.models import MODELS
from hepnn.representations import LAYOUTS, representation_for
from tests.conftest import make_jets

MODELS_OF = {
    "gru": ("jets", ParticleCloud),
    "deepsets": ("showers", ParticleCloud),
    "cnn2d": ("jets", JetImage()),
    "resnet2d": ("jets", JetImage()),
    "cnn2d-showers": ("showers", CaloImage("layers")),
    "cnn3d": ("showers", CaloImage("volume")),
    "convlstm": ("showers", CaloImage("time")),
}


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    showers = generate_showers(tmp_path_factory.mktemp("showers") / "showers.root", 20, seed=1)
    return {"jets": make_jets(20), "showers": read_jets(showers)}


def chosen(jets, *, start=None, **settings):
    return representation_for(jets, Tagger(**settings).get_params(deep=False), start=start)


@pytest.mark.parametrize("case", MODELS_OF)
def test_a_network_is_given_what_it_takes(records, case):
    which, expected = MODELS_OF[case]
    found = chosen(records[which], model=case.removesuffix("-showers"))
    assert found == expected or isinstance(found, expected if isinstance(expected, type) else ())


def test_networks_of_images_are_networks_of_ours():
    assert LAYOUTS.keys() < MODELS.keys()


def test_a_function_of_ones_own_is_given_a_cloud_unless_told_otherwise(records):
    def mine(inputs, n_classes):
        raise NotImplementedError

    assert isinstance(chosen(records["jets"], model=mine), ParticleCloud)
    assert chosen(records["jets"], model=mine, representation="jet-image") == JetImage()


def test_options_of_an_image_are_those_of_its_class(records):
    options = {"size": 9, "channels": ["pt", "count"], "rotate": None}
    assert chosen(records["jets"], model="cnn2d", representation_options=options) == JetImage(
        size=9, channels=("pt", "count")
    )
    found = chosen(records["showers"], model="cnn3d", representation_options={"size": [7, 9], "n_layers": 3})
    assert found == CaloImage("volume", size=(7, 9), n_layers=3)
    assert json.dumps(JetImage(size=np.int64(9)).to_dict()) == json.dumps(JetImage(size=9).to_dict())
    assert json.dumps(CaloImage(size=np.array([7, 9]), n_layers=np.int64(3)).to_dict())


@pytest.mark.parametrize(
    ("which", "settings", "message"),
    [
        ("jets", {"model": "cnn3d"}, r"'cnn3d', which takes the cells of calorimeter showers; .* there are cnn2d, resnet2d"),
        ("jets", {"representation": "images"}, r"the representation 'images'; closest: 'jet-image'"),
        ("jets", {"model": "cnn2d", "representation_options": {"sise": 9}}, r"jet-image with the option 'sise'; closest: 'size'"),
        ("jets", {"model": "cnn2d", "representation_options": {"width": "a"}}, r"width='a'; .* which is that of width=0.8"),
        ("jets", {"model": "cnn2d", "representation_options": {"size": 9.5}}, r"images of 9.5 pixels"),
        ("showers", {"model": "cnn3d", "representation_options": {"size": 9}}, r"size=9; .* which is that of size=\(21, 21\)"),
        ("showers", {"model": "cnn3d", "representation_options": {"n_layers": 2.5}}, r"2.5 layers; give whole numbers"),
        ("jets", {"representation_options": {"size": 9}}, r"a cloud with the options size; .*: features, jet_features"),
        (
            "jets",
            {"representation": JetImage(), "representation_options": {"size": 9}},
            r"with the options size; one that is made already takes none",
        ),
    ],
)  # fmt: skip
def test_what_makes_no_image_is_refused(records, which, settings, message):
    with pytest.raises(InputError, match=message):
        chosen(records[which], **settings)


def test_what_is_left_open_is_as_in_the_tagger_it_starts_from(records):
    there = JetImage(size=9, channels=("pt", "count"), normalize="sum")
    found = chosen(records["jets"], model="cnn2d", representation_options={"size": 17}, start=there)
    assert found == JetImage(size=17, channels=("pt", "count"), normalize="sum")
    cloud = chosen(records["jets"], features=["log_pt", "delta_r"], max_particles=5)
    again = chosen(records["jets"], max_particles=7, start=cloud)
    assert [feature.name for feature in again.collections["particles"].features] == ["log_pt", "delta_r"]
    assert again.collections["particles"].max_particles == 7


def test_scikit_learn_copies_the_settings():
    tagger = Tagger("cnn2d", representation="jet-image", representation_options={"size": 9}, start_from="tagger")
    again = clone(tagger)
    assert again.get_params() == tagger.get_params()
    assert again.set_params(representation_options={"size": 5}).representation_options == {"size": 5}
    assert tagger.representation_options == {"size": 9}


@pytest.mark.parametrize(
    ("representation", "names"),
    [
        (JetImage(), ("flip",)),
        (JetImage(rotate="principal_axis"), ("flip",)),
        (JetImage(rotate="principal_axis", flip="upper_right"), ()),
        (CaloImage(), ("flip",)),
        (ParticleCloud({}), ("rotate",)),
    ],
    ids=["image", "rotated", "rotated-and-flipped", "showers", "cloud"],
)
def test_augmentation_leaves_an_alignment_as_it_is(representation, names):
    assert representation.default_augmentations == names


@pytest.mark.parametrize(("augment", "names"), [("auto", ("flip",)), (("shift",), ("shift",)), ((), None)])
def test_a_tagger_augments_as_its_representation_suggests_unless_told_otherwise(augment, names, monkeypatch):
    asked = []
    original = JetImage.augmenter
    monkeypatch.setattr(JetImage, "augmenter", lambda image, names: asked.append(names) or original(image, names))
    options = {"filters": (2,), "head_units": ()}
    Tagger("cnn2d", representation=JetImage(size=5), model_options=options, augment=augment, epochs=1).fit(
        make_jets(60)
    )
    assert asked == ([] if names is None else [names])


def test_augmentations_are_a_list():
    with pytest.raises(
        InputError, match=r"asked for augment='flip'; give a list of names, such as \['flip'\], or 'auto'"
    ):
        Tagger(augment="flip").fit(make_jets(10))


def test_an_image_says_what_share_lies_outside():
    jets = make_jets(30)[2:]
    wide, narrow = JetImage(width=2.0), JetImage(width=0.1)
    assert wide.left_out(wide.tensors(jets)) == ""
    images = narrow.tensors(jets)
    plane = np.abs(jets.particles.eta - jets.eta), np.abs((jets.particles.phi - jets.phi + np.pi) % (2 * np.pi) - np.pi)
    outside = (plane[0] >= 0.05) | (plane[1] >= 0.05)
    shares = [sum(jet.particles.pt[out]) / sum(jet.particles.pt) for jet, out in zip(jets, outside, strict=True)]
    np.testing.assert_allclose(images.share_outside, shares, atol=1e-6)
    assert narrow.left_out(images) == f"{100 * np.mean(shares):.2g} % of the pT lies outside of the images, on average"
    rows = np.array([3, 1])
    np.testing.assert_array_equal(images[rows].share_outside, images.share_outside[rows])


def test_images_of_showers_count_the_energy_beyond_their_layers(records):
    showers = records["showers"]
    image = CaloImage(n_layers=2, size=(101, 101), width=(3.0, 3.0))
    energy = np.maximum(showers.cells.energy, 0)
    shares = [sum(cells[layer >= 2]) / sum(cells) for cells, layer in zip(energy, showers.cells.layer, strict=True)]
    np.testing.assert_allclose(image.tensors(showers).share_outside, shares, atol=1e-6)
    assert image.left_out(image.tensors(showers)).endswith("of the energy lies outside of the images, on average")


def test_a_cloud_says_how_many_jets_were_cut():
    jets = make_jets(30)
    cloud = chosen(jets, features=["log_pt"], max_particles=10)
    clouds = cloud.tensors(jets)
    assert cloud.left_out(clouds) == f"{clouds.n_truncated['particles']} jets were cut to 10 particles"
    assert chosen(jets, features=["log_pt"]).left_out(chosen(jets, features=["log_pt"]).tensors(jets)) == ""
