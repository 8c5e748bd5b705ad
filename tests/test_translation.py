"""Every layer that has a translation gives in ONNX what it gives in Keras; what has none is refused by name."""

import keras
import numpy as np
import onnx
import pytest

from hepnn import layers
from hepnn.errors import TaggerError
from hepnn.runtime import Session
from hepnn.translation import OUTPUT, TRANSLATORS, translate
from hepnn.translation.graph import OPSET
from hepnn.translation.pointwise import ACTIVATIONS

L = keras.layers
SEQUENCE, IMAGE, CUBE, FLAT = (9, 4), (9, 8, 3), (6, 5, 7, 2), (5,)


def chain(*parts):
    """A network of layers one after another."""

    def network(values):
        for part in parts:
            values = part(values)
        return values

    return network


def masked(*parts):
    """A network on sequences whose layers take the mask of a second input too."""

    def network(values, mask):
        for part in parts:
            values = part(values, mask=mask)
        return values

    return network


def joined(layer):
    return lambda x: layer([L.Dense(3)(x), L.Dense(3)(x)])


CASES = {
    "dense": (chain(L.Dense(4, "relu"), L.Dense(3, use_bias=False)), FLAT),
    "dense-on-sequence": (chain(L.Dense(4, "tanh"), L.Dense(3, use_bias=False)), SEQUENCE),
    "pointwise": (chain(layers.PointwiseConv1D(4, activation="relu"), layers.PointwiseConv1D(3)), SEQUENCE),
    **{f"activation-{name}": (chain(L.Dense(4), L.Activation(name)), FLAT) for name in ACTIVATIONS},
    "relu": (chain(L.ReLU(max_value=0.5), L.ReLU(negative_slope=0.1), L.ReLU()), FLAT),
    "relu-leaky-to-a-limit": (chain(L.ReLU(max_value=0.5, negative_slope=0.2)), FLAT),
    "leaky-relu": (chain(L.LeakyReLU(negative_slope=0.3)), FLAT),
    "softmax": (chain(L.Softmax(axis=1)), SEQUENCE),
    "rescaling": (chain(L.Rescaling(2.0, offset=-1.0), L.Rescaling(0.5)), FLAT),
    "scaling": (chain(layers.FeatureScaling([0.1] * 5, [2.0] * 5, [-1.0] * 5, [0.5] * 5)), FLAT),
    "in-training-only": (
        chain(L.Dropout(0.5), L.GaussianDropout(0.5), L.GaussianNoise(0.5), L.ActivityRegularization(), L.Identity()),
        FLAT,
    ),
    "spatial-dropout-1": (chain(L.SpatialDropout1D(0.5)), SEQUENCE),
    "spatial-dropout-2": (chain(L.SpatialDropout2D(0.5)), IMAGE),
    "spatial-dropout-3": (chain(L.SpatialDropout3D(0.5)), CUBE),
    "batch-normalization": (chain(L.BatchNormalization()), IMAGE),
    "batch-normalization-first-axis": (chain(L.BatchNormalization(axis=1, scale=False, center=False)), IMAGE),
    "layer-normalization": (chain(L.LayerNormalization(), L.LayerNormalization(scale=False, center=False)), SEQUENCE),
    "add": (joined(L.Add()), FLAT),
    "average": (joined(L.Average()), FLAT),
    "maximum": (joined(L.Maximum()), FLAT),
    "minimum": (joined(L.Minimum()), FLAT),
    "multiply": (joined(L.Multiply()), FLAT),
    "subtract": (joined(L.Subtract()), FLAT),
    "concatenate": (joined(L.Concatenate()), SEQUENCE),
    "concatenate-in-length": (joined(L.Concatenate(axis=1)), SEQUENCE),
    "operations": (lambda x: (x + 1.0) * x - 0.5 * x[:, :1], FLAT),
    "slices": (
        lambda x: x[..., 1:] * x[:, :, :-1] * x[:, 1:2, 1:] * x[:, -1, None][..., 1:] + x[:, ::3][:, 0, None, :3],
        SEQUENCE,
    ),
    "slice-away": (lambda x: L.Concatenate()([x[:, 2], x[:, -2], x[:, 1:3, -1]]), SEQUENCE),
    "conv1d": (chain(L.Conv1D(4, 1, activation="relu"), L.Conv1D(5, 3), L.Conv1D(2, 3, strides=2, padding="same")), SEQUENCE),
    "conv1d-dilated": (
        chain(L.Conv1D(4, 3, dilation_rate=2, padding="same"), L.Conv1D(4, 2, padding="causal", groups=2, use_bias=False)),
        SEQUENCE,
    ),
    "conv2d": (
        chain(L.Conv2D(4, 3, padding="same", activation="relu"), L.Conv2D(5, (3, 2), strides=2), L.Conv2D(2, 1)), IMAGE
    ),
    "conv2d-same-strides": (chain(L.Conv2D(4, 4, strides=(2, 3), padding="same")), IMAGE),
    "conv3d": (chain(L.Conv3D(4, 3, padding="same"), L.Conv3D(3, 2, strides=2)), CUBE),
    "max-pooling-1": (chain(L.MaxPooling1D(2)), SEQUENCE),
    "max-pooling-2": (chain(L.MaxPooling2D((2, 3), padding="same")), IMAGE),
    "max-pooling-3": (chain(L.MaxPooling3D(2, strides=1)), CUBE),
    "average-pooling-1": (chain(L.AveragePooling1D(2, padding="same")), SEQUENCE),
    "average-pooling-2": (chain(L.AveragePooling2D(2, padding="same")), IMAGE),
    "average-pooling-3": (chain(L.AveragePooling3D(2)), CUBE),
    "global-average-1": (chain(L.GlobalAveragePooling1D()), SEQUENCE),
    "global-average-2": (chain(L.GlobalAveragePooling2D(keepdims=True)), IMAGE),
    "global-average-3": (chain(L.GlobalAveragePooling3D()), CUBE),
    "global-max-1": (chain(L.GlobalMaxPooling1D()), SEQUENCE),
    "global-max-2": (chain(L.GlobalMaxPooling2D()), IMAGE),
    "global-max-3": (chain(L.GlobalMaxPooling3D(keepdims=True)), CUBE),
    "channels-first": (
        chain(L.MaxPooling2D(2, data_format="channels_first"), L.GlobalAveragePooling2D(data_format="channels_first")),
        IMAGE,
    ),
    "flatten": (chain(L.Flatten(), L.Dense(3)), IMAGE),
    "flatten-channels-first": (chain(L.Flatten(data_format="channels_first"), L.Dense(3)), IMAGE),
    "reshape": (chain(L.Reshape((-1, 6)), L.Permute((2, 1))), (4, 9)),
    "residual": (lambda x: L.Add()([x, L.Conv2D(3, 3, padding="same")(L.BatchNormalization()(x))]), IMAGE),
    "within": (chain(keras.Sequential([L.Dense(4), L.ReLU()]), L.Dense(2)), FLAT),
    "shared": (lambda x: (lambda layer: layer(layer(x)))(L.Dense(5, "tanh")), FLAT),
    "gru": (chain(L.GRU(4, return_sequences=True), L.GRU(3)), SEQUENCE),
    "gru-reset-before": (chain(L.GRU(4, reset_after=False, use_bias=False), ), SEQUENCE),
    "gru-relu": (chain(L.GRU(4, activation="relu", reset_after=False)), SEQUENCE),
    "lstm": (chain(L.LSTM(4, return_sequences=True, use_bias=False), L.LSTM(3)), SEQUENCE),
    **{f"both-ways-{how}": (chain(L.Bidirectional(L.LSTM(4, return_sequences=True), merge_mode=how),
                                  L.Bidirectional(L.GRU(3), merge_mode=how)), SEQUENCE)
       for how in ("concat", "sum", "ave", "mul")},
}  # fmt: skip

