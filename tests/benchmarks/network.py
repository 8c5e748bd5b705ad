"""The network and the jets that training and scoring are measured with."""

from functools import partial

from hepnn.clouds import Collection, ParticleCloud
from hepnn.features import resolve_features
from hepnn.scaling import fixed_scaling
from hepnn.tensors import TensorSpec

MAX_PARTICLES = 128
ENCODER, UNITS, HEAD = (64, 64), 64, (100,)
FEATURES = resolve_features("jetclass")
CLOUD = ParticleCloud({"particles": Collection(FEATURES, max_particles=MAX_PARTICLES)})
OPTIONS = {
    "encoder": ENCODER,
    "units": (UNITS,),
    "max_steps": MAX_PARTICLES,
    "readout": ("last",),
    "skip": (),
    "head_units": HEAD,
    "dropout": 0.0,
}


def keras_model(cell, n_classes=2):
    """Our network."""
    import keras

    from hepnn.models import build_model

    keras.utils.set_random_seed(0)
    specs = {"particles": TensorSpec((None, len(FEATURES)), fixed_scaling(FEATURES))}
    return build_model(cell, specs, n_classes=n_classes, options=OPTIONS)


def plain_model(cell, n_classes=2):
    """The same network with the same weights, and Keras' own layers in place of ours."""
    from unittest import mock

    import keras

    from hepnn.models import blocks, recurrent

    with (
        mock.patch.dict(recurrent._CELLS, {"gru": keras.layers.GRU, "lstm": keras.layers.LSTM}),
        mock.patch.object(blocks, "PointwiseConv1D", partial(keras.layers.Conv1D, kernel_size=1)),
    ):
        return keras_model(cell, n_classes)


def torch_model(cell, weights, *, n_classes=2, scaled=True):
    """The same network in PyTorch with the weights of the Keras model."""
    import torch

    from tests.benchmarks.peers import Recurrent

    settings = {"encoder": ENCODER, "units": UNITS, "head": HEAD, "n_classes": n_classes}
    network = Recurrent(cell, len(FEATURES), scaled=scaled, **settings).take(weights)
    if scaled:
        for name, values in fixed_scaling(FEATURES)._asdict().items():
            getattr(network.scaled, name).copy_(torch.tensor(values))
    return network
