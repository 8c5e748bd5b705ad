"""Small physical examples of what layers do: a detector's pulse, a Cherenkov ring, a shower, towers, a moving cluster.

Each `Example` is a Keras layer with its weights, what goes in, and the same layer as a function of `references` or of
SciPy. Kernels that mean something are written by hand; the others are random.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
from scipy.ndimage import zoom

from hepnn.tasks.references import (
    conv_lstm,
    convolution,
    gru,
    lstm,
    pooling,
    simple_rnn,
    transposed_convolution,
)

__all__ = ["Example", "examples", "moving_clusters", "pulse", "pulses", "rings", "showers"]

Floats = npt.NDArray[np.floating[Any]]

_NOISE = 0.1
"""Of every example, as a share of the height of what it shows."""
_RING_RADIUS = 4
"""In pixels."""
_MEMORY = 1.4
"""Bias of the convolutional LSTM's forget gate: σ(1.4) = 0.8 of the cell state is left after each frame."""
_OPEN = 4.0
"""Bias of a gate that stands open: σ(4) = 0.98."""


class Example(NamedTuple):
    """One layer at work.

    Attributes:
        shows: what the layer does there.
        values: what goes in, (event, …).
        layer: a Keras layer.
        weights: of the layer, as its ``set_weights`` takes them; None if the layer keeps those it is born with.
        reference: called with values and weights, returns what should come out.
    """

    shows: str
    values: Floats
    layer: Any
    weights: list[Floats] | None
    reference: Callable[[Floats, list[Floats]], Floats]

    @property
    def kind(self) -> str:
        """The name of the layer's class."""
        return str(type(self.layer).__name__)

    @property
    def name(self) -> str:
        """The layer and what it does, such as ``Conv1D: matched filter``; no two examples share one."""
        return f"{self.kind}: {self.shows}"


def pulse(n_samples: int) -> Floats:
    """Returns a shaper's answer to a charge, (t/τ) exp(1 − t/τ) with τ of two samples; its highest value is 1."""
    time = np.arange(n_samples) / 2
    return time * np.exp(1 - time)


def pulses(rng: np.random.Generator, *, n_events: int = 2, n_samples: int = 60) -> tuple[Floats, Floats]:
    """Returns charges at their times, and what a digitiser makes of them with noise; both (event, sample, 1)."""
    charges = np.zeros((n_events, n_samples, 1))
    for event in charges:
        event[rng.choice(np.arange(3, n_samples - 12, 12), 3, replace=False), 0] = rng.uniform(0.4, 1.0, 3)
    shape = pulse(12)
    waveforms = np.stack([np.convolve(event[:, 0], shape)[:n_samples] for event in charges])[..., None]
    return charges, waveforms + rng.normal(0, _NOISE, waveforms.shape)


def rings(rng: np.random.Generator, *, n_events: int = 2, size: int = 24) -> Floats:
    """Returns Cherenkov rings in noise, (event, y, x, 1): two a picture, of one radius."""
    y, x = np.mgrid[:size, :size]
    images = rng.normal(0, _NOISE, (n_events, size, size))
    for image in images:
        for _ in range(2):
            center = rng.uniform(_RING_RADIUS + 1, size - _RING_RADIUS - 2, 2)
            image += np.abs(np.hypot(y - center[0], x - center[1]) - _RING_RADIUS) < 0.5
    return images[..., None]


def showers(rng: np.random.Generator, *, n_events: int = 2, depth: int = 7, size: int = 8) -> Floats:
    """Returns energies in a calorimeter, (event, layer, y, x, 1), as shares of the hottest cell's.

    Along the depth t the shape is a gamma distribution, t² exp(−t) with t in layers, as Longo, Sestili 1975 (Nucl.
    Instrum. Meth. 128, 283) have it; across it falls exponentially from the axis.
    """
    t, y, x = np.mgrid[:depth, :size, :size] + 0.5
    center = rng.uniform(0.3 * size, 0.7 * size, (n_events, 2, 1, 1, 1))
    energies = t**2 * np.exp(-t - np.hypot(y - center[:, 0], x - center[:, 1]))
    return (energies / energies.max(axis=(1, 2, 3), keepdims=True))[..., None]


def moving_clusters(rng: np.random.Generator, *, n_events: int = 2, n_frames: int = 7, size: int = 12) -> Floats:
    """Returns frames of a cluster on its way, (event, frame, y, x, 1): Gaussian, σ one pixel, height 1."""
    y, x = np.mgrid[:size, :size]
    start, speed = rng.uniform(2, 4, (2, n_events, 1, 1, 1)), rng.uniform(0.6, 1.1, (2, n_events, 1, 1, 1))
    at = start + speed * np.arange(n_frames)[:, None, None]
    return np.exp(-((y - at[0]) ** 2 + (x - at[1]) ** 2) / 2)[..., None]


def examples(rng: np.random.Generator) -> list[Example]:
    """Returns every layer at work, in the order of the lecture, on two events each."""
    charges, waveforms = pulses(rng)
    energies = showers(rng)
    return [
        *_convolutions(waveforms, rings(rng), energies, rng),
        *_transposed_convolutions(charges, energies, rng),
        *_resizing(waveforms, energies),
        *_pooling(waveforms, energies),
        *_recurrent(waveforms, moving_clusters(rng), rng),
    ]