MASKED = {
    "gru": masked(L.GRU(4, return_sequences=True), L.GRU(3)),
    "lstm": masked(L.LSTM(3)),
    "both-ways": masked(L.Bidirectional(L.LSTM(4))),
    "both-ways-mean": masked(
        L.Bidirectional(L.GRU(4, return_sequences=True), merge_mode="sum"), layers.MaskedPooling()
    ),
    "keep-first": lambda x, mask: L.GRU(4)(x, mask=layers.KeepFirstSlot()(mask)),
    "attention": masked(layers.AttentionPooling(3)),
    **{f"pooling-{how}": masked(layers.MaskedPooling(how)) for how in layers.POOLINGS},
    "scaling": lambda x, mask: layers.MaskedPooling("sum")(
        layers.FeatureScaling([0.0] * 4, [1.0] * 4, [-1.0] * 4, [1.0] * 4)(x, mask), mask
    ),
}


def shaken(model, seed=0):
    """The model with random weights, so that nothing is 0 or 1 by chance; variances are positive."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        values = rng.normal(size=variable.shape) * 0.5
        variable.assign(np.abs(values) + 0.5 if "variance" in variable.path else values)
    return model


def session_of(model):
    proto = translate(model)
    onnx.checker.check_model(proto, full_check=True)
    return Session(proto.SerializeToString())


def agree(model, inputs):
    expected = keras.ops.convert_to_numpy(model(inputs, training=False))
    assert np.ptp(expected) > 1e-3
    np.testing.assert_allclose(session_of(model).run(inputs), expected, rtol=1e-5, atol=1e-5)


def made(network, shape):
    given = keras.Input(shape, name="given")
    return shaken(keras.Model({"given": given}, network(given)))


@pytest.mark.parametrize("name", CASES)
def test_a_layer_gives_in_onnx_what_it_gives_in_keras(name):
    network, shape = CASES[name]
    values = np.random.default_rng(1).normal(size=(3, *shape)).astype(np.float32)
    agree(made(network, shape), {"given": values})


@pytest.mark.parametrize("name", MASKED)
def test_a_masked_layer_gives_in_onnx_what_it_gives_in_keras(name):
    given, mask = keras.Input((None, 4), name="given"), keras.Input((None,), dtype="bool", name="given_mask")
    model = shaken(keras.Model({"given": given, "given_mask": mask}, MASKED[name](given, mask)))
    values = np.random.default_rng(1).normal(size=(5, 7, 4)).astype(np.float32)
    agree(model, {"given": values, "given_mask": np.arange(7) < np.array([7, 3, 0, 1, 5])[:, None]})


def test_every_translation_is_in_a_table():
    used = set()

    def collect(model):
        for each in getattr(model, "operations", getattr(model, "layers", [])):
            used.add(type(each).__name__)
            collect(each)

    for network, shape in CASES.values():
        collect(made(network, shape))
    for network in MASKED.values():
        given, mask = keras.Input((None, 4)), keras.Input((None,), dtype="bool")
        collect(keras.Model([given, mask], network(given, mask)))
    assert set(TRANSLATORS) <= used


def test_a_sequential_model_is_a_functional_one_too():
    model = shaken(keras.Sequential([keras.Input((5,), name="given"), L.Dense(3, "softmax")]))
    values = np.random.default_rng(1).normal(size=(3, 5)).astype(np.float32)
    np.testing.assert_allclose(session_of(model).run({"given": values}), model(values), atol=1e-6)


def test_the_file_is_for_runtimes_of_2022_on():
    model = translate(made(L.Dense(3), FLAT))
    assert (model.ir_version, model.opset_import[0].version) == (8, OPSET)
    assert [each.name for each in model.graph.output] == [OUTPUT]
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "jet"


class Doubling(L.Layer):
    def call(self, values):
        return 2 * values


class Dense(L.Dense):
    """Not Keras' own, though it is called so."""

    def call(self, values, training=None):
        return -super().call(values)


