"""One battery for every layer and network: what is in the registry and not in the table fails."""

import inspect

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
from hepnn.scaling import fixed_scaling
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

CASES = {
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


BATCHES = dict(proof_batches(SPECS, seed=7))


@pytest.fixture(scope="module")
def inputs(jets):
    """The first jet is empty, the second has one particle."""
    cloud = ParticleCloud({"particles": Collection(FEATURES)}, JET)
    return cloud.tensors(jets[:16]).pad(length=40)


@pytest.fixture(scope="module", params=CASES)
def model(request):
    name, options = CASES[request.param]
    keras.utils.set_random_seed(1)
    return build_model(name, SPECS, n_classes=3, options=options)


@pytest.fixture(scope="module")
def onnx_model(model):
    return translate(model)


@pytest.fixture(scope="module")
def session(onnx_model):
    return Session(onnx_model.SerializeToString())


def probabilities(model, inputs):
    return keras.ops.convert_to_numpy(model(inputs))


def test_every_network_is_in_the_table():
    assert {name for name, _ in CASES.values()} == set(MODELS)


def test_every_layer_is_in_a_network_of_the_table():
    ours = {name for name in layers.__all__ if inspect.isclass(getattr(layers, name))}
    used = set()
    for name, options in CASES.values():
        used |= {type(layer).__name__ for layer in build_model(name, SPECS, n_classes=2, options=options).layers}
    assert ours <= used


def test_output_is_a_probability_for_each_class(model, inputs):
    output = probabilities(model, inputs)
    assert output.shape == (16, 3)
    np.testing.assert_allclose(output.sum(axis=1), 1, rtol=1e-5)


def test_jets_differ_in_their_scores(model, inputs):
    assert np.ptp(probabilities(model, inputs), axis=0).max() > 1e-3


def test_empty_and_one_particle_jets_are_finite(model, inputs):
    assert not inputs["particles_mask"][0].any()
    assert inputs["particles_mask"][1].sum() == 1
    assert np.isfinite(probabilities(model, inputs)[:2]).all()


@pytest.mark.parametrize("junk", [1e6, np.nan, -np.inf], ids=["large", "nan", "inf"])
def test_values_in_padded_slots_change_nothing(model, inputs, junk):
    spoiled = np.where(inputs["particles_mask"][..., None], inputs["particles"], np.float32(junk))
    np.testing.assert_allclose(
        probabilities(model, {**inputs, "particles": spoiled}), probabilities(model, inputs), atol=1e-6
    )


def test_more_padding_changes_nothing(model, inputs):
    longer = {
        **inputs,
        "particles": np.pad(inputs["particles"], ((0, 0), (0, 23), (0, 0))),
        "particles_mask": np.pad(inputs["particles_mask"], ((0, 0), (0, 23))),
    }
    np.testing.assert_allclose(probabilities(model, longer), probabilities(model, inputs), atol=1e-6)


@pytest.mark.parametrize("what", BATCHES)
def test_onnx_gives_what_keras_gives(model, session, what):
    expected = probabilities(model, BATCHES[what])
    assert np.ptp(expected) > 1e-3
    np.testing.assert_allclose(session.run(BATCHES[what]), expected, rtol=0, atol=TOLERANCE)


def test_onnx_gives_what_keras_gives_on_jets(model, session, inputs):
    np.testing.assert_allclose(session.run(inputs), probabilities(model, inputs), rtol=0, atol=TOLERANCE)


def test_onnx_is_given_the_same_inputs_by_the_same_names(session):
    n_features, n_jet = len(FEATURES), len(JET)
    assert session.inputs == {"particles": (None, n_features), "particles_mask": (None,), "jet": (n_jet,)}


def test_onnx_has_its_own_recurrent_operators_and_no_loop(model, onnx_model):
    operators = [node.op_type for node in onnx_model.graph.node]
    assert not {"Loop", "Scan", "If"} & set(operators)
    n_recurrent = sum(type(layer).__name__ in ("GRU", "LSTM", "Bidirectional") for layer in model.layers)
    assert sum(name in ("GRU", "LSTM") for name in operators) == n_recurrent


@pytest.mark.parametrize("junk", [1e6, np.nan, -np.inf], ids=["large", "nan", "inf"])
def test_values_in_padded_slots_change_nothing_in_onnx(session, inputs, junk):
    spoiled = np.where(inputs["particles_mask"][..., None], inputs["particles"], np.float32(junk))
    np.testing.assert_allclose(session.run({**inputs, "particles": spoiled}), session.run(inputs), atol=1e-6)


def test_more_padding_changes_nothing_in_onnx(session, inputs):
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


def test_recurrent_networks_see_the_order(inputs):
    model = build_model("gru", SPECS, n_classes=2, options={**RECURRENT, "skip": ()})
    reversed_rows = inputs["particles"].copy()
    for row, length in enumerate(inputs["particles_mask"].sum(axis=1)):
        reversed_rows[row, :length] = inputs["particles"][row, :length][::-1]
    before, after = probabilities(model, inputs), probabilities(model, {**inputs, "particles": reversed_rows})
    assert np.abs(before - after)[2:].max() > 1e-4


def test_deep_sets_do_not_see_the_order(inputs):
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


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("gruu", {}, r"asked for the model 'gruu'; closest: 'gru'"),
        ("gru", {"unit": (3,)}, r"asked for the option 'unit' of the model 'gru'; closest: 'units'"),
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


def test_a_model_of_ones_own_goes_by_module_and_function():
    model = build_model("hepnn.models.deepsets:deepsets", SPECS, n_classes=2, options=SMALL)
    assert model.name == "deepsets"
