"""What LSTM, GRU and SimpleRNN return, and the equations that give it.

**The lesson.** A recurrent layer goes from step to step and carries states along. What it hands out is a matter of two
arguments:

- neither: the last output, (sample, unit);
- ``return_sequences``: the output after every step, (sample, step, unit), for the next recurrent layer or for an answer
  at each step;
- ``return_state``: besides, the states after the last step, (sample, unit) each: hidden and cell state of an LSTM, the
  hidden state of the others. Another layer can begin with them (``initial_state``), as a decoder does.

The output *is* the hidden state h, so the last output, the last of the sequence and the returned hidden state are the
same numbers. The cell state c is another thing: h = o · tanh(c) is kept between −1 and 1 and shows of c what the output
gate lets through, while c adds up and has no bound. All numbers are held against the gate equations in NumPy
(`hepnn.tasks.references`), without a mask, with padding after and with padding before: a step that is masked out leaves
the states as they are, so the last output is that of the last real step.

Keras's GRU has two forms: the reset gate acts after the product with h, which is the default and what cuDNN computes, or
before it, which is the equation in most textbooks. Their weights differ by one bias and cannot be exchanged.

**By hand.** An LSTM of two units shows what gates are for. The first is a latch: a marker opens its input gate and shuts
its forget gate, so it takes the marked value and keeps it. The second is a counter: all gates stand open, so its cell
state grows by the same amount at every marker, and its hidden state cannot follow above 1.

Nothing is trained: the weights are random, biases included (they are born 0, which would hide a mistake in them).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from hepnn.plots import COLORS, styled
from hepnn.roc import Measured
from hepnn.tasks.fitting import streams
from hepnn.tasks.references import Steps, gru, lstm, simple_rnn
from hepnn.tasks.task import Fit, Outcome, Report, Table

__all__ = ["KINDS", "Kind", "by_hand", "expected", "handed_over", "layers_of", "run"]

Floats = npt.NDArray[np.floating[Any]]
Flags = npt.NDArray[np.bool_]

FEATURES, UNITS = 3, 4
STEPS = 12
SAMPLES = 64

_SPREAD = 0.7
"""Standard deviation of the random weights: gates are neither wide open nor shut."""
_SURE = 12.0
"""A gate's sum this far from 0 is as good as open or shut: σ(−12) = 6·10⁻⁶."""
_COUNT = 0.5
"""By how much the counter's cell state grows at a marker."""

RETURNED = {
    "last output": {},
    "sequence": {"return_sequences": True},
    "last output and states": {"return_state": True},
    "sequence and states": {"return_sequences": True, "return_state": True},
}
"""Keras's arguments by what the layer then returns."""


class Kind(NamedTuple):
    """A recurrent layer of Keras and its equations.

    Attributes:
        build: called with units and options, returns the layer.
        equations: called with values, weights, ``mask`` and ``initial``; one of `hepnn.tasks.references`.
    """

    build: Callable[..., Any]
    equations: Callable[..., Steps]


# cuDNN refuses padding before the sequence; plain operations do not mind
KINDS: dict[str, Kind] = {
    "LSTM": Kind(lambda units, **options: keras.layers.LSTM(units, use_cudnn=False, **options), lstm),
    "GRU": Kind(lambda units, **options: keras.layers.GRU(units, use_cudnn=False, **options), gru),
    "GRU, reset before": Kind(
        lambda units, **options: keras.layers.GRU(units, reset_after=False, **options),
        lambda values, weights, **options: gru(values, weights, reset_after=False, **options),
    ),
    "SimpleRNN": Kind(keras.layers.SimpleRNN, simple_rnn),
}


def layers_of(kind: str, rng: np.random.Generator) -> keras.Model:
    """Returns a model from values and mask to all that layers of one kind can return, by the names in `RETURNED`.

    It holds four layers with the same random weights.
    """
    inputs = {
        "values": keras.Input((None, FEATURES), name="values"),
        "mask": keras.Input((None,), dtype="bool", name="mask"),
    }
    layers = {name: KINDS[kind].build(UNITS, **options) for name, options in RETURNED.items()}
    outputs = {name: layer(inputs["values"], mask=inputs["mask"]) for name, layer in layers.items()}
    weights = [rng.normal(0, _SPREAD, array.shape) for array in layers["sequence"].get_weights()]
    for layer in layers.values():
        layer.set_weights(weights)
    return keras.Model(inputs, outputs, name=kind.replace(", ", "_").replace(" ", "_"))


