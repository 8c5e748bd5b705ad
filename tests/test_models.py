"""One battery for every layer and network: what is in the registry and not in the table fails."""

import inspect
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest

from hepnn import layers
from hepnn.clouds import Collection, ParticleCloud
from hepnn.errors import InputError
from hepnn.features import JET_FEATURES, resolve_features
from hepnn.models import MODELS, build_model
from hepnn.onnx_export import TOLERANCE, proof_batches
from hepnn.runtime import Session
from hepnn.scaling import Scaling, fixed_scaling
from hepnn.tensors import TensorSpec
from hepnn.translation import translate

FEATURES = resolve_features(("kinematics", "type"))
JET = resolve_features(["girth", "n_particles"], JET_FEATURES)
SPECS = {
    "particles": TensorSpec((None, len(FEATURES)), fixed_scaling(FEATURES)),
    "jet": TensorSpec((len(JET),), fixed_scaling(JET)),
}
SMALL = {"encoder": (8,), "head_units": (8,)}
RECURRENT = {**SMALL, "units": (6,)}

CLOUDS = {
    "gru": ("gru", RECURRENT),
    "gru-stacked": ("gru", {**RECURRENT, "units": (6, 5)}),
    "gru-both-ways": ("gru", {**RECURRENT, "bidirectional": True, "readout": ("last", "mean")}),
    "gru-attention": ("gru", {**RECURRENT, "readout": ("attention",), "skip": ()}),
    "gru-last": ("gru", {**RECURRENT, "readout": ("last",), "skip": (), "dropout": 0.3}),
    "lstm": ("lstm", RECURRENT),
    "lstm-last": ("lstm", {**RECURRENT, "readout": ("last", "sum", "max"), "skip": ("mean",)}),
    "deepsets": ("deepsets", SMALL),
    "deepsets-all": ("deepsets", {**SMALL, "pooling": ("sum", "mean", "max", "attention", "last")}),
}
IMAGES = {
    "cnn2d": ("cnn2d", {"filters": (4, 5), "head_units": (6,)}),
    "cnn2d-pooled": ("cnn2d", {"filters": (4,), "flatten": False, "kernel": 4}),
    "cnn2d-channels-first": ("cnn2d", {"filters": (4,)}),
    "resnet2d": ("resnet2d", {"filters": (4, 6), "blocks": 1}),
    "cnn3d": ("cnn3d", {"filters": (3, 4), "head_units": (5,)}),
    "convlstm": ("convlstm", {"filters": (3,), "head_units": (5,)}),
    "convlstm-stacked": ("convlstm", {"filters": (3, 2)}),
}
CASES = {**CLOUDS, **IMAGES}

UNSCALED = Scaling((0.0, 0.0), (1.0, 1.0), (-100.0, -100.0), (100.0, 100.0))
"""Of two channels."""


def specs_of(case):
    """The description of the tensors that a case takes."""
    if case in CLOUDS:
        return SPECS
    if case == "cnn2d-channels-first":
        return {"image": TensorSpec((2, 9, 8), UNSCALED, channel_axis=0)}
    return {"image": TensorSpec((9, 8, 2) if "2d" in case else (3, 9, 8, 2), UNSCALED)}


def inputs_of(case, jets):
    """Of particles, the first jet is empty and the second has one; the first image is empty."""
    if case in CLOUDS:
        return ParticleCloud({"particles": Collection(FEATURES)}, JET).tensors(jets[:16]).pad(length=40)
    images = np.random.default_rng(4).exponential(1, (16, *specs_of(case)["image"].shape)).astype(np.float32)
    images[0] = 0
    return {"image": images}


@pytest.fixture(scope="module", params=CASES)
def case(request):
    return request.param


@pytest.fixture(scope="module")
def inputs(case, jets):
    return inputs_of(case, jets)


def model_of(case):
    name, options = CASES[case]
    keras.utils.set_random_seed(1)
    return build_model(name, specs_of(case), n_classes=3, options=options)


@pytest.fixture(scope="module")
def model(case):
    return model_of(case)


@pytest.fixture(scope="module", params=CLOUDS)
def padded(request, jets):
    """Model and inputs of those cases that have padding: an image has none."""
    return model_of(request.param), inputs_of(request.param, jets)


