"""Keras layers that Keras does not have: scaling of features, and pooling that knows about padding.

Every layer takes the mask as an explicit boolean input, (jet, particle), True for a real particle, and hands none on:
`keras.layers.Conv1D` would drop an implicit one. All are registered as serialisable under ``hepnn``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from hepnn.errors import InputError

__all__ = ["AttentionPooling", "FeatureScaling", "KeepFirstSlot", "MaskedPooling", "PointwiseConv1D"]

Tensor = Any
POOLINGS = ("mean", "max", "sum", "last")

SCORE_OF_PADDING = -1e4
"""Far below any learned score, and still a float16."""


@keras.saving.register_keras_serializable("hepnn")
class FeatureScaling(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """Scales features as `hepnn.scaling.Scaling` says, and sets padded slots to 0 whatever they hold, NaN included.

    Args:
        center: one number a feature.
        scale: likewise.
        lower: likewise.
        upper: likewise.
    """

    def __init__(
        self,
        center: Sequence[float],
        scale: Sequence[float],
        lower: Sequence[float],
        upper: Sequence[float],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.center, self.scale, self.lower, self.upper = map(list, (center, scale, lower, upper))

    def call(self, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """Returns the scaled values: (jet, particle, feature) with a mask, (…, feature) without."""
        center, scale, lower, upper = (
            keras.ops.convert_to_tensor(part, dtype=self.compute_dtype)
            for part in (self.center, self.scale, self.lower, self.upper)
        )
        scaled = keras.ops.minimum(keras.ops.maximum((values - center) * scale, lower), upper)
        if mask is None:
            return scaled
        return keras.ops.where(mask[..., None], scaled, keras.ops.zeros_like(scaled))

    def compute_output_shape(self, input_shape: Any, *_: Any) -> Any:
        """Returns the input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that make this layer again."""
        own = {"center": self.center, "scale": self.scale, "lower": self.lower, "upper": self.upper}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("hepnn")
class KeepFirstSlot(keras.layers.Layer):  # type: ignore[misc]
    """Makes the first slot of every mask real, so that no jet is without a step.

    Padding is on the right, so this changes only jets without particles. cuDNN's recurrent kernels refuse a fully
    masked row, and the mean of nothing is NaN; with it, an empty jet counts as one particle of all zeros.
    """

    def call(self, mask: Tensor) -> Tensor:
        """Returns the mask, (jet, particle) bool."""
        return keras.ops.logical_or(mask, keras.ops.arange(keras.ops.shape(mask)[1]) == 0)

    def compute_output_spec(self, mask: Tensor) -> Tensor:
        """Returns the description of the output: that of the input."""
        return keras.KerasTensor(mask.shape, dtype="bool")


@keras.saving.register_keras_serializable("hepnn")
class PointwiseConv1D(keras.layers.Conv1D):  # type: ignore[misc]
    """`keras.layers.Conv1D` with a kernel of one particle, computed as a product of matrices: the same in less time.

    Args:
        filters: numbers a particle that come out.
        kwargs: further ones of `keras.layers.Conv1D`.

    Raises:
        InputError: they ask for another kernel, steps, groups, another order of axes, or no bias.
    """

    def __init__(self, filters: int, **kwargs: Any) -> None:
        super().__init__(filters, **{"kernel_size": 1, **kwargs})
        plain = {"kernel_size": (1,), "strides": (1,), "groups": 1, "use_bias": True, "data_format": "channels_last"}
        for name, value in plain.items():
            if (found := getattr(self, name)) != value:
                raise InputError(
                    f"asked for a pointwise convolution with {name} {found}; it has {value}. Else take keras.layers.Conv1D."
                )

    def call(self, inputs: Tensor) -> Tensor:
        """Returns (jet, particle, filter) from (jet, particle, feature)."""
        particles = keras.ops.reshape(inputs, (-1, inputs.shape[-1]))
        outputs = self.activation(keras.ops.add(keras.ops.matmul(particles, self.kernel[0]), self.bias))
        return keras.ops.reshape(outputs, (*keras.ops.shape(inputs)[:2], self.filters))


@keras.saving.register_keras_serializable("hepnn")
class MaskedPooling(keras.layers.Layer):  # type: ignore[misc]
    """Pools over the real particles of each jet. A jet without any gives zeros.

    Args:
        reduction: "mean", "max", "sum", or "last" for the last real particle.
    """

    def __init__(self, reduction: str = "mean", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True  # a recurrent layer before it leaves a mask on its output; it ends here
        if reduction not in POOLINGS:
            raise InputError(f"asked for the pooling {reduction!r}; known: {', '.join(POOLINGS)}.")
        self.reduction = reduction

    def call(self, values: Tensor, mask: Tensor) -> Tensor:
        """Returns (jet, feature) from (jet, particle, feature)."""
        if self.reduction == "last":
            slots = keras.ops.arange(1, keras.ops.shape(values)[1] + 1)
            mask = keras.ops.logical_and(mask, slots == keras.ops.sum(keras.ops.cast(mask, slots.dtype), 1, True))
        real = mask[..., None]
        if self.reduction == "max":
            lowest = keras.ops.full_like(values, -keras.ops.convert_to_tensor(float("inf"), dtype=values.dtype))
            highest = keras.ops.max(keras.ops.where(real, values, lowest), axis=1)
            some = keras.ops.any(mask, axis=1, keepdims=True)
            return keras.ops.where(some, highest, keras.ops.zeros_like(highest))
        total = keras.ops.sum(keras.ops.where(real, values, keras.ops.zeros_like(values)), axis=1)
        if self.reduction != "mean":
            return total
        count = keras.ops.sum(keras.ops.cast(mask, values.dtype), axis=1, keepdims=True)
        return total / keras.ops.maximum(count, 1)

    def compute_mask(self, *_: Any) -> None:
        """Returns None: a jet has no padding."""

    def compute_output_shape(self, values_shape: Any, *_: Any) -> Any:
        """Returns (jet, feature)."""
        return (values_shape[0], values_shape[2])

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that make this layer again."""
        return {**super().get_config(), "reduction": self.reduction}


