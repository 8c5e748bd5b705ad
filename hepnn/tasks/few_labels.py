"""Learning from few labels in three ways, as the tasks on transfer compare them.

- *frozen*: convolutions that were trained on another task stay as they are, and a new head learns from what they say.
- *fine-tuned*: then everything learns on, at a lower rate, so that little is forgotten of what was there.
- *from scratch*: the same network begins with random weights and learns as long.

`compare` does it again and again with other labelled images; `scores_table` and `scores_figure` show what came out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from hepnn.plots import COLORS, styled
from hepnn.tasks.fitting import fit, fresh
from hepnn.tasks.measuring import mean
from hepnn.tasks.task import Fit, Report, Table

__all__ = ["WAYS", "Compared", "compare", "convolutions", "head", "joined", "learn_from", "pretrain"]
__all__ += ["scores_figure", "scores_table"]

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]
Draw = Callable[[int, np.random.Generator], tuple[Floats, Ints]]

WAYS = ("from scratch", "frozen", "fine-tuned")

_RATE = 4e-3
"""Peak learning rate from random weights."""
_RATE_FINE = 2e-3
"""Peak learning rate of fine-tuning: half of it."""
_RATE_HEAD = 1e-2
"""Peak learning rate of a head alone, which is small."""
_BATCH = 16


class Compared(NamedTuple):
    """What the ways reached.

    Attributes:
        scores: by way and number of labels, one a set of labelled images.
        fits: the networks of the first set with as many labels as was asked for, by way; seconds are those of all.
    """

    scores: Mapping[str, Mapping[int, Sequence[float]]]
    fits: Mapping[str, Fit]

    def of(self, way: str, n_labels: int) -> Floats:
        """Returns the scores of one way with one number of labels, (set,)."""
        return np.asarray(self.scores[way][n_labels])


def convolutions(n_channels: int = 1) -> keras.Model:
    """Returns a network from an image of any size, (y, x, channel), to 64 features, each the largest value anywhere."""
    image = values = keras.Input((None, None, n_channels), name="image")
    for layer, filters in enumerate((16, 32, 64)):
        if layer:
            values = keras.layers.MaxPooling2D()(values)
        values = keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(values)
    return keras.Model(image, keras.layers.GlobalMaxPooling2D()(values), name="convolutions")


def head(n_kinds: int) -> keras.Model:
    """Returns a network from the features of `convolutions` to the probabilities of the kinds."""
    features = keras.Input((64,), name="features")
    values = keras.layers.Dense(32, activation="relu")(features)
    return keras.Model(features, keras.layers.Dense(n_kinds, activation="softmax")(values), name="head")


def joined(body: keras.Model, top: keras.Model, *, shape: Sequence[int]) -> keras.Model:
    """Returns the network from an image of this shape, (y, x, channel), to what ``top`` says of the features of ``body``."""
    image = keras.Input(tuple(shape), name="image")
    return keras.Model(image, top(body(image)))


def pretrain(body: keras.Model, data: Any, *, validation: tuple[Floats, Ints], n_kinds: int, **settings: Any) -> Fit:
    """Returns the network that ``body``, trained in place, and a head of its own make.

    Args:
        body: `convolutions`.
        data: a dataset, or a tuple of images and kinds.
        validation: images and kinds.
        n_kinds: kinds there are.
        settings: more of `hepnn.tasks.fitting.fit`.
    """
    model = joined(body, head(n_kinds), shape=validation[0].shape[1:])
    return _fit(model, data, validation=validation, learning_rate=_RATE, name="pretraining", **settings)


def learn_from(images: Floats, kinds: Ints, *, body: keras.Model, n_kinds: int, **settings: Any) -> dict[str, Fit]:
    """Returns the new network, learned from a few labelled images in each of the ways.

    Args:
        images: (image, y, x, channel).
        kinds: (image,), the labels.
        body: the pretrained convolutions; they stay as they are.
        n_kinds: kinds there are.
        settings: ``rng`` of the order of the images, ``steps`` of each training, and ``report``.
    """
    shape = images.shape[1:]
    # frozen: as the convolutions do not change, their features are worked out once
    top = head(n_kinds)
    start = time.perf_counter()
    features = body.predict(images, verbose=0)
    _fit_few(top, features, kinds, learning_rate=_RATE_HEAD, name="frozen", **settings)
    frozen = Fit(joined(body, top, shape=shape), {}, time.perf_counter() - start)

    # fine-tuned: begin from there; a head with random weights would first spoil the convolutions
    own_body, own_top = convolutions(shape[-1]), head(n_kinds)
    own_body.set_weights(body.get_weights())
    own_top.set_weights(top.get_weights())
    tuned = joined(own_body, own_top, shape=shape)
    fine_tuned = _fit_few(tuned, images, kinds, learning_rate=_RATE_FINE, name="fine-tuned", **settings)

    new = joined(convolutions(shape[-1]), head(n_kinds), shape=shape)
    from_scratch = _fit_few(new, images, kinds, learning_rate=_RATE, name="from scratch", **settings)
    return dict(zip(WAYS, (from_scratch, frozen, fine_tuned), strict=True))


def compare(
    draw: Draw,
    test: tuple[Floats, Ints],
    *,
    body: keras.Model,
    n_kinds: int,
    score: Callable[[Floats, Ints], float],
    what: str,
    n_sets: Mapping[int, int],
    steps: int,
    rng: np.random.Generator,
    shown: int,
    report: Report,
) -> Compared:
    """Returns what the ways reach with each number of labels, on several sets of labelled images.

    Args:
        draw: called with a number of images and a generator; returns them and their kinds.
        test: images and kinds to judge by.
        body: the pretrained convolutions.
        n_kinds: kinds there are.
        score: called with probabilities (image, kind) and kinds (image,).
        what: the score is.
        n_sets: by number of labels, how many sets of labelled images, two or more. Fewer labels differ more from set to
            set.
        steps: of each training.
        rng: of the images and their order.
        shown: number of labels of the networks to return.
        report: gets a line for each number of labels in each set.
    """
    scores: dict[str, dict[int, list[float]]] = {way: {n: [] for n in n_sets} for way in WAYS}
    seconds = dict.fromkeys(WAYS, 0.0)
    kept: dict[str, Fit] = {}
    for n, sets in n_sets.items():
        for number in range(sets):
            images, kinds = draw(n, rng)
            fits = learn_from(images, kinds, body=body, n_kinds=n_kinds, rng=rng, steps=steps, report=_quiet)
            for way, each in fits.items():
                scores[way][n].append(score(each.model.predict(test[0], batch_size=500, verbose=0), test[1]))
                seconds[way] += each.seconds
            if n == shown and not number:
                kept = fits
            told = "  ".join(f"{way} {scores[way][n][-1]:.3f}" for way in WAYS)
            report(f"{n} labels, {number + 1}/{sets}: {what} {told}")
    return Compared(scores, {way: kept[way]._replace(seconds=seconds[way]) for way in reversed(WAYS)})


def scores_table(compared: Compared, title: str) -> Table:
    """Returns a table with a row for each number of labels: the mean of each way and its uncertainty."""
    sets = compared.scores[WAYS[0]]
    rows = [(n, len(sets[n]), *(mean(compared.of(way, n)) for way in WAYS)) for n in sets]
    return Table(title, ("labels", "sets", *WAYS), rows)


def scores_figure(compared: Compared, *, xlabel: str, ylabel: str) -> Figure:
    """Returns the scores against the number of labels; each set is a point, the band is the mean ± 1σ."""
    with styled():
        figure = Figure(figsize=(6.8, 5.0), layout="constrained")
        axes = figure.add_subplot()
        for color, (way, by_labels) in zip(COLORS, compared.scores.items(), strict=False):
            n_labels = list(by_labels)
            center, error = np.array([[each.value, each.error] for each in map(mean, by_labels.values())]).T
            axes.plot(n_labels, center, color=color, label=way)
            axes.fill_between(n_labels, center - error, center + error, color=color, alpha=0.25, lw=0)
            for n, values in by_labels.items():
                axes.plot([n] * len(values), values, "o", color=color, ms=3)
        axes.set_xscale("log")
        axes.set_xticks(n_labels, [str(n) for n in n_labels])
        axes.minorticks_off()
        axes.set(xlabel=xlabel, ylabel=ylabel)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=len(WAYS))
    return figure


def _fit_few(
    model: keras.Model, inputs: Floats, kinds: Ints, *, rng: np.random.Generator, steps: int, **settings: Any
) -> Fit:
    """A network trained on batches out of the same few samples, as many steps for any number of them."""

    def pick(n_samples: int, rng: np.random.Generator) -> tuple[Floats, Ints]:
        chosen = rng.integers(len(inputs), size=n_samples)
        return inputs[chosen], kinds[chosen]

    return _fit(model, fresh(pick, rng, batch_size=_BATCH, steps=steps), epochs=1, **settings)


def _fit(model: keras.Model, data: Any, **settings: Any) -> Fit:
    return fit(model, data, loss="sparse_categorical_crossentropy", metrics=["accuracy"], **settings)


def _quiet(line: str) -> None:
    """Takes the report of one of many short trainings; a line each is enough, which `compare` writes."""
