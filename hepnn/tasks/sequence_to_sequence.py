"""A sequence in, another of another length out: an encoder that reads and a decoder that writes.

**The lesson.** An LSTM that answers at every step writes as much as it reads. Where the answer has a length of its
own, the work is shared (Sutskever, Vinyals, Le 2014, arXiv:1409.3215; Cho et al. 2014, arXiv:1406.1078). The
*encoder* reads all tokens and gives nothing but its last states, the hidden and the cell state. With them the
*decoder* starts, so all it knows of the input is in these 2 × 128 numbers. It is given START and writes a token; it is
given that token and writes the next; it ends by writing STOP, a token like any other, which it has to learn to choose.

In training the decoder is given the true token before, whatever it would have written itself (*teacher forcing*,
Williams, Zipser 1989, Neural Comput. 1, 270): all steps are learned at once, and a first mistake does not spoil the
rest. When it is used there is no truth to give. It reads its own words then, always the most likely token (*greedy
decoding*), and a mistake can lead it where it never was in training. So what counts is measured this way: a sequence is
right if every token is, and STOP comes where it should.

**The data.** 3 to 12 digits, each of which is the one before it again with a probability of 0.2. Two rules make another
sequence of them, and as they drop digits, nobody can tell the length of the output from that of the input:

* *backwards*: read from the end, digits in a row that are the same written once. 4 4 1 7 7 4 → 4 7 1 4 STOP. The states
  have to hold every digit and the order, up to 12 digits of which each can be one of ten.
* *sorted*: the digits that occur, from 0 to 9, each once. 4 4 1 7 7 4 → 1 4 7 STOP. Ten yes or no are all that the
  states have to hold, however long the input.

The first is what the task is judged by. The same network learns the second sooner, and goes on being right for inputs
longer than any it was trained on, while backwards it fails there: states of a fixed size hold a set of digits of any
size, but not a sequence of any length. Attention (Bahdanau, Cho, Bengio 2015, arXiv:1409.0473) takes that limit away:
the decoder then looks at all the encoder's hidden states again at each step and weighs them anew, so what is needed
need not pass through the last one. There is none here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from hepnn.plots import COLORS, styled
from hepnn.roc import Measured
from hepnn.tasks.fitting import fit, fresh, streams
from hepnn.tasks.measuring import share
from hepnn.tasks.pictures import learning_curves
from hepnn.tasks.task import Fit, Outcome, Report, Table

__all__ = ["RULES", "Networks", "backwards", "build", "decode", "run", "sorted_once"]

Tokens = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]

DIGITS = 10
STOP = DIGITS
"""The token after the digits ends what is written."""
START = DIGITS + 1
"""The token that the decoder is given first; it is never written."""

STEPS = (3, 12)
"""Fewest and most digits of an input."""
LONGER = 20
"""Most digits of the inputs that are longer than those it was trained on."""
REPEATED = 0.2
"""Probability that a digit is the one before it again."""

UNITS = 128
"""Of the encoder's and of the decoder's LSTM, which have to be the same: the states go from one to the other."""
EMBEDDED = 32
"""Numbers that stand for a token, learned."""

EPOCHS = {"backwards": 12, "sorted": 4}
"""Of 200 batches of 128."""
QUICK_STEPS = 220
"""Batches of 64 in a quick run."""


class Networks(NamedTuple):
    """Three models with the same layers: what one of them learns, the others know.

    Attributes:
        encoder: tokens (step,) and mask (step,) → ``hidden`` (unit,) and ``cell`` (unit,), the last states.
        decoder: ``written`` (step,), the tokens so far from START on, and the states before them → ``probabilities``
            (step, token) of each next token, and the states after them. One step at a time when it is used.
        trained: tokens, mask and ``written`` → probabilities; the decoder, started by the encoder.
    """

    encoder: keras.Model
    decoder: keras.Model
    trained: keras.Model


def build(name: str) -> Networks:
    """Returns an encoder, a decoder, and the network of both, for sequences of any length."""
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    mask = keras.Input((None,), dtype="bool", name="mask")
    embedded = keras.layers.Embedding(DIGITS, EMBEDDED)(tokens)
    _, hidden, cell = keras.layers.LSTM(UNITS, return_state=True)(embedded, mask=mask)
    states = {"hidden": hidden, "cell": cell}
    encoder = keras.Model({"tokens": tokens, "mask": mask}, states, name=f"{name}_encoder")

    written = keras.Input((None,), dtype="int32", name="written")
    before = {state: keras.Input((UNITS,), name=state) for state in states}
    embedded = keras.layers.Embedding(START + 1, EMBEDDED)(written)
    recurrent = keras.layers.LSTM(UNITS, return_sequences=True, return_state=True)
    # written tokens need no mask: what the decoder makes of those after STOP has no weight in the loss
    values, hidden, cell = recurrent(embedded, initial_state=[before["hidden"], before["cell"]])
    probabilities = keras.layers.Dense(STOP + 1, activation="softmax")(values)
    decoder = keras.Model(
        {"written": written, **before},
        {"probabilities": probabilities, "hidden": hidden, "cell": cell},
        name=f"{name}_decoder",
    )

    probabilities = decoder({"written": written, **states})["probabilities"]
    trained = keras.Model({"tokens": tokens, "mask": mask, "written": written}, probabilities, name=name)
    return Networks(encoder, decoder, trained)


def decode(networks: Networks, tokens: Tokens, *, mask: Flags, most: int) -> tuple[Tokens, npt.NDArray[np.float32]]:
    """Returns what the decoder writes by itself, all sequences side by side, and how sure it was.

    The most likely token is written at each step, and read at the next, until all have written STOP.

    Args:
        networks: encoder and decoder.
        tokens: (sequence, step).
        mask: (sequence, step).
        most: tokens after which it is stopped, the STOP included.

    Returns:
        Tokens (sequence, ``most``), STOP from the first STOP on; and the probabilities behind each (sequence, ``most``,
        token), 0 where none were asked for. A row without a STOP was stopped.
    """
    n_sequences = len(tokens)
    states = networks.encoder.predict({"tokens": tokens, "mask": mask}, batch_size=1024, verbose=0)
    written = np.full((n_sequences, most), STOP, np.int32)
    probabilities = np.zeros((n_sequences, most, STOP + 1), np.float32)
    last = np.full((n_sequences, 1), START, np.int32)
    writing = np.ones(n_sequences, bool)
    for step in range(most):
        output = networks.decoder.predict_on_batch({"written": last, **states})
        states = {"hidden": output["hidden"], "cell": output["cell"]}
        probabilities[writing, step] = output["probabilities"][writing, 0]
        last = np.argmax(output["probabilities"], axis=-1).astype(np.int32)
        written[writing, step] = last[writing, 0]
        writing &= last[:, 0] != STOP
        if not writing.any():
            break
    return written, probabilities


def backwards(tokens: Tokens, mask: Flags) -> tuple[Tokens, Flags]:
    """Returns digits (sequence, step) read from the end, and which are written: none that is the same as the one before.

    >>> digits, is_written = backwards(np.array([[4, 4, 1, 7, 7, 0]]), np.array([[True] * 5 + [False]]))
    >>> digits[is_written]
    array([7, 1, 4])
    """
    is_written = mask.copy()
    is_written[:, 1:] &= tokens[:, 1:] != tokens[:, :-1]
    return tokens[:, ::-1], is_written[:, ::-1]


def sorted_once(tokens: Tokens, mask: Flags) -> tuple[Tokens, Flags]:
    """Returns all digits (sequence, digit) in order, and which are written: those that occur.

    >>> digits, is_written = sorted_once(np.array([[4, 4, 1, 7, 7, 0]]), np.array([[True] * 5 + [False]]))
    >>> digits[is_written]
    array([1, 4, 7], dtype=int32)
    """
    digits = np.arange(DIGITS, dtype=np.int32)
    occurs = np.any((tokens[..., None] == digits) & mask[..., None], axis=1)
    return np.broadcast_to(digits, occurs.shape), occurs


Rule = Callable[[Tokens, Flags], tuple[Tokens, Flags]]

RULES: Mapping[str, Rule] = {"backwards": backwards, "sorted": sorted_once}
"""From tokens and mask to tokens, and which of them are written; the first is what the task is judged by."""


class Examples(NamedTuple):
    """Inputs, and what is to be written.

    Attributes:
        inputs: tokens (sequence, step), mask (sequence, step), and what the decoder is given in training, ``written``
            (sequence, step): START, then the true tokens.
        targets: (sequence, step), the true tokens, then STOP to the end of the array; one step more than the input.
        weights: (sequence, step), 1 up to the first STOP, 0 after it: what comes there is not learned.
    """

    inputs: Mapping[str, Any]
    targets: Tokens
    weights: npt.NDArray[np.float32]


def draw(n_sequences: int, rng: np.random.Generator, *, rule: Rule, steps: tuple[int, int] = STEPS) -> Examples:
    """Returns sequences of digits and what ``rule`` makes of them."""
    fewest, most = steps
    drawn = rng.integers(DIGITS, size=(n_sequences, most), dtype=np.int32)
    # each step takes the digit drawn at the last step that was no repetition
    is_new = rng.random((n_sequences, most)) >= REPEATED
    is_new[:, 0] = True
    source = np.maximum.accumulate(np.where(is_new, np.arange(most), 0), axis=1)
    tokens = np.take_along_axis(drawn, source, axis=1)
    mask = np.arange(most) < rng.integers(fewest, most, size=(n_sequences, 1), endpoint=True)
    digits, is_written = rule(tokens, mask)
    targets = np.full((n_sequences, most + 1), STOP, np.int32)
    sequence, step = np.nonzero(is_written)
    place = np.cumsum(is_written, axis=1) - 1
    targets[sequence, place[sequence, step]] = digits[sequence, step]
    weights = np.arange(most + 1) <= is_written.sum(axis=1, keepdims=True)
    start = np.full((n_sequences, 1), START, np.int32)
    written = np.concatenate([start, targets[:, :-1]], axis=1)
    return Examples(
        {"tokens": np.where(mask, tokens, 0), "mask": mask, "written": written}, targets, weights.astype(np.float32)
    )


class _Judged(NamedTuple):
    """What a network wrote."""

    examples: Examples
    written: Tokens
    probabilities: npt.NDArray[np.float32]
    right: Flags
    by_length: Mapping[int, Measured]


def run(*, seed: int, quick: bool, report: Report) -> Outcome:
    """Trains a network for each rule and lets it write."""
    rngs = streams(seed)
    fits: dict[str, Fit] = {}
    judged: dict[str, _Judged] = {}
    rows = []
    for name, rule in RULES.items():
        networks, of_rule = build(name), partial(draw, rule=rule)
        fitted = fit(
            networks.trained,
            fresh(of_rule, rngs.train, batch_size=64 if quick else 128, steps=QUICK_STEPS if quick else 200),
            validation=of_rule(2_000, rngs.validation),
            epochs=1 if quick else EPOCHS[name],
            learning_rate=8e-3,
            loss=keras.losses.SparseCategoricalCrossentropy(reduction="mean_with_sample_weight"),
            report=report,
        )
        fits |= {name: fitted, f"{name}, encoder": Fit(networks.encoder), f"{name}, decoder": Fit(networks.decoder)}
        judged[name] = _judge(networks, rule, rngs.test, n_test=2_000 if quick else 10_000)
        rows.append(_row(name, networks, judged[name]))
    return Outcome(
        measured={"whole sequences right": share(judged["backwards"].right)},
        fits=fits,
        n_test=len(judged["backwards"].right),
        tables=[
            Table(
                "What was written, on test sequences",
                (
                    "rule",
                    "digits read, mean",
                    "digits to write, mean",
                    "next token right, given the truth",
                    "all right",
                ),
                rows,
            )
        ],
        figures={
            "what it wrote": _examples(judged["backwards"]),
            "how sure it was": _sureness(judged["backwards"]),
            "how long an input can be": _by_length(judged),
            "learning": learning_curves(fits, label="loss (cross-entropy per token)"),
        },
    )


def _judge(networks: Networks, rule: Rule, rng: np.random.Generator, *, n_test: int) -> _Judged:
    """Lets a network write the test sequences, and others of which some are longer than any in training."""
    examples, others = (draw(n_test, rng, rule=rule, steps=(STEPS[0], most)) for most in (STEPS[1], LONGER))
    written, probabilities = _write(networks, examples)
    right_of_others = _all_right(_write(networks, others)[0], others.targets)
    lengths = others.inputs["mask"].sum(axis=1)
    by_length = {int(length): share(right_of_others[lengths == length]) for length in np.unique(lengths)}
    return _Judged(examples, written, probabilities, _all_right(written, examples.targets), by_length)


def _write(networks: Networks, examples: Examples) -> tuple[Tokens, npt.NDArray[np.float32]]:
    inputs = examples.inputs
    return decode(networks, inputs["tokens"], mask=inputs["mask"], most=examples.targets.shape[1])


def _all_right(written: Tokens, targets: Tokens) -> Flags:
    """Returns whether each sequence is right from the first token to STOP, (sequence,); STOP fills both to the end."""
    return np.all(written == targets, axis=1)


def _row(name: str, networks: Networks, judged: _Judged) -> tuple[Any, ...]:
    examples = judged.examples
    probabilities = networks.trained.predict(examples.inputs, batch_size=1024, verbose=0)
    counts = examples.weights > 0
    right = (np.argmax(probabilities, axis=-1) == examples.targets)[counts]
    return (
        name,
        float(np.mean(examples.inputs["mask"].sum(axis=1))),
        float(np.mean(counts.sum(axis=1) - 1)),
        share(right),
        share(judged.right),
    )


def _spelled(tokens: Any) -> str:
    """Returns digits with spaces between, to the first STOP."""
    words = []
    for token in tokens:
        words.append("STOP" if token == STOP else str(token))
        if token == STOP:
            break
    return " ".join(words)


def _examples(judged: _Judged, *, n_right: int = 6, n_wrong: int = 4) -> Figure:
    """Sequences as they come, and the first that are wrong."""
    wrong = np.flatnonzero(~judged.right)[:n_wrong]
    chosen = np.concatenate([np.flatnonzero(judged.right)[:n_right], wrong])
    inputs = judged.examples.inputs
    with styled():
        figure = Figure(figsize=(9.0, 0.6 + 0.36 * len(chosen)), layout="constrained")
        axes = figure.add_subplot()
        columns = ((0.0, "read"), (0.3, "to be written"), (0.65, "written"))
        for x, title in columns:
            axes.text(x, 0, title, weight="bold", va="center")
        for row, index in enumerate(chosen, start=1):
            texts = (
                " ".join(map(str, inputs["tokens"][index][inputs["mask"][index]])),
                _spelled(judged.examples.targets[index]),
                _spelled(judged.written[index]),
            )
            for (x, _), text in zip(columns, texts, strict=True):
                is_wrong = x == columns[-1][0] and not judged.right[index]
                color = COLORS[2] if is_wrong else "black"
                axes.text(x, row, text, color=color, family="monospace", fontsize=11, va="center")
        axes.set(xlim=(0, 1), ylim=(len(chosen) + 0.6, -0.6))
        axes.set_axis_off()
    return figure


def _sureness(judged: _Judged) -> Figure:
    """The probability of every token at every step: a long sequence as it comes, and the two it was least sure of."""
    asked: Flags = judged.probabilities.max(axis=-1) > 0
    sureness = np.where(asked, judged.probabilities.max(axis=-1), 1).prod(axis=1)
    chosen = [int(np.argmax(asked.sum(axis=1) > 8)), *np.argsort(sureness)[:2]]
    with styled():
        figure = Figure(figsize=(12.0, 4.6), layout="constrained")
        panels = figure.subplots(1, len(chosen), sharey=True)
        for axes, index in zip(panels, chosen, strict=True):
            n_written = int(asked[index].sum())
            image = axes.pcolormesh(
                judged.probabilities[index, :n_written].T, cmap="Blues", vmin=0, vmax=1, edgecolors="0.9", linewidth=0.3
            )
            target = judged.examples.targets[index, :n_written]
            axes.plot(
                np.arange(n_written) + 0.5, target + 0.5, "o", mfc="none", mec=COLORS[2], ms=9, label="to be written"
            )
            inputs = judged.examples.inputs
            axes.set_title("reads " + " ".join(map(str, inputs["tokens"][index][inputs["mask"][index]])), fontsize=11)
            axes.set_xticks(np.arange(n_written) + 0.5, np.arange(1, n_written + 1))
            axes.set_yticks(np.arange(STOP + 1) + 0.5, [*map(str, range(DIGITS)), "STOP"])
            axes.grid(visible=False)
            axes.set_xlabel("step of the decoder")
        panels[0].set_ylabel("token")
        figure.colorbar(image, ax=panels, label="probability")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center")
    return figure


def _by_length(judged: Mapping[str, _Judged]) -> Figure:
    with styled():
        figure = Figure(figsize=(6.4, 4.6), layout="constrained")
        axes = figure.add_subplot()
        axes.axvspan(STEPS[0] - 0.5, STEPS[1] + 0.5, color="0.93", lw=0, label="lengths it was trained on")
        for color, (name, of_rule) in zip(COLORS, judged.items(), strict=False):
            measured = of_rule.by_length.values()
            axes.errorbar(
                list(of_rule.by_length),
                [each.value for each in measured],
                yerr=[each.error for each in measured],
                fmt="o-",
                color=color,
                label=name,
            )
        axes.set(xlabel="digits read", ylabel="whole sequences right", ylim=(-0.03, 1.05))
        figure.legend(loc="outside upper center", ncols=3)
    return figure
