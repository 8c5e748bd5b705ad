"""Padding before or after, with a mask or without, read forwards or backwards: what an LSTM makes of it.

**The lesson.** A batch is a rectangle, sequences are not, so the short ones are filled up with zeros. An LSTM that is not
told takes the zeros for steps: what it knows has to outlive them, and in training the error has to find its way back
through them. It can learn to hold its answer over zeros, but with the same effort it ends up worse, the more so the
farther the important item is from the last step:

- *padding after* puts zeros between the sequence and the end: bad without a mask;
- *padding before* has the zeros come first, when there is nothing to forget yet: less harm;
- *important item first*: it has to be kept over all other steps, real ones too, and a mask cannot help with those;
- *important item last*: it is still there at the end;
- *reading backwards* (``go_backwards``) turns all of it around, padding as well: first becomes last, after becomes
  before. So an important first item and padding after are best read backwards, which is the trick of Sutskever,
  Vinyals, Le 2014 (arXiv:1409.3215, section 3.3).

With a mask a padded step leaves the states as they are (`hepnn.tasks.sequence_states`), so neither place, length nor
values of the padding reach the result; the network does about as well as one that never sees padding, because its batches
hold sequences of one length only. Without a mask, padding other than that of the training changes the outputs much. The
uncertainties are those of the test sequences; training scatters more, as padding before and after with a mask show, which
differ by rounding alone. The mask goes in as an explicit boolean input. On a GPU, Keras runs an LSTM by cuDNN, which
takes padding after only and refuses other masks: pad on the right, or give ``use_cudnn=False`` as here.

**The data.** Sequences of 5 to 20 vectors in a plane, independent and normal. One decides, the first or the last: whether
it points up. The others are there to be ignored. All networks see the same sequences, in 32 slots; only those without
padding see others of the same kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hepnn.batches import streamed
from hepnn.plots import COLORS, styled
from hepnn.roc import Measured
from hepnn.tasks.fitting import fit, fresh, streams
from hepnn.tasks.measuring import share
from hepnn.tasks.pictures import learning_curves
from hepnn.tasks.task import Fit, Outcome, Report, Table
from hepnn.training import seeded

__all__ = ["Sequences", "Setting", "arranged", "draw", "largest_change", "network", "predicted", "run", "settings"]

Floats = npt.NDArray[np.floating[Any]]
Flags = npt.NDArray[np.bool_]

LENGTHS = (5, 20)
"""Least and greatest number of vectors."""
SLOTS = 32
UNITS = 16
BATCH_SIZE = 128

_NOISE = 10
"""Standard deviation of noise in the padding; that of real vectors is 1."""


class Sequences(NamedTuple):
    """Sequences before anything is done to them.

    Attributes:
        values: (sequence, step, 2); what is behind the end of a sequence is 0.
        lengths: (sequence,).
    """

    values: Floats
    lengths: npt.NDArray[np.int64]

    def points_up(self, important: str) -> Flags:
        """Returns whether the ``first`` or the ``last`` vector of each sequence points up, (sequence,)."""
        at = self.lengths - 1 if important == "last" else np.zeros_like(self.lengths)
        return self.values[np.arange(len(at)), at, 1] > 0


class Setting(NamedTuple):
    """What is done to the sequences.

    Attributes:
        important: which vector decides, "first" or "last".
        padding: "before", "after", or "none": batches of sequences of one length.
        masked: whether the network is told what is padding.
        backwards: whether the network reads from the right end.
    """

    important: str
    padding: str
    masked: bool
    backwards: bool

    def __str__(self) -> str:
        mask = {"none": ""}.get(self.padding, ", mask" if self.masked else ", no mask")
        return (
            f"{self.important} decides, {'backwards' if self.backwards else 'forwards'}, padding {self.padding}{mask}"
        )

    @property
    def steps_to_go(self) -> tuple[int, int]:
        """How many steps the LSTM takes after the item that decides, at least and at most."""
        least, most = LENGTHS
        is_read_first = (self.important == "first") != self.backwards
        pads_come_last = (self.padding == "after") != self.backwards
        behind = (least - 1, most - 1) if is_read_first else (0, 0)
        if self.padding == "none" or self.masked or not pads_come_last:
            return behind
        if is_read_first:
            return SLOTS - 1, SLOTS - 1
        return SLOTS - most, SLOTS - least


def settings(*, quick: bool) -> list[Setting]:
    """Returns all settings, or in a quick run those with padding after and read forwards, masked first."""
    return [
        Setting(important, padding, masked, backwards)
        for important in ("first", "last")
        for backwards in (False, True)
        for padding in ("after", "before", "none")
        for masked in (True, False)
        if not (padding == "none" and masked) and not (quick and (backwards or padding != "after"))
    ]


def draw(n_sequences: int, rng: np.random.Generator, *, length: int | None = None) -> Sequences:
    """Returns sequences of vectors, of random lengths or all of one."""
    lengths = rng.integers(LENGTHS[0], LENGTHS[1] + 1, n_sequences)
    if length is not None:
        lengths[:] = length
    values = rng.standard_normal((n_sequences, LENGTHS[1], 2), np.float32)
    values[np.arange(LENGTHS[1]) >= lengths[:, None]] = 0
    return Sequences(values, lengths)


def arranged(sequences: Sequences, *, padding: str, slots: int = SLOTS, fill: Any = 0.0) -> dict[str, npt.NDArray[Any]]:
    """Returns the inputs of a network.

    Args:
        sequences: at most as long as there are slots.
        padding: "before" or "after"; with "none" there are as many slots as the longest sequence has vectors.
        slots: of each sequence.
        fill: what stands in the padding: a number, or an array (sequence, slot, 2).

    Returns:
        ``values`` (sequence, slot, 2), and ``mask`` (sequence, slot), True for a real vector.
    """
    lengths = sequences.lengths[:, None]
    slots = int(lengths.max()) if padding == "none" else slots
    step = np.arange(slots) - (slots - lengths if padding == "before" else 0)
    mask = (step >= 0) & (step < lengths)
    values = np.take_along_axis(sequences.values, np.where(mask, step, 0)[..., None], axis=1)
    return {"values": np.where(mask[..., None], values, np.float32(fill)), "mask": mask}


def network(setting: Setting) -> keras.Model:
    """Returns an LSTM whose last output tells the probability that the deciding vector points up."""
    values = keras.Input((None, 2), name="values")
    mask = keras.Input((None,), dtype="bool", name="mask")
    layer = keras.layers.LSTM(UNITS, go_backwards=setting.backwards, use_cudnn=False, name="lstm")
    last = layer(values, mask=mask) if setting.masked else layer(values)
    probability = keras.layers.Dense(1, activation="sigmoid", name="probability")(last)
    return keras.Model({"values": values, "mask": mask} if setting.masked else {"values": values}, probability)


def _inputs(setting: Setting, sequences: Sequences, **options: Any) -> dict[str, Any]:
    inputs = arranged(sequences, **{"padding": setting.padding, **options})
    return inputs if setting.masked else {"values": inputs["values"]}


def _stream(setting: Setting, rng: np.random.Generator, *, steps: int) -> tf.data.Dataset:
    """Batches as the setting wants them; without padding, each is of sequences of one length."""

    def batch(n_sequences: int, rng: np.random.Generator, length: int | None = None) -> tuple[Any, Any]:
        sequences = draw(n_sequences, rng, length=length)
        return _inputs(setting, sequences), sequences.points_up(setting.important).astype(np.float32)

    if setting.padding != "none":
        return fresh(batch, rng, batch_size=BATCH_SIZE, steps=steps)

    def batches() -> Iterator[tuple[Any, Any]]:
        for _ in range(steps):
            yield batch(BATCH_SIZE, rng, length=int(rng.integers(LENGTHS[0], LENGTHS[1] + 1)))

    signature = ({"values": tf.TensorSpec((BATCH_SIZE, None, 2))}, tf.TensorSpec((BATCH_SIZE,)))
    return streamed(batches, signature, steps)


def predicted(
    model: keras.Model, sequences: Sequences, *, setting: Setting, padded: Mapping[str, Any] | None = None
) -> Floats:
    """Returns the probability for each sequence, (sequence,).

    Args:
        model: a `network` of the setting.
        sequences: what it reads.
        setting: how it was trained.
        padded: arguments of `arranged`, where they are to be other than the setting's.
    """
    padded = {"padding": setting.padding, **(padded or {})}
    if padded["padding"] != "none":
        return np.asarray(model(_inputs(setting, sequences, **padded)))[:, 0]
    probabilities = np.zeros(len(sequences.lengths))
    for length in np.unique(sequences.lengths):
        chosen = sequences.lengths == length
        bare = Sequences(sequences.values[chosen], sequences.lengths[chosen])
        probabilities[chosen] = np.asarray(model(_inputs(setting, bare, **padded)))[:, 0]
    return probabilities


def largest_change(model: keras.Model, sequences: Sequences, *, setting: Setting, padded: Mapping[str, Any]) -> float:
    """Returns the largest change of a probability when sequences are padded in another way; arguments of `predicted`."""
    before = predicted(model, sequences, setting=setting)
    return float(np.abs(predicted(model, sequences, setting=setting, padded=padded) - before).max())


def run(*, seed: int, quick: bool, report: Report) -> Outcome:
    """Trains one LSTM for each setting on the same sequences, and pads the test sequences in other ways."""
    rng = streams(seed).test
    test = draw(1_000 if quick else 5_000, rng)
    fits: dict[Setting, Fit] = {}
    right: dict[Setting, Measured] = {}
    for setting in settings(quick=quick):
        with seeded(seed):  # the same initial weights for all
            model = network(setting)
        fits[setting] = fit(
            model,
            _stream(setting, streams(seed).train, steps=40 if quick else 75),
            epochs=1 if quick else 4,
            learning_rate=1e-2,
            loss="binary_crossentropy",
            metrics=["accuracy"],
            report=report,
            name=str(setting),
        )
        is_up = predicted(model, test, setting=setting) > 0.5
        right[setting] = share(is_up == test.points_up(setting.important))
    masked, unmasked = (Setting("first", "after", masked=is_masked, backwards=False) for is_masked in (True, False))
    changes = [
        (
            name,
            *(largest_change(fits[each].model, test, setting=each, padded=padded) for each in (masked, unmasked)),
        )
        for name, padded in _other_paddings(test, rng).items()
    ]
    return Outcome(
        measured={
            "largest change of an output by padding, masked": Measured(float(np.max([row[1] for row in changes])), 0.0),
            "largest change of an output by padding, no mask": Measured(
                float(np.max([row[2] for row in changes])), 0.0
            ),
        },
        fits={str(setting): fit for setting, fit in fits.items()},
        n_test=len(test.lengths),
        tables=[_accuracies(right), _changes(changes)],
        figures={
            "accuracy": _draw_accuracies(right),
            "reading on": _draw_reading(fits[masked].model, fits[unmasked].model, rng),
            "learning": learning_curves(
                {"with mask": fits[masked], "without mask": fits[unmasked]}, key="accuracy", label="accuracy"
            ),
        },
    )


def _other_paddings(sequences: Sequences, rng: np.random.Generator) -> dict[str, dict[str, Any]]:
    noise = rng.normal(0, _NOISE, (len(sequences.lengths), SLOTS, 2))
    return {
        "no padding": {"padding": "none"},
        "before": {"padding": "before"},
        f"{2 * SLOTS} slots": {"slots": 2 * SLOTS},
        "filled with 1": {"fill": 1.0},
        "filled with 1000": {"fill": 1000.0},
        f"filled with noise of {_NOISE}": {"fill": noise},
    }


def _accuracies(right: dict[Setting, Measured]) -> Table:
    rows = []
    for setting, accuracy in right.items():
        if setting.masked:
            continue
        masked = setting._replace(masked=True)
        least, most = setting.steps_to_go
        rows.append(
            (
                setting.important,
                "backwards" if setting.backwards else "forwards",
                setting.padding,
                str(least) if least == most else f"{least} to {most}",
                right.get(masked, "–"),
                accuracy,
            )
        )
    return Table(
        f"Accuracy; sequences of {LENGTHS[0]} to {LENGTHS[1]} vectors in {SLOTS} slots",
        ("decides", "read", "padding", "steps after it, no mask", "with mask", "without mask"),
        rows,
    )


def _changes(changes: list[tuple[Any, ...]]) -> Table:
    return Table(
        f"The networks of: first decides, forwards. Largest change of an output from {SLOTS} slots, padded after with 0",
        ("test sequences padded", "with mask", "without mask"),
        changes,
    )


def _draw_accuracies(right: dict[Setting, Measured]) -> Figure:
    """Accuracy of every setting with its uncertainty."""
    with styled():
        figure = Figure(figsize=(11.5, 4.8), layout="constrained")
        for axes, important in zip(figure.subplots(1, 2, sharey=True), ("first", "last"), strict=True):
            rows = [each for each in right if each.important == important]
            places = list(dict.fromkeys((each.backwards, each.padding) for each in rows))
            for masked, shift, color, marker, label in (
                (True, -0.12, COLORS[0], "o", "with mask"),
                (False, 0.12, COLORS[2], "s", "without mask"),
            ):
                shown = [each for each in rows if each.masked == masked and each.padding != "none"]
                _draw_points(axes, shown, places, right, shift=shift, color=color, marker=marker, label=label)
            bare = [each for each in rows if each.padding == "none"]
            _draw_points(axes, bare, places, right, shift=0, color=COLORS[3], marker="D", label="without padding")
            axes.set_xticks(
                range(len(places)),
                [f"{padding}\n{'backwards' if backwards else 'forwards'}" for backwards, padding in places],
                fontsize=10,
            )
            axes.set(title=f"the {important} vector decides", xlabel="padding, and how the network reads")
            axes.set_xlim(-0.5, len(places) - 0.5)
        figure.axes[0].set_ylabel("accuracy")
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3)
    return figure


def _draw_points(
    axes: Axes,
    shown: list[Setting],
    places: list[tuple[bool, str]],
    right: dict[Setting, Measured],
    *,
    shift: float,
    **style: Any,
) -> None:
    if shown:
        at = [places.index((each.backwards, each.padding)) + shift for each in shown]
        accuracies, errors = zip(*(right[each][:2] for each in shown), strict=True)
        axes.errorbar(at, accuracies, errors, ls="", capsize=3, ms=7, **style)


def _draw_reading(masked: keras.Model, unmasked: keras.Model, rng: np.random.Generator) -> Figure:
    """How many answers are right if a network is asked after each slot, on short sequences with much padding."""
    length, slots = 8, 2 * SLOTS
    short = draw(2_000, rng, length=length)
    is_up = short.points_up("first")
    noise = rng.normal(0, _NOISE, (len(is_up), slots, 2))
    lines = (
        (masked, noise, COLORS[0], "-", f"with mask, padded with noise of {_NOISE}"),
        (unmasked, 0.0, COLORS[2], "-", "without mask, padded with 0"),
        (unmasked, noise, COLORS[2], ":", f"without mask, padded with noise of {_NOISE}"),
    )
    with styled():
        figure = Figure(figsize=(8.6, 5.2), layout="constrained")
        axes = figure.add_subplot()
        for model, fill, color, style, label in lines:
            inputs = arranged(short, padding="after", slots=slots, fill=fill)
            answers = np.asarray(_at_every_step(model)(inputs))[..., 0] > 0.5
            shares = (answers == is_up[:, None]).mean(axis=0)
            axes.plot(np.arange(1, slots + 1), shares, style, color=color, label=label)
        axes.axvline(length, color=COLORS[3], ls="--", label="end of the sequences")
        axes.set(xlabel="slots read", ylabel="share of right answers", ylim=(0.4, 1.02))
        figure.legend(loc="outside upper center", ncols=2)
    return figure


def _at_every_step(model: keras.Model) -> keras.Model:
    """The same network with an answer after each step; it takes both inputs."""
    inputs = {"values": keras.Input((None, 2), name="values"), "mask": keras.Input((None,), dtype="bool", name="mask")}
    layer = keras.layers.LSTM(UNITS, return_sequences=True, use_cudnn=False)
    has_mask = "mask" in model.input
    sequence = layer(inputs["values"], mask=inputs["mask"] if has_mask else None)
    layer.set_weights(model.get_layer("lstm").get_weights())
    return keras.Model(inputs, model.get_layer("probability")(sequence))