@keras.saving.register_keras_serializable("hepnn")
class AttentionPooling(keras.layers.Layer):  # type: ignore[misc]
    """The mean over the real particles, weighted by a learned score of each: Σ softmax(v·tanh(W h)) h.

    Bahdanau, Cho, Bengio 2015 (arXiv:1409.0473), appendix A.1.2, without a query. A jet without particles gives
    zeros.

    Args:
        units: width of the hidden layer that scores.
    """

    def __init__(self, units: int = 32, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True  # as in MaskedPooling
        self.units = units
        self.hidden = keras.layers.Dense(units, activation="tanh", name="hidden")
        self.score = keras.layers.Dense(1, use_bias=False, name="score")

    def build(self, values_shape: Any, *_: Any) -> None:
        """Makes the weights for values of this shape."""
        self.hidden.build(values_shape)
        self.score.build((*values_shape[:-1], self.units))
        self.built = True

    def call(self, values: Tensor, mask: Tensor) -> Tensor:
        """Returns (jet, feature) from (jet, particle, feature)."""
        score = self.score(self.hidden(values))
        score = keras.ops.where(mask[..., None], score, keras.ops.full_like(score, SCORE_OF_PADDING))
        highest = keras.ops.max(score, axis=1, keepdims=True)
        weight = keras.ops.exp(score - keras.ops.stop_gradient(highest))
        weight = weight * keras.ops.cast(mask[..., None], values.dtype)
        norm = keras.ops.sum(weight, axis=1)
        return keras.ops.sum(weight * values, axis=1) / keras.ops.maximum(norm, keras.config.epsilon())

    def compute_mask(self, *_: Any) -> None:
        """Returns None: a jet has no padding."""

    def compute_output_shape(self, values_shape: Any, *_: Any) -> Any:
        """Returns (jet, feature)."""
        return (values_shape[0], values_shape[2])

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that make this layer again."""
        return {**super().get_config(), "units": self.units}
