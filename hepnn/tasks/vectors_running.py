"""The largest length so far, at every step of a sequence of vectors: many to many, in step.

**The lesson.** A recurrent layer has a state after each step, and a dense layer can read an answer from every one:
``return_sequences=True``, then one dense layer whose weights are the same at all steps, as those of the LSTM are. The
answer at a step knows the vectors up to it and none that follow, so the network can be used while a sequence still
comes in.

What it has to do at each step is to compare the vector that has come with the largest so far, and to take over the
larger length. That is what the gates of an LSTM (Hochreiter, Schmidhuber 1997, Neural Comput. 9, 1735; the forget gate:
Gers, Schmidhuber, Cummins 2000, Neural Comput. 12, 2451) are there for: with the input gate shut and the forget gate
open the cell keeps its number. Nothing in this depends on the number of steps, so the network is tried on sequences
twice and four times as long as the longest in training. But a forget gate is a sigmoid and never quite open: what is
held leaks, by too little to matter in 20 steps, and in 80 so much that the answers are clearly too low. A network does
what the training asked of it, not what we had in mind.

The loss is taken at every step. That is more to learn from in each sequence than one answer at its end, and it comes at
once after the vector that matters; `vectors-longest` learns from less. Padded steps have an answer too, but no weight in
the loss, and none in what is measured.

**The data.** 5 to 20 vectors with two components, each from the normal distribution of width 1. Every batch is drawn
anew.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from hepnn.generators.vectors import Sequences, draw_vectors
from hepnn.plots import COLORS, styled
from hepnn.roc import Measured
from hepnn.tasks.fitting import fit, fresh, streams
from hepnn.tasks.measuring import bootstrapped
from hepnn.tasks.pictures import learning_curves
from hepnn.tasks.task import Outcome, Report, Table

__all__ = ["draw", "recurrent", "run", "running_largest"]

Floats = npt.NDArray[np.floating[Any]]
Flags = npt.NDArray[np.bool_]

STEPS = (5, 20)
"""Fewest and most vectors in a sequence."""
LONGER = (40, 80)
"""Vectors in sequences that are longer than any in training."""
UNITS = 128


def recurrent() -> keras.Model:
    """Returns a network from vectors (step, 2) and a mask (step,) to a length at every step (step, 1)."""
    vectors = keras.Input((None, 2), name="vectors")
    mask = keras.Input((None,), dtype="bool", name="mask")
    states = keras.layers.LSTM(UNITS, return_sequences=True)(vectors, mask=mask)
    # a dense layer acts on the last axis, with the same weights at every step; TimeDistributed would say it again
    largest = keras.layers.Dense(1)(states)
    return keras.Model({"vectors": vectors, "mask": mask}, largest, name="lstm")


def running_largest(sequences: Sequences) -> Floats:
    """Returns the largest length so far, (sequence, step); in the padding the largest of all."""
    return np.maximum.accumulate(sequences.lengths, axis=1)


def draw(n_sequences: int, rng: np.random.Generator) -> tuple[Any, Any, Any]:
    """Returns vectors and masks, the largest lengths so far (sequence, step, 1), and their weights (sequence, step)."""
    sequences = draw_vectors(n_sequences, rng=rng, steps=STEPS)
    return sequences._asdict(), running_largest(sequences)[..., None], sequences.mask.astype(np.float32)


def run(*, seed: int, quick: bool, report: Report) -> Outcome:
    """Trains the network and judges it at every step of the test sequences, and of longer ones."""
    rngs = streams(seed)
    model = recurrent()
    fitted = fit(
        model,
        fresh(draw, rngs.train, batch_size=64, steps=200 if quick else 800),
        validation=draw(2_000, rngs.validation),
        epochs=2 if quick else 10,
        learning_rate=2e-2,
        loss=keras.losses.MeanSquaredError(reduction="mean_with_sample_weight"),
        report=report,
    )
    test = draw_vectors(2_000 if quick else 20_000, rng=rngs.test, steps=STEPS)
    truth, predicted = running_largest(test), _predicted(model, test)
    spread = float(np.std(truth[test.mask]))
    off = _off(truth, predicted, test.mask, rng=rngs.test, unit=spread)
    return Outcome(
        measured={"length RMSE / spread": off},
        fits={"lstm": fitted},
        n_test=len(truth),
        tables=[
            Table(
                f"How far off it is; spread is {spread:.3f}, the standard deviation of the true answers at all steps",
                ("answers", "RMSE / spread", "mean difference / spread"),
                [
                    ("at all steps", off, _too_high(truth, predicted, test.mask) / spread),
                    ("at all steps, by someone who knows only the step", _guessed(truth, test.mask) / spread, 0.0),
                    *_by_step(truth, predicted, test.mask, rng=rngs.test, unit=spread),
                    *_longer(model, rng=rngs.test, n_sequences=500 if quick else 5_000, unit=spread),
                ],
            )
        ],
        figures={
            "what it said, step by step": _examples(truth, predicted, test),
            "predicted against true": _scatter(truth[test.mask], predicted[test.mask]),
            "learning": learning_curves({"lstm": fitted}, label="loss (mean square of the difference)"),
        },
    )


def _predicted(model: keras.Model, sequences: Sequences) -> Floats:
    return model.predict(sequences._asdict(), batch_size=1024, verbose=0)[..., 0]


def _off(truth: Floats, predicted: Floats, mask: Flags, *, rng: np.random.Generator, unit: float) -> Measured:
    """Returns the root of the mean square of the difference over the steps in ``mask``, in ``unit``.

    The steps of a sequence are not independent, so its uncertainty is found by resampling whole sequences.
    """
    squares = np.where(mask, (predicted - truth) ** 2, 0).sum(axis=1, dtype=np.float64)
    counts = np.sum(mask, axis=1)
    return bootstrapped(
        lambda chosen: float(np.sqrt(squares[chosen].sum() / counts[chosen].sum()) / unit), len(truth), rng=rng
    )


def _too_high(truth: Floats, predicted: Floats, mask: Flags) -> float:
    """Returns the mean of predicted minus true over the steps in ``mask``; negative where answers are too low."""
    return float(np.mean((predicted - truth)[mask]))


def _by_step(truth: Floats, predicted: Floats, mask: Flags, *, rng: np.random.Generator, unit: float) -> list[Any]:
    rows = []
    for step in (1, 2, 5, 10, 20):
        there = mask & (np.arange(1, STEPS[1] + 1) == step)
        off, too_high = _off(truth, predicted, there, rng=rng, unit=unit), _too_high(truth, predicted, there) / unit
        rows.append((f"at step {step}", off, too_high))
    return rows


def _guessed(truth: Floats, mask: Flags) -> float:
    """Returns the RMSE of the mean answer at each step."""
    means = np.sum(truth * mask, axis=0) / np.sum(mask, axis=0)
    return float(np.sqrt(np.mean(((truth - means) ** 2)[mask])))


def _longer(model: keras.Model, *, rng: np.random.Generator, n_sequences: int, unit: float) -> list[Any]:
    rows = []
    for steps in LONGER:
        sequences = draw_vectors(n_sequences, rng=rng, steps=(steps, steps))
        truth, predicted = (each[:, -1:] for each in (running_largest(sequences), _predicted(model, sequences)))
        last = sequences.mask[:, -1:]
        off, too_high = _off(truth, predicted, last, rng=rng, unit=unit), _too_high(truth, predicted, last) / unit
        rows.append((f"at step {steps}, longer than any in training", off, too_high))
    return rows


def _examples(truth: Floats, predicted: Floats, sequences: Sequences) -> Figure:
    """Three short and three long sequences: the lengths as they come, the largest so far, and what the network said."""
    counts = sequences.mask.sum(axis=1)
    chosen = [*np.flatnonzero(counts <= 10)[:3], *np.flatnonzero(counts >= 16)[:3]]
    with styled():
        figure = Figure(figsize=(12.0, 6.4), layout="constrained")
        panels = figure.subplots(2, 3, sharex=True, sharey=True)
        for axes, index in zip(panels.flat, chosen, strict=True):
            steps, there = np.arange(1, counts[index] + 1), sequences.mask[index]
            axes.bar(steps, sequences.lengths[index][there], color="0.85", width=0.7, label="length of the vector")
            axes.step(steps, truth[index][there], where="mid", color=COLORS[0], label="largest so far")
            axes.plot(steps, predicted[index][there], "o", color=COLORS[2], ms=4, label="network")
        panels[0, 0].set(xlim=(0.3, STEPS[1] + 0.7), xticks=range(0, STEPS[1] + 1, 5))
        figure.supxlabel("step", fontsize=15)
        figure.supylabel("length (widths of a component)", fontsize=15)
        figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def _scatter(truth: Floats, predicted: Floats, *, most: int = 3_000) -> Figure:
    with styled():
        figure = Figure(figsize=(5.6, 5.2), layout="constrained")
        axes = figure.add_subplot()
        axes.plot(truth[:most], predicted[:most], ".", ms=3, alpha=0.4)
        ends = [0, float(np.max(truth[:most])) * 1.05]
        axes.plot(ends, ends, "-", color="0.3", lw=1)
        axes.set(xlabel="largest length so far (widths of a component)", ylabel="predicted", aspect="equal")
    return figure