@pytest.fixture(scope="module")
def cloud(jets):
    return inputs_of("gru", jets)


class Translated(NamedTuple):
    case: str
    model: Any
    onnx_model: Any
    session: Any


@pytest.fixture(scope="module", params=[case for case in CASES if not case.startswith("convlstm")])
def translated(request):
    """A network, the same as ONNX, and the session that scores it."""
    model = model_of(request.param)
    onnx_model = translate(model)
    return Translated(request.param, model, onnx_model, Session(onnx_model.SerializeToString()))


def probabilities(model, inputs):
    return keras.ops.convert_to_numpy(model(inputs))


def test_every_network_is_in_the_table():
    assert {name for name, _ in CASES.values()} == set(MODELS)


def test_every_layer_is_in_a_network_of_the_table():
    ours = {name for name in layers.__all__ if inspect.isclass(getattr(layers, name))}
    used = set()
    for case, (name, options) in CASES.items():
        built = build_model(name, specs_of(case), n_classes=2, options=options)
        used |= {type(layer).__name__ for layer in built.layers}
    assert ours <= used


def test_output_is_a_probability_for_each_class(model, inputs):
    output = probabilities(model, inputs)
    assert output.shape == (16, 3)
    np.testing.assert_allclose(output.sum(axis=1), 1, rtol=1e-5)


def test_jets_differ_in_their_scores(model, inputs):
    assert np.ptp(probabilities(model, inputs), axis=0).max() > 1e-3


def test_empty_and_one_particle_jets_are_finite(case, model, inputs):
    if case in CLOUDS:
        assert not inputs["particles_mask"][0].any()
        assert inputs["particles_mask"][1].sum() == 1
    assert np.isfinite(probabilities(model, inputs)[:2]).all()


@pytest.mark.parametrize("junk", [1e6, np.nan, -np.inf], ids=["large", "nan", "inf"])
def test_values_in_padded_slots_change_nothing(padded, junk):
    model, inputs = padded
    spoiled = np.where(inputs["particles_mask"][..., None], inputs["particles"], np.float32(junk))
    np.testing.assert_allclose(
        probabilities(model, {**inputs, "particles": spoiled}), probabilities(model, inputs), atol=1e-6
    )


def test_more_padding_changes_nothing(padded):
    model, inputs = padded
    longer = {
        **inputs,
        "particles": np.pad(inputs["particles"], ((0, 0), (0, 23), (0, 0))),
        "particles_mask": np.pad(inputs["particles_mask"], ((0, 0), (0, 23))),
    }
    np.testing.assert_allclose(probabilities(model, longer), probabilities(model, inputs), atol=1e-6)


@pytest.mark.parametrize("what", [what for what, _ in proof_batches(SPECS)])
def test_onnx_gives_what_keras_gives(translated, what):
    batch = dict(proof_batches(specs_of(translated.case), seed=7))[what]
    expected = probabilities(translated.model, batch)
    assert np.ptp(expected) > 1e-3
    np.testing.assert_allclose(translated.session.run(batch), expected, rtol=0, atol=TOLERANCE)


def test_onnx_gives_what_keras_gives_on_jets(translated, jets):
    inputs = inputs_of(translated.case, jets)
    expected = probabilities(translated.model, inputs)
    np.testing.assert_allclose(translated.session.run(inputs), expected, rtol=0, atol=TOLERANCE)


def test_onnx_is_given_the_same_inputs_by_the_same_names(translated):
    wanted = {"image": specs_of(translated.case).get("image", TensorSpec((), UNSCALED)).shape}
    if translated.case in CLOUDS:
        wanted = {"particles": (None, len(FEATURES)), "particles_mask": (None,), "jet": (len(JET),)}
    assert translated.session.inputs == wanted


def test_onnx_has_its_own_recurrent_operators_and_no_loop(translated):
    operators = [node.op_type for node in translated.onnx_model.graph.node]
    assert not {"Loop", "Scan", "If"} & set(operators)
    n_recurrent = sum(type(layer).__name__ in ("GRU", "LSTM", "Bidirectional") for layer in translated.model.layers)
    assert sum(name in ("GRU", "LSTM") for name in operators) == n_recurrent


@pytest.fixture
def translated_cloud(jets):
    """The session of a network with padding, and inputs."""
    return Session(translate(model_of("gru-both-ways")).SerializeToString()), inputs_of("gru", jets)


