"""A network with several answers about one image: a kind, and numbers such as an energy and a position.

One body of convolutions, shared, and a head for each answer: what is learned for one serves the others. The answers go by
name, so that Keras takes a loss, a weight and a target for each by the same names. It is an ordinary Keras model for your
own training, `hepnn.tasks.calo_multi` is an example; a `hepnn.Tagger`, a classifier, takes models with one answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras

from hepnn.errors import InputError
from hepnn.models.inputs import image_inputs
from hepnn.tensors import TensorSpec

__all__ = ["KIND", "multi_output"]

KIND = "kind"
"""Name of the answer that is probabilities."""


def multi_output(
    inputs: Mapping[str, TensorSpec],
    n_classes: int,
    *,
    numbers: Mapping[str, int],
    filters: Sequence[int] = (32, 48),
    kernel: int = 3,
    body_units: int = 64,
    head_units: int = 32,
    activation: str = "relu",
) -> keras.Model:
    """Returns a network from images to a kind and numbers.

    Each convolution but the last is followed by pooling over two neighbours along each axis; what is left is flattened, so
    that the answers can depend on the place.

    Args:
        inputs: the tensors of a `hepnn.images.JetImage` or `hepnn.calo_images.CaloImage`: images (image, η, φ, channel).
        n_classes: kinds; 0 for none.
        numbers: how many numbers each further answer has, by its name.
        filters: of each convolution.
        kernel: pixels a side of every kernel.
        body_units: width of the dense layer that the heads share.
        head_units: width of each head's own dense layer.
        activation: of all layers but the answers, which are probabilities, or linear.

    Returns:
        A model from a dict of tensors to a dict of answers: `KIND`, (image, class), and each of ``numbers``, (image, n).

    Raises:
        InputError: the inputs are no images, there is nothing to answer, or a number goes by the name of the kind.
    """
    if KIND in numbers or min(numbers.values(), default=1) < 1 or not (n_classes or numbers):
        raise InputError(
            f"asked for a network with {n_classes} classes and the numbers {dict(numbers)}; give at least one answer, each of 1 "
            f"or more, and none of the name {KIND!r}."
        )
    tensors, images = image_inputs(inputs, n_axes=3)
    parts = []
    for name, values in images.items():
        for layer, width in enumerate(filters):
            settings = {"padding": "same", "activation": activation, "name": f"{name}_conv_{layer}"}
            values = keras.layers.Conv2D(width, kernel, **settings)(values)
            if layer + 1 < len(filters):
                values = keras.layers.MaxPooling2D(padding="same", name=f"{name}_pool_{layer}")(values)
        parts.append(keras.layers.Flatten(name=f"{name}_flat")(values))
    body = keras.layers.Concatenate(name="joined")(parts) if len(parts) > 1 else parts[0]
    body = keras.layers.Dense(body_units, activation=activation, name="body")(body)
    answers = {KIND: (n_classes, "softmax")} if n_classes else {}
    answers |= {name: (n_numbers, "linear") for name, n_numbers in numbers.items()}
    outputs = {}
    for name, (width, of_answer) in answers.items():
        values = keras.layers.Dense(head_units, activation=activation, name=f"{name}_head")(body)
        outputs[name] = keras.layers.Dense(width, activation=of_answer, name=name)(values)
    return keras.Model(tensors, outputs, name="multi_output")
