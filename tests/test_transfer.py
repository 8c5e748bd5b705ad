"""Transfer: layers before the head are taken over, the head is not; a tagger starts from another one."""

import json
import shutil

import keras
import numpy as np
import pytest

from hepnn import Tagger
from hepnn.errors import InputError, TaggerError
from hepnn.images import JetImage
from hepnn.models import build_model
from hepnn.models.deepsets import deepsets
from hepnn.scaling import Scaling
from hepnn.storage import checksum
from hepnn.tensors import TensorSpec
from hepnn.transfer import take_over
from tests.conftest import make_jets

SCALING = Scaling((0.0,), (1.0,), (-9.0,), (9.0,))
OPTIONS = {"filters": (3, 4), "head_units": (5,)}


def network(size, n_classes=2, **options):
    return build_model(
        "cnn2d", {"image": TensorSpec((size, size, 1), SCALING)}, n_classes=n_classes, options=OPTIONS | options
    )


def weights_of(model):
    return {variable.path: np.asarray(variable) for variable in model.weights}


@pytest.mark.parametrize(("size", "n_classes"), [(8, 2), (16, 3)], ids=["same", "larger-images-and-more-classes"])
def test_features_are_taken_over_and_the_head_is_new(size, n_classes):
    source, model = network(8), network(size, n_classes)
    before = weights_of(model)
    assert take_over(model, weights_of(source)) == ["image_conv_0", "image_conv_1"]
    for path, array in weights_of(model).items():
        expected = weights_of(source)[path] if "conv" in path else before[path]
        np.testing.assert_array_equal(array, expected)
    assert len(model.trainable_weights) == len(model.weights)


def test_frozen_features_do_not_learn():
    source, model = network(8), network(8)
    take_over(model, weights_of(source), freeze="features")
    assert {variable.path.split("/")[0] for variable in model.trainable_weights} == {"head_0", "probabilities"}
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit({"image": np.ones((8, 8, 8, 1))}, np.arange(8) % 2, verbose=0)
    for path, array in weights_of(model).items():
        assert np.array_equal(array, weights_of(source)[path]) == ("conv" in path)


def test_a_network_that_has_nothing_in_common_is_refused():
    with pytest.raises(
        TaggerError, match=r"no layer before the head is the same: this network begins with image_conv_0"
    ):
        take_over(network(8), weights_of(network(8, filters=(7,))))


def test_only_features_can_be_frozen():
    with pytest.raises(InputError, match="asked to freeze 'head'; known: features"):
        take_over(network(8), weights_of(network(8)), freeze="head")


QUICK = {"epochs": 1, "batch_size": 64, "n_buckets": 2, "seed": 1}
CHANNELS = ("pt", "count")
IMAGES = {**QUICK, "representation": JetImage(size=9, channels=CHANNELS)}
NETWORKS = {
    "cnn2d": {**IMAGES, "model_options": {"filters": (3, 4), "head_units": (5,)}},
    "resnet2d": {**IMAGES, "model_options": {"filters": (3, 4), "blocks": 1}},
    "gru": {**QUICK, "model_options": {"encoder": (5,), "units": (4,), "head_units": (5,)}, "features": ["kinematics"]},
    "deepsets": {**QUICK, "model_options": {"encoder": (5,), "head_units": (5,)}, "features": ["log_pt", "delta_r"]},
}


def log_kt(particles, jet):
    return np.log(particles.pt)


@pytest.fixture(scope="module")
def folders(jets, tmp_path_factory):
    """A tagger of each network, saved."""
    place = tmp_path_factory.mktemp("taggers")
    return {name: Tagger(name, **NETWORKS[name]).fit(jets).save(place / name) for name in NETWORKS}


@pytest.fixture(scope="module")
def other_jets():
    """Jets with twice the pT, and other classes."""
    jets = make_jets(240, seed=5)
    for name in ("pt", "energy"):
        jets["particles", name] = 2 * jets.particles[name]
    names = np.where(jets.label.to_numpy() == "quark", "light", "heavy")
    names[::3] = "top"
    jets["label"] = names
    return jets


def before_the_head(weights):
    return {path: array for path, array in weights.items() if not path.startswith(("head_", "probabilities"))}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_tagger_with_frozen_features_has_those_of_the_other_one_and_learns_new_classes(folders, other_jets, name):
    there = Tagger.load(folders[name])
    tagger = Tagger(name, start_from=folders[name], freeze="features", **QUICK).fit(other_jets)
    assert tagger.classes_.tolist() == ["heavy", "light", "top"]
    kept = before_the_head(tagger.weights_)
    assert kept.keys() == before_the_head(there.weights_).keys()
    for path, array in kept.items():
        np.testing.assert_array_equal(array, there.weights_[path])
    assert tagger.model_options_ == there.model_options
    assert tagger.representation_.contents() == there.representation_.contents()


def test_features_that_are_not_frozen_learn(folders, other_jets):
    there = Tagger.load(folders["cnn2d"])
    tagger = Tagger("cnn2d", start_from=folders["cnn2d"], **QUICK).fit(other_jets)
    assert not any(
        np.array_equal(array, there.weights_[path])
        for path, array in before_the_head(tagger.weights_).items()
        if path.endswith("kernel")
    )