@pytest.mark.parametrize("junk", [1e6, np.nan, -np.inf], ids=["large", "nan", "inf"])
def test_values_in_padded_slots_change_nothing_in_onnx(translated_cloud, junk):
    session, inputs = translated_cloud
    spoiled = np.where(inputs["particles_mask"][..., None], inputs["particles"], np.float32(junk))
    np.testing.assert_allclose(session.run({**inputs, "particles": spoiled}), session.run(inputs), atol=1e-6)


def test_more_padding_changes_nothing_in_onnx(translated_cloud):
    session, inputs = translated_cloud
    longer = {
        **inputs,
        "particles": np.pad(inputs["particles"], ((0, 0), (0, 23), (0, 0))),
        "particles_mask": np.pad(inputs["particles_mask"], ((0, 0), (0, 23))),
    }
    np.testing.assert_allclose(session.run(longer), session.run(inputs), atol=1e-6)


def test_config_and_weights_make_the_same_model_again(model, inputs):
    again = keras.Model.from_config(model.get_config())
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(probabilities(again, inputs), probabilities(model, inputs))


def test_a_keras_file_gives_the_same_model_again(model, inputs, tmp_path):
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(probabilities(again, inputs), probabilities(model, inputs), atol=1e-6)


def test_every_weight_has_a_name_of_its_own(model):
    paths = [variable.path for variable in model.weights]
    assert len(paths) == len(set(paths))


@pytest.mark.parametrize("name", ["gru", "lstm", "deepsets"])
def test_a_particle_whose_features_are_all_zero_still_counts(name):
    model = build_model(name, SPECS, n_classes=2)
    at_center = np.array(SPECS["particles"].scaling.center, np.float32)
    values = np.broadcast_to(at_center, (1, 4, len(at_center)))
    masks = [np.array([[True, True, False, False]]), np.array([[True, True, True, True]])]
    jet = np.zeros((1, len(JET)), np.float32)
    for layer in model.layers:  # the sum over particles tells two from four if their encoding is not all zero
        if layer.name == "particles_encoder_0":
            layer.bias.assign(np.linspace(-1, 1, layer.filters))
    two, four = (probabilities(model, {"particles": values, "particles_mask": mask, "jet": jet}) for mask in masks)
    assert np.abs(two - four).max() > 1e-4


def test_recurrent_networks_see_the_order(cloud):
    inputs = cloud
    model = build_model("gru", SPECS, n_classes=2, options={**RECURRENT, "skip": ()})
    reversed_rows = inputs["particles"].copy()
    for row, length in enumerate(inputs["particles_mask"].sum(axis=1)):
        reversed_rows[row, :length] = inputs["particles"][row, :length][::-1]
    before, after = probabilities(model, inputs), probabilities(model, {**inputs, "particles": reversed_rows})
    assert np.abs(before - after)[2:].max() > 1e-4


def test_deep_sets_do_not_see_the_order(cloud):
    inputs = cloud
    model = build_model("deepsets", SPECS, n_classes=2, options=SMALL)
    backwards = {
        **inputs,
        "particles": inputs["particles"][:, ::-1],
        "particles_mask": inputs["particles_mask"][:, ::-1],
    }
    np.testing.assert_allclose(probabilities(model, backwards), probabilities(model, inputs), atol=1e-5)


def test_each_collection_can_have_its_own_encoder(jets):
    specs = {
        **SPECS,
        "tracks": TensorSpec((None, 3), fixed_scaling(resolve_features(["log_pt", "delta_r", "charge"]))),
    }
    model = build_model(
        "gru", specs, n_classes=2, options={"encoder": {"particles": (8, 7), "tracks": (5,)}, "units": (4,)}
    )
    shapes = {v.path: tuple(v.shape) for v in model.weights}
    assert shapes["particles_encoder_1/kernel"] == (1, 8, 7)
    assert shapes["tracks_encoder_0/kernel"] == (1, 3, 5)


