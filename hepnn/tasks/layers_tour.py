"""Every layer of the lecture at work on a small physical example, beside the same in NumPy.

**The lesson.** What a layer does is a few lines of arithmetic: `hepnn.tasks.references` has them, and here each of
Keras's layers is held against them, shapes and numbers.

- A convolution slides a kernel over its input and sums up what it covers, y[i] = Σ_k x[i + k] w[k]. This is a
  cross-correlation, since the kernel is not turned around; a learned kernel does not mind. Where the input looks like
  the kernel, the output is large: with a pulse for a kernel it is the matched filter of a digitiser, with a ring it is
  the Hough transform of a Cherenkov detector.
- ``valid`` keeps the kernel inside: n − k + 1 places come out. ``same`` adds zeros so that ⌈n / stride⌉ come out,
  k − 1 of them for a stride of one; if that is odd, TensorFlow puts the one more *after*. So an even kernel has no
  middle, and its output is shifted by half a place.
- A transposed convolution turns the connections around: each input writes the kernel, scaled, into the output. With a
  pulse for a kernel it simulates the digitiser.
- Pooling keeps the largest value or the mean of each window; the mean of 4 × 4 cells is a trigger tower, over 16.
- UpSampling repeats or interpolates, ZeroPadding adds a rim, Flatten writes row by row.
- LSTM, GRU and SimpleRNN go through steps (`hepnn.tasks.sequence_states` has more on them). TimeDistributed does the
  same to every step. ConvLSTM2D is an LSTM whose products are convolutions; here it draws the trail of what moved.

**Channels first or last** is where the numbers lie in memory, not what they are. TensorFlow computes convolutions with
channels first on a processor only by oneDNN, which it uses where the processor has instructions for networks
(AVX512-VNNI and later). Elsewhere, or with TF_ENABLE_ONEDNN_OPTS=0, Conv1D, Conv2D, the transposed ones and ConvLSTM2D
refuse; Conv3D and pooling run, since Keras compiles the one and moves the axes of the other. The table says what ran
here; what does not, goes with channels last between two Permute layers.

Nothing is trained. The model has an input and an output for every example.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hepnn.plots import COLORS, styled
from hepnn.roc import Measured
from hepnn.tasks.fitting import streams
from hepnn.tasks.layer_examples import Example, examples
from hepnn.tasks.references import convolution, pooling, same_padding, transposed_convolution
from hepnn.tasks.task import Fit, Outcome, Report, Table

__all__ = ["channels_first_rows", "difference", "padding_rows", "run", "tour"]

Floats = npt.NDArray[np.floating[Any]]

_SIZES = (10, 9, 8)
"""Places along each axis where kernels and strides are gone through."""
_CHANNELS, _FILTERS = 3, 2
_WINDOWS: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = (
    ((1,), (1,)),
    ((2,), (1,)),
    ((3,), (1,)),
    ((4,), (1,)),
    ((5,), (1,)),
    ((3,), (2,)),
    ((4,), (2,)),
    ((4,), (3,)),
    ((2,), (3,)),
    ((2, 5), (1, 1)),
    ((3, 4), (2, 1)),
    ((5, 1), (2, 3)),
    ((2, 3, 4), (1, 1, 1)),
    ((3, 2, 2), (1, 2, 3)),
)
"""Kernels and strides, one number an axis: odd, even, not square, strides shorter and longer than the kernel."""


def tour(stops: Sequence[Example]) -> keras.Model:
    """Returns a model with an input and an output for each example, by its name."""
    inputs = {stop.name: keras.Input(stop.values.shape[1:], name=stop.name) for stop in stops}
    model = keras.Model(inputs, {stop.name: stop.layer(inputs[stop.name]) for stop in stops}, name="tour")
    for stop in stops:
        if stop.weights is not None:
            stop.layer.set_weights(stop.weights)
    return model


def difference(values: Any, reference: Any) -> float:
    """Returns the largest difference of two arrays; infinity if their shapes are not the same."""
    values, reference = np.asarray(values), np.asarray(reference)
    return float(np.abs(values - reference).max()) if values.shape == reference.shape else float("inf")


def run(*, seed: int, quick: bool, report: Report) -> Outcome:
    """Runs every layer and its reference. There is nothing to train, so a quick run is the whole."""
    rng = streams(seed).test
    stops = examples(rng)
    model = tour(stops)
    outputs = {name: np.asarray(values) for name, values in model({stop.name: stop.values for stop in stops}).items()}
    rows = [
        (
            stop.kind, stop.shows, _shape(stop.values), _shape(outputs[stop.name]),
            difference(outputs[stop.name], stop.reference(stop.values, stop.layer.get_weights())),
        )
        for stop in stops
    ]  # fmt: skip
    report(f"{len(stops)} examples of {len({stop.kind for stop in stops})} layers")
    windows = padding_rows(rng)
    report(f"{len(windows)} kernels and strides")
    formats = channels_first_rows(rng, stops)
    report(f"{len(formats)} layers with channels first")
    return Outcome(
        measured={
            "largest difference from the references": Measured(_largest([*rows, *windows]), 0.0),
            "largest difference of channels first from last": Measured(_largest(formats), 0.0),
        },
        fits={model.name: Fit(model)},
        n_test=sum(len(stop.values) for stop in stops),
        tables=[
            Table(
                "Layers at work; shapes without the event",
                ("layer", "example", "in", "out", "largest difference from the reference"),
                rows,
            ),
            Table(
                "Padding: places that come out of "
                f"{', '.join(map(str, _SIZES))} along the first, second and third axis, and the zeros of 'same'",
                (
                    "kernel", "stride", "valid", "same", "zeros before + after", "transposed, valid",
                    "transposed, same", "largest difference from the reference",
                ),
                windows,
            ),
            Table(
                "Channels first and channels last, with the same weights",
                ("layer", "how it ran with channels first here", "largest difference"),
                formats,
            ),
        ],
        figures={
            "convolutions": _draw_convolutions(stops, outputs),
            "coarser and finer": _draw_resizing(stops, outputs),
            "recurrent": _draw_recurrent(stops, outputs),
            "padding": _draw_padding(),
        },
    )  # fmt: skip


def padding_rows(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    """Returns a row for each kernel and stride: what comes out of convolutions, and how far layers are from references.

    Convolutions, transposed convolutions and both kinds of pooling are run, with both paddings, on random numbers.
    """
    rows = []
    for window, strides in _WINDOWS:
        axes = len(window)
        values = rng.normal(size=(2, *_SIZES[:axes], _CHANNELS)).astype(np.float32)
        places, differences = {}, []
        for padding in ("valid", "same"):
            options: dict[str, Any] = {"strides": strides, "padding": padding}
            layers = {
                "convolution": _layer("Conv", axes)(_FILTERS, window, **options),
                "transposed": _layer("Conv", axes, "Transpose")(_FILTERS, window, **options),
                "max": _layer("MaxPooling", axes)(window, **options),
                "mean": _layer("AveragePooling", axes)(window, **options),
            }
            for kind, layer in layers.items():
                output = layer(values)
                if kind in ("max", "mean"):
                    reference = pooling(values, window, how=kind, **options)
                else:
                    layer.set_weights([rng.normal(0, 0.3, weight.shape) for weight in layer.get_weights()])
                    output = layer(values)
                    compute = convolution if kind == "convolution" else transposed_convolution
                    reference = compute(values, layer.get_weights(), **options)
                    places[kind, padding] = " × ".join(map(str, output.shape[1:-1]))
                differences.append(difference(output, reference))
        zeros = [same_padding(n, kernel=k, stride=s) for n, k, s in zip(_SIZES, window, strides, strict=False)]
        rows.append(
            (
                " × ".join(map(str, window)),
                " × ".join(map(str, strides)),
                places["convolution", "valid"],
                places["convolution", "same"],
                ", ".join(f"{before} + {after}" for before, after in zeros),
                places["transposed", "valid"],
                places["transposed", "same"],
                float(np.max(differences)),
            )
        )
    return rows


def channels_first_rows(rng: np.random.Generator, stops: Iterable[Example]) -> list[tuple[str, str, float]]:
    """Returns a row for each kind of layer that can have channels first: its name, how it ran, the difference."""
    rows = []
    kinds = {stop.kind: stop for stop in stops if "data_format" in stop.layer.get_config()}
    for kind, stop in kinds.items():
        values = rng.normal(size=(*stop.values.shape[:-1], _CHANNELS)).astype(np.float32)
        axis = 2 if kind.startswith("ConvLSTM") else 1  # behind the event, or the step
        last, first = (
            type(stop.layer).from_config({**stop.layer.get_config(), "data_format": f"channels_{where}", "name": where})
            for where in ("last", "first")
        )
        expected = np.asarray(last(values))
        moved = np.moveaxis(values, -1, axis)
        first.build(moved.shape)
        first.set_weights(last.get_weights())
        how = "by itself"
        try:
            output = np.asarray(first(moved))
        except tf.errors.OpError:  # TensorFlow has no such operation on this processor
            how = "not at all; with channels last between two Permute layers"
            output = np.asarray(_permuted(last, moved.ndim, axis)(moved))
        if output.ndim == expected.ndim and kind != "Flatten":
            output = np.moveaxis(output, axis, -1)
        rows.append((kind, how, difference(output, expected)))
    return rows


def _permuted(layer: Any, n_axes: int, axis: int) -> keras.Model:
    """A layer with channels last that takes them first."""
    axes = list(range(1, n_axes))  # as Permute counts them, without the sample
    to_last = [each for each in axes if each != axis] + [axis]
    to_first = [to_last.index(each) + 1 for each in axes]
    return keras.Sequential([keras.layers.Permute(to_last), layer, keras.layers.Permute(to_first)])


def _layer(name: str, axes: int, suffix: str = "") -> Any:
    return getattr(keras.layers, f"{name}{axes}D{suffix}")


def _shape(values: Any) -> str:
    return " × ".join(map(str, values.shape[1:]))


def _largest(rows: Iterable[Sequence[Any]]) -> float:
    return float(np.max([row[-1] for row in rows]))  # unlike max, it does not pass over NaN


def _draw_convolutions(stops: Sequence[Example], outputs: dict[str, Any]) -> Figure:
    """Three convolutions with kernels written by hand, input above output."""
    names = (
        "Conv1D: matched filter, a peak for each pulse",
        "Conv2D: ring template, a peak for each centre",
        "Conv3D: cluster sums, 3 × 3 × 3 cells",
    )
    inputs = {stop.name: stop.values for stop in stops}
    with styled():
        figure = Figure(figsize=(12.5, 7.2), layout="constrained")
        panels = figure.subplots(2, 3)
        for column, name in zip(panels.T, names, strict=True):
            for axes, values, what in zip(column, (inputs[name], outputs[name]), ("in", "out"), strict=True):
                event = values[0, ..., 0]
                if event.ndim == 1:
                    axes.plot(event, color=COLORS[0])
                    axes.set(xlabel="sample", ylabel="charge, arbitrary units")
                else:
                    # of a shower, the layer in which it is largest
                    _draw_cells(axes, event if event.ndim == 2 else event[2])
                axes.set_title(f"{name.split(',')[0]}, {what}", fontsize=12)
    return figure


def _draw_resizing(stops: Sequence[Example], outputs: dict[str, Any]) -> Figure:
    """One layer of a shower, made coarser and finer."""
    names = (
        "MaxPooling2D: hottest of 2 × 4 towers",
        "AveragePooling2D: trigger towers, the mean of 4 × 4 cells",
        "UpSampling2D: each tower as 2 × 3 cells",
        "UpSampling2D: bilinear, to 2 × 2 cells a tower",
        "Conv2DTranspose: bilinear, four cells a tower",
    )
    towers = next(stop.values for stop in stops if stop.name == names[0])
    with styled():
        figure = Figure(figsize=(12.5, 7.8), layout="constrained")
        panels = list(figure.subplots(2, 3).flat)
        for axes, title, values in zip(
            panels, ("towers", *names), (towers, *(outputs[name] for name in names)), strict=True
        ):
            _draw_cells(axes, values[0, ..., 0])
            axes.set_title(title.replace(": ", "\n"), fontsize=12)
    return figure


def _draw_cells(axes: Axes, cells: Floats) -> None:
    image = axes.imshow(cells, cmap="viridis", aspect="auto", origin="lower")
    axes.figure.colorbar(image, ax=axes, shrink=0.9)
    axes.grid(visible=False)
    axes.set(xlabel="x in cells", ylabel="y in cells")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))


def _draw_recurrent(stops: Sequence[Example], outputs: dict[str, Any]) -> Figure:
    """The states of four units of each recurrent layer, and the trail of a moving cluster."""
    inputs = {stop.name: stop.values for stop in stops}
    names = [f"{kind}: four units read a pulse" for kind in ("LSTM", "GRU", "SimpleRNN")]
    trail = "ConvLSTM2D: a fading trail"
    with styled():
        figure = Figure(figsize=(12.5, 8.6), layout="constrained")
        parts: Any = figure.subfigures(2, 1, height_ratios=(1, 1.15))
        above, below = parts
        for axes, title, values in zip(
            above.subplots(1, 4), ("in", *names), (inputs[names[0]], *(outputs[name] for name in names)), strict=True
        ):
            axes.plot(values[0])
            axes.set_title(title.replace(": ", "\n"), fontsize=12)
            axes.set(xlabel="sample", ylabel="charge, arbitrary units" if title == "in" else "hidden state")
        frames = (0, 2, 4, 6)
        for row, values, what in zip(below.subplots(2, 4), (inputs[trail], outputs[trail]), ("in", "out"), strict=True):
            for axes, frame in zip(row, frames, strict=True):
                axes.imshow(values[0, frame, ..., 0], cmap="viridis", vmin=0, vmax=values[0].max(), origin="lower")
                axes.set_title(
                    f"{trail if frame == 0 and what == 'out' else 'frame ' + str(frame)}, {what}", fontsize=11
                )
                axes.set_axis_off()
    return figure


def _draw_padding() -> Figure:
    """Which inputs each output sees, for odd and even kernels and a stride of two."""
    n = _SIZES[0]
    with styled():
        figure = Figure(figsize=(12.5, 4.6), layout="constrained")
        panels = figure.subplots(1, 3, sharey=True)
        for axes, (kernel, stride) in zip(panels, ((3, 1), (4, 1), (3, 2)), strict=True):
            before, after = same_padding(n, kernel=kernel, stride=stride)
            places = np.arange(-before, n + after)
            colors = [COLORS[0] if 0 <= place < n else "white" for place in places]
            axes.scatter(places, np.zeros(len(places)), marker="s", s=110, c=colors, edgecolors=COLORS[0])
            for number in range(-(-n // stride)):
                seen = number * stride - before + np.arange(kernel)
                height = number + 1
                axes.plot(seen[[0, -1]], [height, height], color=COLORS[3], lw=6, solid_capstyle="butt")
                axes.plot(seen.mean(), height, "o", color=COLORS[2])
            axes.set_title(f"kernel {kernel}, stride {stride}: {before} + {after} zeros", fontsize=12)
            axes.set(xlabel="place in the input (white: zeros)", yticks=[0, 1, 5, 10])
            axes.set_yticklabels(["input", "output 1", "5", "10"])
        panels[0].plot([], [], color=COLORS[3], lw=6, label="what the output sees")
        panels[0].plot([], [], "o", color=COLORS[2], label="its middle")
        figure.legend(loc="outside upper center", ncols=2)
    return figure
