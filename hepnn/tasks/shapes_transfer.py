"""Few labels are enough for a network that has already learned to see.

**The lesson.** A network that tells circles from rectangles has learned edges, corners and arcs on the way, and other
shapes are made of these as well. So its convolutions are kept and only the small dense head is made anew. The features
of first layers serve many tasks, those of last layers fewer (Yosinski et al. 2014, arXiv:1411.1792), so three ways are
compared, each with 50, 100, 200 and 500 labels:

- *frozen*: the convolutions stay as they are, and the head learns from what they say. This takes a second.
- *fine-tuned*: then everything learns on, at a lower rate, so that little is forgotten of what was there.
- *from scratch*: the same network begins with random weights and learns as long, at the rate of the pretraining.

A convolution does not mind how large the image is, and pooling over all places gives as many numbers for any size:
so what was learned on 32 × 32 pixels is used on 48 × 48.

**The data.** Circles and rectangles for the pretraining, as many as it takes; then triangles, rings and crosses, of
which only a few are labelled. One object an image, radius 5 to 11 pixels, anywhere, at any angle, of brightness 0.4 to
1, with noise of 0.1. The experiment is made again and again with other labelled images; the uncertainties are from
the spread between these.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from hepnn.generators.shapes import KINDS, draw_one_each
from hepnn.plots import COLORS, styled
from hepnn.roc import Measured
from hepnn.tasks.fitting import fit, fresh, streams
from hepnn.tasks.measuring import mean
from hepnn.tasks.pictures import image_grid
from hepnn.tasks.task import Fit, Outcome, Report, Table

__all__ = ["N_SETS", "convolutions", "draw_new", "draw_old", "head", "joined", "learn_from", "run"]

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]
Accuracies = Mapping[str, dict[int, list[Any]]]
"""By way of learning and number of labels: one accuracy a set of labelled images."""

OLD_KINDS, OLD_SIZE = KINDS[:2], 32
"""Of the pretraining: shapes, and pixels a side."""
NEW_KINDS, NEW_SIZE = KINDS[2:], 48
"""Of the task with few labels."""

N_SETS = {50: 8, 100: 6, 200: 3, 500: 2}
"""Sets of labelled images of the new shapes by how many there are: few of them differ more from set to set."""

_RATE = 4e-3
"""Peak learning rate from random weights."""
_RATE_FINE = 2e-3
"""Peak learning rate of fine-tuning: half of it."""
_RATE_HEAD = 1e-2
"""Peak learning rate of a head alone, which is small."""
_BATCH = 16

WAYS = ("from scratch", "frozen", "fine-tuned")


def draw_old(n_images: int, rng: np.random.Generator) -> tuple[Floats, Ints]:
    """Returns images of circles and rectangles, (image, y, x, 1), and which it is, (image,)."""
    scenes = draw_one_each(n_images, rng=rng, size=OLD_SIZE, kinds=OLD_KINDS)
    return scenes.images, scenes.kinds[:, 0]


def draw_new(n_images: int, rng: np.random.Generator) -> tuple[Floats, Ints]:
    """Returns larger images of triangles, rings and crosses, (image, y, x, 1), and which it is, (image,)."""
    scenes = draw_one_each(n_images, rng=rng, size=NEW_SIZE, kinds=NEW_KINDS)
    return scenes.images, scenes.kinds[:, 0]


def convolutions() -> keras.Model:
    """Returns a network from an image of any size, (y, x, 1), to 64 features, each the largest value anywhere."""
    image = values = keras.Input((None, None, 1), name="image")
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


def joined(body: keras.Model, top: keras.Model, *, size: int) -> keras.Model:
    """Returns the network from an image of ``size`` pixels a side to what ``top`` says about the features of ``body``."""
    image = keras.Input((size, size, 1), name="image")
    return keras.Model(image, top(body(image)))


def learn_from(images: Floats, kinds: Ints, *, body: keras.Model, **settings: Any) -> dict[str, Fit]:
    """Returns the new network, learned from a few labelled images in each of the ways.

    Args:
        images: (image, y, x, 1).
        kinds: (image,), the labels.
        body: the pretrained convolutions; they stay as they are.
        settings: ``rng`` of the order of the images, ``steps`` of each training, and ``report``.
    """
    # frozen: as the convolutions do not change, their features are worked out once
    top = head(len(NEW_KINDS))
    start = time.perf_counter()
    features = body.predict(images, verbose=0)
    _fit(top, features, kinds, learning_rate=_RATE_HEAD, name="frozen", **settings)
    frozen = Fit(joined(body, top, size=NEW_SIZE), {}, time.perf_counter() - start)

    # fine-tuned: begin from there; a head with random weights would first spoil the convolutions
    own_body, own_top = convolutions(), head(len(NEW_KINDS))
    own_body.set_weights(body.get_weights())
    own_top.set_weights(top.get_weights())
    tuned = joined(own_body, own_top, size=NEW_SIZE)
    fine_tuned = _fit(tuned, images, kinds, learning_rate=_RATE_FINE, name="fine-tuned", **settings)

    new = joined(convolutions(), head(len(NEW_KINDS)), size=NEW_SIZE)
    from_scratch = _fit(new, images, kinds, learning_rate=_RATE, name="from scratch", **settings)
    return dict(zip(WAYS, (from_scratch, frozen, fine_tuned), strict=True))


def _fit(
    model: keras.Model, inputs: Floats, kinds: Ints, *, rng: np.random.Generator, steps: int, **settings: Any
) -> Fit:
    """A network trained on batches out of the same few samples, as many steps for any number of them."""

    def pick(n_samples: int, rng: np.random.Generator) -> tuple[Floats, Ints]:
        chosen = rng.integers(len(inputs), size=n_samples)
        return inputs[chosen], kinds[chosen]

    batches = fresh(pick, rng, batch_size=_BATCH, steps=steps)
    return fit(model, batches, epochs=1, loss="sparse_categorical_crossentropy", metrics=["accuracy"], **settings)


def run(*, seed: int, quick: bool, report: Report) -> Outcome:
    """Pretrains once, then learns from few labels in three ways, several times over."""
    rngs = streams(seed)
    n_sets = {50: 2, 100: 2} if quick else N_SETS
    test_images, test_kinds = draw_new(300 if quick else 2_000, rngs.test)

    body = convolutions()
    pretrained = fit(
        joined(body, head(len(OLD_KINDS)), size=OLD_SIZE),
        fresh(draw_old, rngs.train, batch_size=64, steps=150 if quick else 750),
        validation=draw_old(500 if quick else 2_000, rngs.validation),
        epochs=1 if quick else 2,
        learning_rate=_RATE,
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        report=report,
        name="pretraining",
    )
    accuracy: Accuracies = {way: {n: [] for n in n_sets} for way in WAYS}
    seconds = dict.fromkeys(WAYS, 0.0)
    for n, sets in n_sets.items():
        for index in range(sets):
            images, kinds = draw_new(n, rngs.train)
            fits = learn_from(images, kinds, body=body, rng=rngs.train, steps=60 if quick else 300, report=_quiet)
            for way, each in fits.items():
                predicted = each.model.predict(test_images, batch_size=500, verbose=0).argmax(axis=1)
                accuracy[way][n].append(np.mean(predicted == test_kinds))
                seconds[way] += each.seconds
            if n == 100 and not index:
                shown = fits
            told = "  ".join(f"{way} {accuracy[way][n][-1]:.3f}" for way in WAYS)
            report(f"{n} labels, {index + 1}/{sets}: accuracy {told}")
    return Outcome(
        measured=_measured(accuracy),
        fits={
            **{way: shown[way]._replace(seconds=seconds[way]) for way in reversed(WAYS)},
            "pretrained": pretrained,
        },
        n_test=len(test_kinds),
        tables=[
            Table(
                "Accuracy on triangles, rings and crosses, mean over sets of labelled images",
                ("labels", "sets", *WAYS),
                [(n, sets, *(mean(accuracy[way][n]) for way in WAYS)) for n, sets in n_sets.items()],
            ),
        ],
        figures={"accuracy by labels": _curves(accuracy), "old and new": _examples(rngs.validation)},
    )


def _measured(accuracy: Accuracies) -> dict[str, Measured]:
    """What the goals are about; the gain is taken set by set, as the same labelled images are behind both."""
    gain = np.subtract(accuracy["fine-tuned"][50], accuracy["from scratch"][50])
    return {
        "accuracy from 100 labels, transferred": mean(accuracy["fine-tuned"][100]),
        "gain over from scratch with 50 labels": mean(gain),
    }


def _curves(accuracy: Accuracies) -> Figure:
    """Accuracy against the number of labels; each set of labelled images is a point, the band is the mean ± 1σ."""
    with styled():
        figure = Figure(figsize=(6.8, 5.0), layout="constrained")
        axes = figure.add_subplot()
        for color, (way, by_labels) in zip(COLORS, accuracy.items(), strict=False):
            n_labels = list(by_labels)
            center, error = np.array([[each.value, each.error] for each in map(mean, by_labels.values())]).T
            axes.plot(n_labels, center, color=color, label=way)
            axes.fill_between(n_labels, center - error, center + error, color=color, alpha=0.25, lw=0)
            for n, values in by_labels.items():
                axes.plot([n] * len(values), values, "o", color=color, ms=3)
        axes.set_xscale("log")
        axes.set_xticks(n_labels, [str(n) for n in n_labels])
        axes.minorticks_off()
        axes.set(xlabel="labelled images of new shapes", ylabel="accuracy")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=len(WAYS))
    return figure


def _examples(rng: np.random.Generator) -> Figure:
    """Images of the pretraining and of the new task, drawn at the same scale."""
    old, new = draw_old(6, rng), draw_new(6, rng)
    margin = NEW_SIZE - OLD_SIZE
    framed = np.pad(old[0], ((0, 0), (0, margin), (0, margin), (0, 0)), constant_values=np.nan)
    titles = [f"old: {OLD_KINDS[kind]}" for kind in old[1]] + [f"new: {NEW_KINDS[kind]}" for kind in new[1]]
    figure, _ = image_grid(np.concatenate([framed, new[0]]), titles)
    return figure


def _quiet(line: str) -> None:
    """Takes the report of one of many short trainings; a line each is enough, which `run` writes."""
