"""The longest of a sequence of vectors: how long it is, and where it stands. One LSTM layer, then one dense layer.

**The lesson.** The network reads one vector after the other and answers once, at the end, from its last state. The cell
of an LSTM (Hochreiter, Schmidhuber 1997, Neural Comput. 9, 1735) carries what it holds from step to step, and gates
decide what is kept and what is written (the forget gate: Gers, Schmidhuber, Cummins 2000, Neural Comput. 12, 2451).
For this task they have to learn three things, from nothing but the right answers at the end:

* *To compare.* A vector is written into the cell if it is longer than the longest so far, and not if not.
* *To count.* The answer names a place, so the state has to hold the number of steps as well, and to keep the number at
  which the longest vector came.
* *To measure lengths.* √(x² + y²) is no weighted sum of x and y, but a gate sees only weighted sums: one unit can see
  how far a vector reaches along one direction, as its gate opens where w·v is larger than what it holds. Many units, one
  for each of many directions, together see the length. So the layer has to be wide, and precision is what takes long.
  It would be quick with lengths as the input; that would do the network's work for it.

What is left to be wrong are near ties. The longest vector and the second longest often differ by less than the network
can tell; the picture of accuracy against that gap shows it. The direction is no part of the answer: all are equally
likely.

Padding has to be left out, or a sequence's last state would be what became of it in the padding. The mask, an input,
makes the LSTM keep its state there.

Both answers are read from the same last state by a dense layer each: a number, and a probability for each place. Their
losses are added, the square of the difference in length with a larger weight, as it is the smaller number by far when
the places are right.

**The data.** 5 to 20 vectors with two components, each from the normal distribution of width 1. Every batch is drawn
anew. The lengths follow the Rayleigh distribution, for which the two longest differ by half a width on average.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from hepnn.generators.vectors import Sequences, draw_vectors
from hepnn.plots import COLORS, styled
from hepnn.roc import Measured
from hepnn.tasks.fitting import fit, fresh, streams
from hepnn.tasks.measuring import bootstrapped, share
from hepnn.tasks.pictures import learning_curves
from hepnn.tasks.task import Outcome, Report, Table

__all__ = ["Answers", "answers", "draw", "longest", "recurrent", "run"]

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.integer[Any]]
Flags = npt.NDArray[np.bool_]

STEPS = (5, 20)
"""Fewest and most vectors in a sequence."""
UNITS = 128
LENGTH_WEIGHT = 70.0
"""Of the loss of the length. At the targets it is 0.0007 squared widths then, against some 0.15 nats for the place."""

GAPS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5, np.inf)
"""Edges of the bins in the difference of the two largest lengths, in widths of a component."""
NUMBERS = ((5, 8), (9, 12), (13, 16), (17, 20))
"""Bins in the number of vectors, ends included."""


def recurrent() -> keras.Model:
    """Returns a network from vectors (step, 2) and a mask (step,) to a ``length`` (1,) and the ``position`` (place,).

    The position is a probability for each place.
    """
    vectors = keras.Input((None, 2), name="vectors")
    mask = keras.Input((None,), dtype="bool", name="mask")
    state = keras.layers.LSTM(UNITS, name="lstm")(vectors, mask=mask)
    outputs = {
        "length": keras.layers.Dense(1, name="length")(state),
        "position": keras.layers.Dense(STEPS[1], activation="softmax", name="position")(state),
    }
    return keras.Model({"vectors": vectors, "mask": mask}, outputs, name="lstm")


class Answers(NamedTuple):
    """Which vector is the longest of a sequence: the truth, or what the network says.

    Attributes:
        length: (sequence,), in widths of a component.
        position: (sequence,), from 0 on.
    """

    length: Floats
    position: Ints


def longest(sequences: Sequences) -> Answers:
    """Returns the length and the position of the longest vector of each sequence."""
    lengths = sequences.lengths
    return Answers(lengths.max(axis=1), lengths.argmax(axis=1).astype(np.int32))


def answers(model: keras.Model, sequences: Sequences) -> Answers:
    """Returns what a network says: its length, and the place it finds most likely."""
    outputs = model.predict(sequences._asdict(), batch_size=1024, verbose=0)
    return Answers(outputs["length"][:, 0], outputs["position"].argmax(axis=1))


def draw(n_sequences: int, rng: np.random.Generator) -> tuple[Any, Any]:
    """Returns vectors and masks, and the lengths (sequence, 1) and positions (sequence,) of the longest."""
    sequences = draw_vectors(n_sequences, rng=rng, steps=STEPS)
    truth = longest(sequences)
    return sequences._asdict(), {"length": truth.length[:, None], "position": truth.position}


def run(*, seed: int, quick: bool, report: Report) -> Outcome:
    """Trains the network and judges both answers on the same test sequences."""
    rngs = streams(seed)
    model = recurrent()
    fitted = fit(
        model,
        fresh(draw, rngs.train, batch_size=64, steps=200 if quick else 800),
        validation=draw(2_000, rngs.validation),
        epochs=5 if quick else 28,
        learning_rate=2e-2,
        loss={"length": "mse", "position": "sparse_categorical_crossentropy"},
        loss_weights={"length": LENGTH_WEIGHT, "position": 1.0},
        metrics={"position": ["accuracy"]},
        report=report,
    )
    test = draw_vectors(2_000 if quick else 20_000, rng=rngs.test, steps=STEPS)
    truth, said = longest(test), answers(model, test)
    right, squares = said.position == truth.position, (said.length - truth.length) ** 2
    spread = float(np.std(truth.length))
    return Outcome(
        measured={
            "position right": share(right),
            "length RMSE / spread": _off(squares, spread, rng=rngs.test),
        },
        fits={"lstm": fitted},
        n_test=len(right),
        tables=[_by_gap(test, right), _by_number(test, right, squares, spread, rng=rngs.test)],
        figures={
            "what it read and what it chose": _examples(test, truth, said),
            "near ties": _near_ties(_gap(test), right),
            "predicted against true length": _scatter(truth, said),
            "where its gates look": _directions(model),
            "learning": learning_curves({"lstm": fitted}, key="position_accuracy", label="position right"),
        },
    )


def _off(squares: Floats, spread: float, *, rng: np.random.Generator) -> Measured:
    """Returns the root of the mean of the squares, in units of the spread."""
    return bootstrapped(lambda chosen: float(np.sqrt(np.mean(squares[chosen]))) / spread, len(squares), rng=rng)


def _gap(sequences: Sequences) -> Floats:
    """Returns by how much the longest vector is longer than the second longest, (sequence,)."""
    two_largest = np.partition(sequences.lengths, -2, axis=1)[:, -2:]
    return two_largest[:, 1] - two_largest[:, 0]


def _by_gap(sequences: Sequences, right: Flags) -> Table:
    gap = _gap(sequences)
    rows = []
    for low, high in itertools.pairwise(GAPS):
        there = (low <= gap) & (gap < high)
        label = f"{low:g} to {high:g}" if np.isfinite(high) else f"more than {low:g}"
        rows.append((label, float(np.mean(there)), share(right[there])))
    return Table(
        "By how much longer the longest is than the second longest, in widths of a component",
        ("longer by", "share of sequences", "position right"),
        rows,
    )


def _by_number(
    sequences: Sequences, right: Flags, squares: Floats, spread: float, *, rng: np.random.Generator
) -> Table:
    counts = sequences.mask.sum(axis=1)
    rows = []
    for low, high in NUMBERS:
        there = (low <= counts) & (counts <= high)
        off = _off(squares[there], spread, rng=rng)
        rows.append((f"{low} to {high}", share(right[there]), float(np.mean(1 / counts[there])), off))
    return Table(
        f"By how many vectors there are; spread is {spread:.3f} widths of a component",
        ("vectors", "position right", "by guessing", "length RMSE / spread"),
        rows,
    )


def _examples(sequences: Sequences, truth: Answers, said: Answers) -> Figure:
    """Four sequences that it got right and two that it got wrong, as they come; each vector starts at its step."""
    right = said.position == truth.position
    chosen = [*np.flatnonzero(right)[:4], *np.flatnonzero(~right)[:2]]
    reach = float(truth.length[chosen].max())
    with styled():
        figure = Figure(figsize=(12.0, 1.7 * len(chosen)), layout="constrained")
        panels = figure.subplots(len(chosen), 1, sharex=True)
        for axes, index in zip(panels, chosen, strict=True):
            vectors = sequences.vectors[index][sequences.mask[index]]
            colors = np.full(len(vectors), "0.6", dtype=object)
            colors[said.position[index]] = COLORS[2]
            colors[truth.position[index]] = COLORS[0]
            axes.quiver(
                np.arange(1, len(vectors) + 1),
                np.zeros(len(vectors)),
                *vectors.T,
                color=colors,
                angles="uv",
                scale_units="y",
                scale=1,
                width=0.0025,
            )
            axes.set(xlim=(-0.5, STEPS[1] + 5), ylim=(-reach, reach), yticks=[-2, 0, 2])
            axes.text(
                STEPS[1] + 1.2,
                0,
                f"longest {truth.length[index]:.3f} at {truth.position[index] + 1}\n"
                f"network {said.length[index]:.3f} at {said.position[index] + 1}",
                color="black" if right[index] else COLORS[2],
                va="center",
                fontsize=11,
            )
        panels[-1].set(xlabel="step", xticks=range(1, STEPS[1] + 1))
        figure.supylabel("component y (widths)", fontsize=15)
        handles = [
            Line2D([], [], color=color, label=label)
            for color, label in ((COLORS[0], "longest"), (COLORS[2], "chosen, if it is not"), ("0.6", "the others"))
        ]
        figure.legend(handles=handles, loc="outside upper center", ncols=3)
    return figure


def _near_ties(gap: Floats, right: Flags, *, n_bins: int = 20) -> Figure:
    """Accuracy against the difference of the two largest lengths, in bins with as many sequences each."""
    edges = np.quantile(gap, np.linspace(0, 1, n_bins + 1))
    place = np.clip(np.searchsorted(edges, gap, side="right") - 1, 0, n_bins - 1)
    measured = [share(right[place == index]) for index in range(n_bins)]
    with styled():
        figure = Figure(figsize=(6.4, 4.4), layout="constrained")
        axes = figure.add_subplot()
        axes.errorbar(
            [np.median(gap[place == index]) for index in range(n_bins)],
            [each.value for each in measured],
            yerr=[each.error for each in measured],
            fmt="o",
        )
        axes.set(xscale="log", xlabel="longest minus second longest (widths of a component)", ylabel="position right")
        axes.axhline(1, color="0.3", lw=1)
    return figure


def _scatter(truth: Answers, said: Answers, *, most: int = 3_000) -> Figure:
    right = (said.position == truth.position)[:most]
    with styled():
        figure = Figure(figsize=(5.8, 5.6), layout="constrained")
        axes = figure.add_subplot()
        for those, color, label in ((right, COLORS[0], "position right"), (~right, COLORS[2], "position wrong")):
            axes.plot(truth.length[:most][those], said.length[:most][those], ".", ms=4, color=color, label=label)
        ends = [float(function(truth.length[:most])) for function in (np.min, np.max)]
        axes.plot(ends, ends, "-", color="0.3", lw=1)
        axes.set(xlabel="largest length (widths of a component)", ylabel="predicted", aspect="equal")
        figure.legend(loc="outside upper center", ncols=2, markerscale=2)
    return figure


def _directions(model: keras.Model) -> Figure:
    """The weights with which each unit's gates see a vector: as directions in the plane of the vectors."""
    kernel = model.get_layer("lstm").cell.kernel.numpy()
    with styled():
        figure = Figure(figsize=(9.6, 5.2), layout="constrained")
        panels = figure.subplots(1, 2, sharex=True, sharey=True)
        # the kernel holds the gates side by side: input, forget, candidate, output
        for axes, gate, title in zip(panels, (0, 1), ("input gate", "forget gate"), strict=True):
            x, y = kernel[:, gate * UNITS : (gate + 1) * UNITS]
            axes.plot([np.zeros(UNITS), x], [np.zeros(UNITS), y], "-", color="0.8", lw=0.8)
            axes.plot(x, y, "o", ms=4)
            axes.set(title=title, xlabel="weight of x", aspect="equal")
        panels[0].set_ylabel("weight of y")
    return figure