def _convolutions(waveforms: Floats, images: Floats, energies: Floats, rng: np.random.Generator) -> list[Example]:
    # the best filter against white noise has the shape of what it looks for (North 1943, reprinted in Proc. IEEE 51, 1016)
    shape = pulse(9)
    matched = (shape / np.sum(shape**2))[:, None, None]
    y, x = np.mgrid[-5:6, -5:6]
    ring = (np.abs(np.hypot(y, x) - _RING_RADIUS) < 0.5).astype(float)
    # a ring whose template sums up to 0 does not answer to a brighter background
    hough = (ring / ring.sum() - 1 / ring.size)[:, :, None, None]
    slopes = np.stack([np.outer([-1, 1], [1, 2, 4, 2, 1]) / 10, np.outer([1, 1], [-1, -2, 0, 2, 1]) / 12], axis=-1)
    edge, cluster = np.array([-1.0, 1.0])[:, None, None], np.ones((3, 3, 3, 1, 1))
    layers = keras.layers
    return [
        _convolution("matched filter, a peak for each pulse", waveforms, layers.Conv1D, matched, padding="same"),
        _convolution("edge, the next sample minus this one", waveforms, layers.Conv1D, edge),
        _convolution(
            "two random filters, a third of the samples", waveforms, layers.Conv1D,
            rng.normal(0, 0.4, (4, 1, 2)), strides=(3,), padding="same",
        ),
        _convolution("ring template, a peak for each centre", images, layers.Conv2D, hough, padding="same"),
        _convolution(
            "slopes in y and in x, every second row", images, layers.Conv2D,
            slopes[:, :, None, :], strides=(2, 1),
        ),
        _convolution("cluster sums, 3 × 3 × 3 cells", energies, layers.Conv3D, cluster, padding="same"),
        _convolution(
            "slope in depth, every second layer", energies, layers.Conv3D,
            (np.array([-1, 1])[:, None, None] * np.ones((2, 3, 3)))[..., None, None] / 9, strides=(2, 1, 1),
        ),
    ]  # fmt: skip


def _transposed_convolutions(charges: Floats, energies: Floats, rng: np.random.Generator) -> list[Example]:
    towers = energies[:, 2]
    # bilinear interpolation to twice as many cells
    slope = np.array([0.25, 0.75, 0.75, 0.25])
    bilinear = np.outer(slope, slope)[:, :, None, None]
    layers = keras.layers
    return [
        _transposed("each charge writes a pulse", charges, layers.Conv1DTranspose, pulse(9)[:, None, None]),
        _transposed(
            "pulses with twice as many samples", charges, layers.Conv1DTranspose, pulse(9)[:, None, None],
            strides=(2,), padding="same",
        ),
        _transposed(
            "bilinear, four cells a tower", towers, layers.Conv2DTranspose, bilinear,
            strides=(2, 2), padding="same",
        ),
        _transposed(
            "two random filters, 2 × 3 places apart", towers, layers.Conv2DTranspose,
            rng.normal(0, 0.4, (3, 2, 2, 1)), strides=(2, 3),
        ),
        _transposed(
            "random, eight cells a cell", energies[:, :3], layers.Conv3DTranspose,
            rng.normal(0, 0.4, (3, 3, 3, 1, 1)), strides=(2, 2, 2), padding="same",
        ),
    ]  # fmt: skip


def _resizing(waveforms: Floats, energies: Floats) -> list[Example]:
    towers = energies[:, 2]
    layers = keras.layers
    return [
        _fixed("each sample twice", waveforms, layers.UpSampling1D(2), partial(np.repeat, repeats=2, axis=1)),
        _fixed("each tower as 2 × 3 cells", towers, layers.UpSampling2D((2, 3)), partial(_repeated, times=(2, 3))),
        _fixed(
            "bilinear, to 2 × 2 cells a tower", towers, layers.UpSampling2D(2, interpolation="bilinear"),
            # SciPy's pixels are squares too with grid_mode, as those of TensorFlow are
            lambda x: zoom(x, (1, 2, 2, 1), order=1, mode="nearest", grid_mode=True),
        ),
        _fixed("each layer twice", energies, layers.UpSampling3D((2, 1, 1)), partial(_repeated, times=(2, 1, 1))),
        _fixed("one sample before, two after", waveforms, layers.ZeroPadding1D((1, 2)), _padded((1, 2))),
        _fixed("rows above, columns right", towers, layers.ZeroPadding2D(((2, 0), (0, 3))), _padded((2, 0), (0, 3))),
        _fixed("a cell on every side", energies, layers.ZeroPadding3D(1), _padded((1, 1), (1, 1), (1, 1))),
    ]  # fmt: skip


