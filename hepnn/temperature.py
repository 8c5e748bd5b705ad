"""Temperature scaling of a network: its logits divided by one number, so that its probabilities are right on average.

The number is fitted on the validation jets (`hepnn.calibration.fit_temperature`) and goes into the weights of the last
layer: softmax((W x + b)/T) is the softmax of W/T and b/T. So whatever scores with these weights, Keras, ONNX Runtime or
a C++ program, gives calibrated probabilities.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from hepnn.calibration import fit_temperature
from hepnn.errors import TaggerError
from hepnn.training import predict

__all__ = ["calibrate_model"]


def calibrate_model(
    model: keras.Model, *, validation: tuple[Any, npt.NDArray[np.int64], npt.NDArray[np.float64] | None]
) -> float:
    """Returns the temperature of these jets, by which the last layer's weights are divided in place.

    Args:
        model: a trained classifier that ends in a dense layer with softmax.
        validation: tensors, class indices (jet,) and weights (jet,) of jets that it was not trained on.

    Raises:
        TaggerError: the network ends in another layer.
    """
    last = model.layers[-1]
    if not isinstance(last, keras.layers.Dense) or last.activation is not keras.activations.softmax:
        raise TaggerError(
            f"asked to calibrate the network {model.name!r}; its last layer is {last.name!r}, a {type(last).__name__}. It "
            "takes a dense layer with softmax at the end; train without calibrate, or end the network in one."
        )
    tensors, targets, weights = validation
    classes = tuple(map(str, range(model.output_shape[-1])))
    temperature = fit_temperature(targets.astype(str), predict(model, tensors), classes=classes, weights=weights)
    last.set_weights([array / temperature for array in last.get_weights()])
    return temperature