@pytest.mark.parametrize(
    ("network", "shape", "message"),
    [
        (Doubling(name="mine"), FLAT, r"the layer 'mine' is a .*Doubling, which has no translation to ONNX"),
        (Dense(3, name="mine"), FLAT, r"the layer 'mine' is a .*Dense, which has no translation to ONNX"),
        (L.Dense(3, activation=keras.ops.sin, name="mine"), FLAT, r"'mine' has the activation 'sin'; known: linear, "),
        (L.Lambda(lambda x: x, name="mine"), FLAT, r"Lambda, which has no translation"),
        (L.GRU(3, activation="softsign", name="mine"), SEQUENCE, r"'mine' has the activation 'softsign'; known: tanh"),
        (L.GRU(3, go_backwards=True), SEQUENCE, r"reads backwards on its own"),
        (L.GRU(3, return_state=True), SEQUENCE, r"has the setting return_state"),
        (L.Bidirectional(L.SimpleRNN(3)), SEQUENCE, r"is made of SimpleRNN; known are GRU and LSTM"),
        (L.LayerNormalization(axis=1), SEQUENCE, r"normalises over the axes \[1\]; known is the last one"),
        (L.ReLU(threshold=1.0), FLAT, r"is a ReLU with the threshold 1.0"),
        (lambda x: x[:, ::-1], SEQUENCE, r"takes slice\(None, None, -1\) of an axis"),
        (lambda x: L.GRU(4)(x, initial_state=x[:, 0]), SEQUENCE, r"is called in a way that has no translation"),
    ],
)
def test_what_has_no_translation_is_refused_by_name(network, shape, message):
    given = keras.Input(shape, name="given")
    output = network(given)
    output = output[0] if isinstance(output, list | tuple) else output
    with pytest.raises(TaggerError, match=message):
        translate(keras.Model(given, output))


def test_a_model_that_is_not_functional_is_refused():
    class Own(keras.Model):
        def call(self, values):
            return values

    with pytest.raises(TaggerError, match=r"the model 'own' is not a functional one with one output"):
        translate(Own(name="own"))