def _pooling(waveforms: Floats, energies: Floats) -> list[Example]:
    towers = energies[:, 2]
    two_layers = np.concatenate([energies[:, 2], energies[:, 4]], axis=-1)
    layers = keras.layers
    return [
        _pooled("highest of 4 samples", waveforms, layers.MaxPooling1D, (4,)),
        _pooled("overlapping, at the edges fewer", waveforms, layers.MaxPooling1D, (3,), strides=(2,), padding="same"),
        _pooled("hottest of 2 × 4 towers", towers, layers.MaxPooling2D, (2, 4)),
        _pooled("hottest of 2 × 3 × 3 cells", energies, layers.MaxPooling3D, (2, 3, 3), padding="same"),
        _pooled("mean of 4 samples", waveforms, layers.AveragePooling1D, (4,)),
        _pooled("trigger towers, the mean of 4 × 4 cells", towers, layers.AveragePooling2D, (4, 4)),
        _pooled("sliding 3 × 3 windows", towers, layers.AveragePooling2D, (3, 3), strides=(2, 2), padding="same"),
        _pooled("mean of all layers, 2 × 2 cells", energies, layers.AveragePooling3D, (7, 2, 2)),
        _fixed("row by row, channels together", two_layers, layers.Flatten(), lambda x: x.reshape(len(x), -1)),
    ]


def _recurrent(waveforms: Floats, frames: Floats, rng: np.random.Generator) -> list[Example]:
    layers = keras.layers
    units = 4
    shapes: dict[str, list[tuple[int, ...]]] = {
        "LSTM": [(1, 4 * units), (units, 4 * units), (4 * units,)],
        "GRU": [(1, 3 * units), (units, 3 * units), (2, 3 * units)],
        "SimpleRNN": [(1, units), (units, units), (units,)],
    }
    random = {name: [rng.normal(0, 0.5, shape) for shape in each] for name, each in shapes.items()}
    blur = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]])[:, :, None, None] / 16
    return [
        _example("four units read a pulse", waveforms, layers.LSTM(units, return_sequences=True),
                 random["LSTM"], lambda x, w: lstm(x, w).hidden),
        _example("four units read a pulse", waveforms, layers.GRU(units, return_sequences=True),
                 random["GRU"], lambda x, w: gru(x, w).hidden),
        _example("four units read a pulse", waveforms, layers.SimpleRNN(units, return_sequences=True),
                 random["SimpleRNN"], lambda x, w: simple_rnn(x, w).hidden),
        _example("the same blur of every frame", frames,
                 layers.TimeDistributed(layers.Conv2D(1, 3, padding="same")), [blur, np.zeros(1)],
                 lambda x, w: np.stack([convolution(x[:, at], w, padding="same") for at in range(x.shape[1])], axis=1)),
        _example("a fading trail", frames,
                 layers.ConvLSTM2D(1, 3, padding="same", return_sequences=True), _trail(rng),
                 lambda x, w: conv_lstm(x, w, padding="same").hidden),
    ]  # fmt: skip


def _trail(rng: np.random.Generator) -> list[Floats]:
    """Weights of a convolutional LSTM that writes what it sees and forgets it slowly; a little noise on all of them."""
    kernel, recurrent = rng.normal(0, 0.02, (2, 3, 3, 1, 4))
    kernel[1, 1, 0, 2] += 1.0  # the candidate is the pixel itself
    return [kernel, recurrent, np.array([_OPEN, _MEMORY, 0.0, _OPEN])]


def _example(shows: str, values: Floats, layer: Any, weights: Any, reference: Any) -> Example:
    if weights is not None:
        weights = [np.asarray(array, np.float32) for array in weights]
    return Example(shows, values.astype(np.float32), layer, weights, reference)


def _convolution(shows: str, values: Floats, layer: Any, kernel: Floats, **options: Any) -> Example:
    """A convolution with this kernel; of several filters all but the first have a bias too."""
    built = layer(kernel.shape[-1], kernel.shape[:-2], **options)
    bias = np.linspace(0, 0.1, kernel.shape[-1])
    return _example(shows, values, built, [kernel, bias], partial(convolution, **options))


def _transposed(shows: str, values: Floats, layer: Any, kernel: Floats, **options: Any) -> Example:
    built = layer(kernel.shape[-2], kernel.shape[:-2], **options)
    bias = np.linspace(0, 0.1, kernel.shape[-2])
    return _example(shows, values, built, [kernel, bias], partial(transposed_convolution, **options))


def _pooled(shows: str, values: Floats, layer: Any, window: tuple[int, ...], **options: Any) -> Example:
    how = "max" if layer.__name__.startswith("Max") else "mean"
    built = layer(window, **options)
    return _example(shows, values, built, None, lambda x, _: pooling(x, window, how=how, **options))


def _fixed(shows: str, values: Floats, layer: Any, reference: Callable[[Floats], Floats]) -> Example:
    """A layer without weights."""
    return _example(shows, values, layer, None, lambda x, _: reference(x))


def _padded(*edges: tuple[int, int]) -> Callable[[Floats], Floats]:
    return lambda x: np.pad(x, [(0, 0), *edges, (0, 0)])


def _repeated(values: Floats, *, times: tuple[int, ...]) -> Floats:
    for axis, n in enumerate(times, start=1):
        values = np.repeat(values, n, axis=axis)
    return values