def expected(steps: Steps) -> dict[str, list[Floats]]:
    """Returns what a layer should return, in the order in which it does, by the names in `RETURNED`."""
    last = steps.hidden[:, -1]
    states = [last] if steps.cell is None else [last, steps.cell[:, -1]]
    return {
        "last output": [last],
        "sequence": [steps.hidden],
        "last output and states": [last, *states],
        "sequence and states": [steps.hidden, *states],
    }


def masks(rng: np.random.Generator) -> dict[str, Flags]:
    """Returns masks (sample, step) by where the padding is; every sequence has at least one real step."""
    after = np.arange(STEPS) < rng.integers(1, STEPS + 1, SAMPLES)[:, None]
    return {"no padding": np.ones_like(after), "padding after": after, "padding before": after[:, ::-1]}


def run(*, seed: int, quick: bool, report: Report) -> Outcome:
    """Compares every layer with its equations. There is nothing to train, so a quick run is the whole."""
    rng = streams(seed).test
    values = rng.normal(size=(SAMPLES, STEPS, FEATURES)).astype(np.float32)
    padded = masks(rng)
    models: dict[str, keras.Model] = {}
    returned, halves, differences = [], [], []
    for kind, (_, equations) in KINDS.items():
        model = models[kind] = layers_of(kind, rng)
        weights = next(layer for layer in model.layers if layer.weights).get_weights()
        found: dict[str, dict[str, float]] = {name: {} for name in RETURNED}
        for where, mask in padded.items():
            outputs = model({"values": values, "mask": mask})
            wanted = expected(equations(values, weights, mask=mask))
            for name, arrays in wanted.items():
                found[name][where] = _difference(_listed(outputs[name]), arrays)
        returned += [
            (kind, name, ", ".join(map(_shape, wanted[name])), *by_mask.values()) for name, by_mask in found.items()
        ]
        differences += [largest for by_mask in found.values() for largest in by_mask.values()]
        halves.append((kind, *handed_over(kind, values, weights=weights)))
        report(f"{kind}: largest difference {np.max(differences):.1g}")
    unit, memories = by_hand(), _marked(rng)
    drawn = [np.asarray(array) for array in unit(memories)]
    differences.append(_difference(_listed(drawn), expected(lstm(memories, unit.get_weights()))["sequence and states"]))
    return Outcome(
        measured={"largest difference from the equations": Measured(float(np.max(differences)), 0.0)},
        fits={**{kind: Fit(model) for kind, model in models.items()}, "by hand": Fit(unit)},
        n_test=SAMPLES,
        tables=[
            Table(
                f"What comes back from {SAMPLES} sequences of {STEPS} steps, {UNITS} units; largest difference from the "
                "equations",
                ("layer", "it returns", "shapes", *padded),
                returned,
            ),
            Table(
                "States are all that a layer remembers: the second half, begun with the states of the first",
                ("layer", "largest difference from the whole", "and if it begins with zeros"),
                halves,
            ),
        ],
        figures={
            "gates at work": _draw_gates(memories, lstm(memories, unit.get_weights()), drawn[0]),
            "states": _draw_states(models, values, padded["padding after"]),
        },
    )


def handed_over(kind: str, values: Floats, *, weights: Sequence[Floats]) -> tuple[float, float]:
    """Returns how far the last output is from that of one go when a layer is stopped half way and begun again.

    Args:
        kind: of `KINDS`.
        values: (sample, step, feature).
        weights: of the layer.

    Returns:
        Two numbers: with the states handed over, and with states of zero.
    """
    layer = KINDS[kind].build(UNITS, return_state=True)
    layer.build(values.shape)
    layer.set_weights(weights)
    half = values.shape[1] // 2
    whole, *_ = layer(values)
    _, *states = layer(values[:, :half])
    again, *_ = layer(values[:, half:], initial_state=states)
    forgotten, *_ = layer(values[:, half:])
    return _difference([again], [whole]), _difference([forgotten], [whole])


def by_hand() -> keras.Model:
    """Returns an LSTM whose weights are written down: unit 0 keeps the marked value, unit 1 counts the markers.

    It takes (sample, step, 2), a value and a marker that is 0 or 1, and returns the sequence and both states.
    """
    sequence = keras.Input((None, 2), name="value_and_marker")
    layer = keras.layers.LSTM(2, return_sequences=True, return_state=True, name="by_hand")
    model = keras.Model(sequence, layer(sequence), name="by_hand")
    value, marker = 0, 1
    latch, counter = 0, 1
    kernel, bias = np.zeros((2, 4, 2)), np.zeros((4, 2))  # (input, gate, unit) and (gate, unit)
    i, f, g, o = range(4)
    kernel[marker, i, latch], bias[i, latch] = 2 * _SURE, -_SURE  # write where there is a marker
    kernel[marker, f, latch], bias[f, latch] = -2 * _SURE, _SURE  # and keep where there is none
    kernel[value, g, latch] = 1.0
    bias[i, counter] = bias[f, counter] = _SURE
    kernel[marker, g, counter] = np.arctanh(_COUNT)
    bias[o] = _SURE
    layer.set_weights([kernel.reshape(2, 8), np.zeros((2, 8)), bias.reshape(8)])
    return model