@pytest.mark.parametrize(("name", "last"), [("cnn2d", "image_flat"), ("deepsets", "particles_sum_scale")])
def test_frozen_features_see_the_inputs_as_they_did_when_they_were_learned(folders, other_jets, name, last):
    there = Tagger.load(folders[name])
    tagger = Tagger(name, start_from=folders[name], freeze="features", **QUICK).fit(other_jets)
    alone = Tagger(name, **NETWORKS[name]).fit(other_jets)
    assert tagger.inputs_ == there.inputs_ != alone.inputs_  # jets of twice the pT are not scaled to look the same
    seen = [
        keras.Model(each.model_.inputs, each.model_.get_layer(last).output).predict(
            each.tensors(other_jets).pad(), verbose=0
        )
        for each in (there, tagger)
    ]
    np.testing.assert_allclose(seen[1], seen[0], rtol=1e-5, atol=1e-6)


def test_larger_images_get_a_new_head_on_the_same_features(folders, other_jets, tmp_path):
    size = {"representation_options": {"size": 17}}
    tagger = Tagger("cnn2d", start_from=folders["cnn2d"], freeze="features", **size, **QUICK).fit(other_jets)
    assert tagger.representation_ == JetImage(size=17, channels=CHANNELS)
    there = Tagger.load(folders["cnn2d"])
    assert tagger.weights_["head_0/kernel"].shape[0] > there.weights_["head_0/kernel"].shape[0]
    np.testing.assert_array_equal(tagger.weights_["image_conv_1/kernel"], there.weights_["image_conv_1/kernel"])
    assert tagger.inputs_["image"].scaling == there.inputs_["image"].scaling
    again = Tagger.load(tagger.save(tmp_path / "larger"))
    np.testing.assert_allclose(again.predict_proba(other_jets), tagger.predict_proba(other_jets), atol=1e-6)


def test_what_was_saved_says_where_it_came_from_and_does_without_it(folders, jets, tmp_path):
    first = shutil.copytree(folders["deepsets"], tmp_path / "first")
    tagger = Tagger("deepsets", start_from=first, freeze="features", **QUICK).fit(jets)
    tagger.save(tmp_path / "second")
    expected = checksum(Tagger.load(first).weights_)
    shutil.rmtree(first)
    again = Tagger.load(tmp_path / "second")
    assert again.origin_ == tagger.origin_ == (str(first), expected, ("particles_encoder_0",))
    assert (again.start_from, again.freeze) == (str(first), "features")
    np.testing.assert_allclose(again.predict_proba(jets), tagger.predict_proba(jets), atol=1e-6)
    description = json.loads((tmp_path / "second" / "tagger.json").read_text())
    assert description["origin"]["checksum"] == expected
    assert json.loads((folders["gru"] / "tagger.json").read_text())["origin"] is None


def test_features_of_ones_own_are_found_in_the_tagger_to_start_from(jets, tmp_path):
    settings = {**NETWORKS["deepsets"], "features": ["delta_r", log_kt]}
    folder = Tagger("deepsets", **settings).fit(jets).save(tmp_path / "tagger")
    tagger = Tagger("deepsets", start_from=folder, **settings).fit(jets)
    assert tagger.origin_.layers == ("particles_encoder_0",)
    with pytest.raises(TaggerError, match="'log_kt', which is not hepnn's"):
        Tagger("deepsets", start_from=folder, **QUICK).fit(jets)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("gru", {"model": "lstm"}, r"asked to start a lstm from a tagger that is a gru. Choose the model 'gru'"),
        (
            "gru",
            {"model_options": {"units": (6,)}},
            r"its layer 'particles_gru_0' has .*It is a gru with the options .*'units': \[4\]",
        ),
        ("deepsets", {"features": ["log_pt", "delta_eta"]}, r"'particles' with the features \('log_pt', 'delta_r'\); found"),
        ("deepsets", {"order_by": "energy"}, r"with the order falling pt; found falling energy"),
        ("cnn2d", {"representation_options": {"channels": ("pt", "energy")}}, r"'image' with the features .*'count'\)"),
        ("cnn2d", {"representation_options": {"normalize": "sum"}}, r"with the units \('GeV', '1'\); found \('1', '1'\)"),
        ("cnn2d", {"freeze": "head"}, r"asked to freeze 'head'; known: features"),
        ("cnn2d", {"start_from": "nowhere"}, r"asked for the tagger in nowhere"),
    ],
)  # fmt: skip
def test_a_tagger_that_cannot_start_from_the_other_one_says_why(folders, jets, name, settings, message):
    with pytest.raises((TaggerError, InputError), match=message):
        Tagger(**{"model": name, "start_from": folders[name], **QUICK, **settings}).fit(jets)


def mine(inputs, n_classes, *, width=4):
    return deepsets(inputs, n_classes, encoder=(width,), head_units=())


@pytest.mark.parametrize("name", [mine, f"{__name__}:mine"], ids=["function", "path"])
def test_a_network_of_ones_own_starts_from_itself(jets, tmp_path, name):
    settings = {**QUICK, "features": ["log_pt"]}
    folder = Tagger(name, model_options={"width": 3}, **settings).fit(jets).save(tmp_path / "tagger")
    tagger = Tagger(name, start_from=folder, freeze="features", **settings).fit(jets)
    assert tagger.model_options_ == {"width": 3}
    assert tagger.origin_.layers == ("particles_encoder_0",)


def test_freezing_needs_a_tagger_to_start_from(jets):
    with pytest.raises(InputError, match="asked for freeze='features' without start_from"):
        Tagger(freeze="features").fit(jets)
