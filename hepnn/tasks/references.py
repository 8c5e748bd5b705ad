"""What layers compute, once more in NumPy: slow, in double precision, and without Keras.

The tasks hold Keras's layers against these functions, and a reader can look up what a layer does. Values go in and come
out with channels last, (sample, place, …, channel), or as sequences, (sample, step, feature); weights are those that
``layer.get_weights()`` returns, in that order.

What networks call a convolution is a cross-correlation: the kernel is not turned around.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = [
    "Steps",
    "conv_lstm",
    "convolution",
    "gru",
    "lstm",
    "pooling",
    "same_padding",
    "simple_rnn",
    "transposed_convolution",
]

Floats = npt.NDArray[np.floating[Any]]


def same_padding(size: int, *, kernel: int, stride: int) -> tuple[int, int]:
    """Returns how many zeros TensorFlow puts before and after ``size`` places for ``same`` padding.

    The output has ⌈size / stride⌉ places, so (⌈size / stride⌉ − 1)·stride + kernel are needed. Where an odd number of
    zeros is missing, the one more goes after: with an even kernel the output is shifted by half a place, and with a
    stride of two the kernel's first place can be another one than in PyTorch, which pads the same on both sides
    (TensorFlow, notes on padding in ``tf.nn``: tensorflow.org/api_docs/python/tf/nn).

    >>> same_padding(10, kernel=3, stride=1), same_padding(10, kernel=4, stride=1), same_padding(10, kernel=3, stride=2)
    ((1, 1), (1, 2), (0, 1))
    """
    missing = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return missing // 2, missing - missing // 2


def convolution(
    values: Any, weights: Sequence[Any], *, strides: Sequence[int] | None = None, padding: str = "valid"
) -> Floats:
    """Returns a convolution in any number of dimensions: y[i, f] = b[f] + Σ_k,c x[i·stride + k, c] w[k, c, f].

    Dumoulin, Visin 2016 (arXiv:1603.07285), chapter 2.

    Args:
        values: (sample, place, …, channel).
        weights: kernel (place, …, channel, filter), and bias (filter,) if there is one.
        strides: places between neighbouring outputs, one an axis; 1 if None.
        padding: "valid" (the kernel stays inside) or "same" (see `same_padding`).
    """
    kernel = np.asarray(weights[0], np.float64)
    window = kernel.shape[:-2]
    windows = _windows(np.asarray(values, np.float64), window, strides=strides, padding=padding, fill=0.0)
    # windows: (sample, output place, …, channel, kernel place, …)
    axes = list(range(windows.ndim - len(window), windows.ndim))
    result = np.tensordot(windows, kernel, axes=([*axes, axes[0] - 1], list(range(kernel.ndim - 1))))
    return result + (np.asarray(weights[1], np.float64) if len(weights) > 1 else 0.0)


def transposed_convolution(
    values: Any, weights: Sequence[Any], *, strides: Sequence[int] | None = None, padding: str = "valid"
) -> Floats:
    """Returns a transposed convolution: each input place writes the kernel, times its value, ``stride`` places apart.

    It is the transpose, as a matrix, of the convolution with the same kernel (Dumoulin, Visin 2016, arXiv:1603.07285,
    chapter 4); it undoes that one's change of shape, not of values.

    Args:
        values: (sample, place, …, channel).
        weights: kernel (place, …, filter, channel), filters before channels unlike in a convolution; and bias
            (filter,) if there is one.
        strides: places between what neighbouring inputs write, one an axis; 1 if None.
        padding: "valid" (keep all that was written, and at least stride places an input) or "same" (stride places an
            input; cut off what a convolution with ``same`` padding would have added).
    """
    values, kernel = np.asarray(values, np.float64), np.asarray(weights[0], np.float64)
    sizes, window = values.shape[1:-1], kernel.shape[:-2]
    strides = tuple(strides or [1] * len(window))
    written = [(n - 1) * s + max(k, s) for n, k, s in zip(sizes, window, strides, strict=True)]
    result = np.zeros((len(values), *written, kernel.shape[-2]))
    for at in np.ndindex(*window):
        places = tuple(slice(k, k + n * s, s) for k, n, s in zip(at, sizes, strides, strict=True))
        result[:, *places] += values @ kernel[at].T
    if padding == "same":
        for axis, (n, k, s) in enumerate(zip(sizes, window, strides, strict=True), start=1):
            before, _ = same_padding(n * s, kernel=k, stride=s)
            result = np.take(result, np.arange(before, before + n * s), axis=axis)
    return result + (np.asarray(weights[1], np.float64) if len(weights) > 1 else 0.0)


def pooling(
    values: Any,
    window: Sequence[int],
    *,
    how: str,
    strides: Sequence[int] | None = None,
    padding: str = "valid",
) -> Floats:
    """Returns the largest value or the mean of each window.

    With ``same`` padding only the real places count: a mean at the edge is that of fewer places.

    Args:
        values: (sample, place, …, channel).
        window: places, one an axis.
        how: "max" or "mean".
        strides: places between neighbouring windows; those of the window if None, so that windows do not overlap.
        padding: "valid" (places that fill no window are dropped) or "same".
    """
    fill, reduce = (-np.inf, np.max) if how == "max" else (np.nan, np.nanmean)
    values = np.asarray(values, np.float64)
    windows = _windows(values, window, strides=tuple(strides or window), padding=padding, fill=fill)
    return reduce(windows, axis=tuple(range(values.ndim, windows.ndim)))


def _windows(
    values: Floats, window: Sequence[int], *, strides: Sequence[int] | None, padding: str, fill: float
) -> Floats:
    """What each output place sees: (sample, output place, …, channel, place in the window, …)."""
    strides = strides or [1] * len(window)
    if padding == "same":
        edges = [
            same_padding(n, kernel=k, stride=s) for n, k, s in zip(values.shape[1:-1], window, strides, strict=True)
        ]
        values = np.pad(values, [(0, 0), *edges, (0, 0)], constant_values=fill)
    axes = tuple(range(1, 1 + len(window)))
    windows = np.lib.stride_tricks.sliding_window_view(values, tuple(window), axis=axes)
    return windows[:, *(slice(None, None, stride) for stride in strides)]


class Steps(NamedTuple):
    """A recurrent layer, step by step.

    Attributes:
        hidden: (sample, step, …, unit), the hidden state after each step, which is the layer's output.
        cell: likewise, the cell state of an LSTM; None for others.
        gates: by name, (sample, step, …, unit): how open each gate was, from 0 to 1.
    """

    hidden: Floats
    cell: Floats | None
    gates: dict[str, Floats]


def lstm(values: Any, weights: Sequence[Any], *, mask: Any = None, initial: Sequence[Any] | None = None) -> Steps:
    """Returns the states of an LSTM: Hochreiter, Schmidhuber 1997 (Neural Comput. 9, 1735).

    With the forget gate of Gers, Schmidhuber, Cummins 2000 (Neural Comput. 12, 2451):

        i = σ(x W_i + h U_i + b_i)        input gate
        f = σ(x W_f + h U_f + b_f)        forget gate
        g = tanh(x W_g + h U_g + b_g)     candidate
        o = σ(x W_o + h U_o + b_o)        output gate
        c ← f c + i g                     cell state
        h ← o tanh(c)                     hidden state

    Args:
        values: (sample, step, feature).
        weights: W (feature, 4·unit), U (unit, 4·unit) and b (4·unit,), for i, f, g, o one after another.
        mask: (sample, step) bool; at a step that is masked out both states stay as they are.
        initial: h and c before the first step, (sample, unit) each; zeros if None.
    """
    kernel, recurrent, bias = _float64(weights)
    return _recurrent(
        np.asarray(values, np.float64) @ kernel + bias,
        lambda x, states: _lstm_step(x + states[0] @ recurrent, states[1]),
        initial=initial or [np.zeros((len(values), len(recurrent)))] * 2,
        gates=("input", "forget", "output"),
        mask=mask,
    )


def gru(
    values: Any,
    weights: Sequence[Any],
    *,
    mask: Any = None,
    initial: Sequence[Any] | None = None,
    reset_after: bool = True,
) -> Steps:
    """Returns the states of a GRU: Cho et al. 2014 (arXiv:1406.1078).

        z = σ(x W_z + h U_z + b_z)                    update gate
        r = σ(x W_r + h U_r + b_r)                    reset gate
        g = tanh(x W_g + r (h U_g + b'_g) + b_g)      candidate, the reset after the product (version 1; cuDNN)
        g = tanh(x W_g + (r h) U_g + b_g)             candidate, the reset before it (version 3)
        h ← z h + (1 − z) g

    Args:
        values: (sample, step, feature).
        weights: W (feature, 3·unit), U (unit, 3·unit) for z, r, g one after another, and b: (2, 3·unit), one row for x
            and one for h, if the reset comes after the product; else (3·unit,).
        mask: as in `lstm`.
        initial: h before the first step, in a list.
        reset_after: as Keras's argument, True there too unless asked otherwise.
    """
    kernel, recurrent, bias = _float64(weights)
    units = len(recurrent)
    of_x, of_h = bias if reset_after else (bias, np.zeros_like(bias))

    def step(x: Floats, states: Sequence[Floats]) -> tuple[list[Floats], list[Floats]]:
        (h,) = states
        by_gate = x[..., : 2 * units] + (h @ recurrent + of_h)[..., : 2 * units]
        update, reset = _sigmoid(by_gate[..., :units]), _sigmoid(by_gate[..., units:])
        from_h = (
            reset * (h @ recurrent + of_h)[..., 2 * units :] if reset_after else (reset * h) @ recurrent[:, 2 * units :]
        )
        candidate = np.tanh(x[..., 2 * units :] + from_h)
        return [update * h + (1 - update) * candidate], [update, reset]

    return _recurrent(
        np.asarray(values, np.float64) @ kernel + of_x,
        step,
        initial=initial or [np.zeros((len(values), units))],
        gates=("update", "reset"),
        mask=mask,
    )


def simple_rnn(values: Any, weights: Sequence[Any], *, mask: Any = None, initial: Sequence[Any] | None = None) -> Steps:
    """Returns the states of a simple recurrent layer, h ← tanh(x W + h U + b): Elman 1990 (Cogn. Sci. 14, 179).

    Args:
        values: (sample, step, feature).
        weights: W (feature, unit), U (unit, unit) and b (unit,).
        mask: as in `lstm`.
        initial: h before the first step, in a list.
    """
    kernel, recurrent, bias = _float64(weights)
    return _recurrent(
        np.asarray(values, np.float64) @ kernel + bias,
        lambda x, states: ([np.tanh(x + states[0] @ recurrent)], []),
        initial=initial or [np.zeros((len(values), len(recurrent)))],
        gates=(),
        mask=mask,
    )


def conv_lstm(values: Any, weights: Sequence[Any], *, padding: str = "valid") -> Steps:
    """Returns the states of a convolutional LSTM: the equations of `lstm` with convolutions for products.

    Shi et al. 2015 (arXiv:1506.04214), equation 3 without its peepholes. States have the places of the output, so the
    convolution of h has ``same`` padding whatever that of x has.

    Args:
        values: (sample, step, place, …, channel).
        weights: W (place, …, channel, 4·filter), U (place, …, filter, 4·filter) and b (4·filter,).
        padding: of the convolution of x.
    """
    values, (kernel, recurrent, bias) = np.asarray(values), weights
    flat = convolution(values.reshape(-1, *values.shape[2:]), [kernel, bias], padding=padding)
    of_x = flat.reshape(*values.shape[:2], *flat.shape[1:])
    return _recurrent(
        of_x,
        lambda x, states: _lstm_step(x + convolution(states[0], [recurrent], padding="same"), states[1]),
        initial=[np.zeros((len(of_x), *of_x.shape[2:-1], recurrent.shape[-2]))] * 2,
        gates=("input", "forget", "output"),
        mask=None,
    )


def _lstm_step(sums: Floats, cell: Floats) -> tuple[list[Floats], list[Floats]]:
    """The equations of an LSTM after the products: new h and c, and the gates."""
    i, f, g, o = np.split(sums, 4, axis=-1)
    i, f, o = _sigmoid(i), _sigmoid(f), _sigmoid(o)
    cell = f * cell + i * np.tanh(g)
    return [o * np.tanh(cell), cell], [i, f, o]


def _recurrent(
    of_x: Floats,
    step: Callable[[Floats, Sequence[Floats]], tuple[list[Floats], list[Floats]]],
    *,
    initial: Sequence[Any],
    gates: Sequence[str],
    mask: Any,
) -> Steps:
    """Goes through the steps; where the mask is False, the states stay as they are."""
    states = _float64(initial)
    history: list[list[Floats]] = []
    opened: list[list[Floats]] = []
    for number in range(of_x.shape[1]):
        new, gate = step(of_x[:, number], states)
        if mask is not None:
            is_real = np.asarray(mask)[:, number].reshape(-1, *[1] * (new[0].ndim - 1))
            new = [np.where(is_real, after, before) for after, before in zip(new, states, strict=True)]
        states = new
        history.append(new)
        opened.append(gate)
    by_state = [np.stack(each, axis=1) for each in zip(*history, strict=True)]
    by_gate = [np.stack(each, axis=1) for each in zip(*opened, strict=True)]
    return Steps(by_state[0], by_state[1] if len(by_state) > 1 else None, dict(zip(gates, by_gate, strict=True)))


def _sigmoid(x: Floats) -> Floats:
    return 0.5 * (1 + np.tanh(0.5 * x))  # the same as 1 / (1 + exp(-x)), without its overflow


def _float64(arrays: Sequence[Any]) -> list[Floats]:
    return [np.asarray(array, np.float64) for array in arrays]