def _marked(rng: np.random.Generator) -> Floats:
    """Values with markers at some of 24 steps, (1, step, 2)."""
    marker = np.isin(np.arange(24), (4, 9, 15, 16))
    return np.stack([rng.uniform(-1.5, 1.5, 24), marker], axis=-1)[None].astype(np.float32)


def _listed(outputs: Any) -> list[Any]:
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def _difference(found: Sequence[Any], wanted: Sequence[Any]) -> float:
    """The largest difference of arrays in a row; infinity if there are more or fewer, or shapes are not the same."""
    if [np.shape(array) for array in found] != [np.shape(array) for array in wanted]:
        return float("inf")
    return float(
        np.max([np.abs(np.asarray(one) - np.asarray(other)).max() for one, other in zip(found, wanted, strict=True)])
    )


def _shape(array: Floats) -> str:
    return " × ".join(map(str, array.shape[1:]))


def _draw_gates(values: Floats, steps: Steps, hidden: Floats) -> Figure:
    """The LSTM by hand: what goes in, and the gates and states of both units; lines are equations, dots are Keras."""
    cell = np.asarray(steps.cell)
    number = np.arange(values.shape[1])
    with styled():
        figure = Figure(figsize=(9.6, 8.6), layout="constrained")
        above, latch, counter = figure.subplots(3, 1, sharex=True)
        above.plot(number, values[0, :, 0], "o-", color=COLORS[3], label="value")
        for step in np.flatnonzero(values[0, :, 1]):
            for axes in (above, latch, counter):
                axes.axvline(
                    step, color=COLORS[7], lw=8, alpha=0.3, label="marker" if step == 4 and axes is above else None
                )
        above.set(ylabel="input", title="a value at every step, some of them marked")
        for axes, unit, title in (
            (latch, 0, "unit 0 keeps the marked value"),
            (counter, 1, "unit 1 counts the markers"),
        ):
            for name, color in (("input", COLORS[1]), ("forget", COLORS[4])):
                axes.step(number, steps.gates[name][0, :, unit], where="mid", color=color, lw=1.2, label=f"{name} gate")
            axes.plot(number, cell[0, :, unit], color=COLORS[0], label="cell state c")
            axes.plot(number, steps.hidden[0, :, unit], color=COLORS[2], label="hidden state h")
            axes.plot(number, hidden[0, :, unit], "o", color=COLORS[2], ms=4, label="h from Keras")
            axes.set(ylabel="gates and states", title=title)
        counter.set_xlabel("step")
        for axes in (above, latch):
            axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def _draw_states(models: Mapping[str, keras.Model], values: Floats, mask: Flags) -> Figure:
    """The sequence each layer returns for one padded sample, and the last output beside it."""
    sample = int(np.argmin(np.abs(mask.sum(axis=1) - 0.6 * STEPS)))
    length = int(mask[sample].sum())
    with styled():
        figure = Figure(figsize=(11.0, 6.4), layout="constrained")
        panels = figure.subplots(2, 2, sharex=True, sharey=True)
        for axes, (kind, model) in zip(panels.flat, models.items(), strict=True):
            outputs = model({"values": values[sample : sample + 1], "mask": mask[sample : sample + 1]})
            for unit in range(UNITS):
                axes.plot(np.arange(1, STEPS + 1), outputs["sequence"][0, :, unit], "o-", ms=4, color=COLORS[unit])
                axes.plot(STEPS + 1, outputs["last output"][0, unit], "s", ms=8, color=COLORS[unit])
            axes.axvspan(length + 0.5, STEPS + 0.5, color=COLORS[3], alpha=0.25)
            axes.set_title(kind)
        panels[0, 0].set(ylabel="hidden state")
        panels[1, 0].set(ylabel="hidden state", xlabel="step")
        panels[1, 1].set(xlabel="step")
        panels[0, 0].plot([], [], "o-", color="black", label="sequence, a colour a unit")
        panels[0, 0].plot([], [], "s", color="black", ms=8, label="last output")
        panels[0, 0].fill_between([], [], color=COLORS[3], alpha=0.25, label="masked out")
        figure.legend(loc="outside upper center", ncols=3)
    return figure
