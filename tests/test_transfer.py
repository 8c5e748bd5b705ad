"""Transfer: layers before the head are taken over, the head is not."""

import numpy as np
import pytest

from hepnn.errors import InputError, TaggerError
from hepnn.models import build_model
from hepnn.scaling import Scaling
from hepnn.tensors import TensorSpec
from hepnn.transfer import take_over

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