def test_a_pointwise_convolution_is_keras_convolution():
    particles = np.random.default_rng(0).normal(size=(3, 5, 4)).astype(np.float32)
    pointwise = layers.PointwiseConv1D(6, activation="relu")
    convolution = keras.layers.Conv1D(6, 1, activation="relu")
    for layer in (convolution, pointwise):
        layer.build(particles.shape)
        layer.set_weights([convolution.kernel, np.arange(6.0)])
    assert pointwise(particles).shape == (3, 5, 6)
    assert pointwise(particles[:, :0]).shape == (3, 0, 6)
    np.testing.assert_allclose(pointwise(particles), convolution(particles), rtol=0, atol=1e-6)
    assert layers.PointwiseConv1D.from_config(pointwise.get_config()).get_config() == pointwise.get_config()


@pytest.mark.parametrize(
    "settings",
    [{"kernel_size": 3}, {"strides": 2}, {"groups": 2}, {"use_bias": False}, {"data_format": "channels_first"}],
)
def test_a_pointwise_convolution_is_nothing_else(settings):
    with pytest.raises(InputError, match="Else take keras"):
        layers.PointwiseConv1D(4, **settings)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("gruu", {}, r"asked for the model 'gruu'; closest: 'gru'"),
        ("gru", {"unit": (3,)}, r"asked for the option 'unit' of the model 'gru'; closest: 'units'"),
        ("gru", {"units": 3}, r"asked for the model 'gru' with units=3; it cannot be built: .*it is units=\("),
        ("gru", {"units": ("many",)}, r"with units=\('many',\); it cannot be built"),
        ("gru", {"readout": ("median",)}, r"asked for the read-out 'median'; known: "),
        ("gru", {"cell": "rnn"}, r"recurrent cell 'rnn'; known: gru, lstm"),
        ("gru", {"encoder": {"tracks": (3,)}}, r"by collection; found tracks but no 'particles'"),
        ("nowhere.to:be_found", {}, r"No module named 'nowhere'"),
        ("hepnn.models.recurrent:rnn", {}, r"has no function 'rnn'"),
    ],
)
def test_wrong_names_are_refused_with_the_known_ones(name, options, message):
    with pytest.raises(InputError, match=message):
        build_model(name, SPECS, n_classes=2, options=options)


def test_images_with_channels_first_give_the_same_as_with_channels_last(jets):
    cases = ("cnn2d-channels-first", "cnn2d")
    first, last = (build_model("cnn2d", specs_of(case), n_classes=2, options={"filters": (4,)}) for case in cases)
    first.set_weights(last.get_weights())
    images = inputs_of("cnn2d", jets)["image"]
    np.testing.assert_allclose(
        probabilities(first, {"image": np.moveaxis(images, -1, 1)}), probabilities(last, {"image": images}), atol=1e-6
    )


def test_a_pooled_network_does_not_see_where_an_image_is(jets):
    model = build_model("cnn2d", specs_of("cnn2d"), n_classes=2, options={"filters": (4,), "flatten": False})
    image = np.zeros((2, 9, 8, 2), np.float32)
    image[0, 2, 2], image[1, 4, 4] = 1, 1  # by a whole number of pooled pixels
    one, other = probabilities(model, {"image": image})
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_residual_block_of_zeros_passes_on_what_it_was_given():
    model = build_model("resnet2d", specs_of("resnet2d"), n_classes=2, options={"filters": (2,), "blocks": 1})
    for step in range(2):
        layer = model.get_layer(f"image_0_0_conv_{step}")
        layer.set_weights([0 * weight for weight in layer.get_weights()])
    between = keras.Model(model.inputs, [model.get_layer("image_stem").output, model.get_layer("image_0_0_sum").output])
    before, after = between(inputs_of("resnet2d", None))
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("name", ["cnn2d", "resnet2d", "cnn3d", "convlstm"])
def test_a_network_for_images_refuses_particles(name):
    with pytest.raises(InputError, match=r"asked for images with \d axes .* 'particles' has the shape \(None, "):
        build_model(name, SPECS, n_classes=2)


def test_a_model_of_ones_own_goes_by_module_and_function():
    model = build_model("hepnn.models.deepsets:deepsets", SPECS, n_classes=2, options=SMALL)
    assert model.name == "deepsets"


def test_a_jet_without_particles_has_a_first_step_and_others_stay_as_they_are():
    mask = np.array([[False, False], [True, False], [True, True]])
    kept = layers.KeepFirstSlot()(mask)
    np.testing.assert_array_equal(kept, [[True, False], [True, False], [True, True]])
