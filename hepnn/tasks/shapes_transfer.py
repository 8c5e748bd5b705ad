"""Few labels are enough for a network that has already learned to see.

**The lesson.** A network that tells circles from rectangles has learned edges, corners and arcs on the way, and other
shapes are made of these as well. So its convolutions are kept and only the small dense head is made anew. The features
of first layers serve many tasks, those of last layers fewer (Yosinski et al. 2014, arXiv:1411.1792), so three ways are
compared, each with 50, 100, 200 and 500 labels (`hepnn.tasks.few_labels`): the convolutions are *frozen*, and only the
head learns; they are *fine-tuned* after that; or the same network learns *from scratch*.

A convolution does not mind how large the image is, and pooling over all places gives as many numbers for any size:
so what was learned on 32 × 32 pixels is used on 48 × 48.

**The data.** Circles and rectangles for the pretraining, as many as it takes; then triangles, rings and crosses, of
which only a few are labelled. One object an image, radius 5 to 11 pixels, anywhere, at any angle, of brightness 0.4 to
1, with noise of 0.1. The experiment is made again and again with other labelled images; the uncertainties are from
the spread between these.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from hepnn.generators.shapes import KINDS, draw_one_each
from hepnn.tasks.few_labels import compare, convolutions, pretrain, scores_figure, scores_table
from hepnn.tasks.fitting import fresh, streams
from hepnn.tasks.measuring import mean
from hepnn.tasks.pictures import image_grid
from hepnn.tasks.task import Outcome, Report

__all__ = ["N_SETS", "draw_new", "draw_old", "run"]

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]

OLD_KINDS, OLD_SIZE = KINDS[:2], 32
"""Of the pretraining: shapes, and pixels a side."""
NEW_KINDS, NEW_SIZE = KINDS[2:], 48
"""Of the task with few labels."""

N_SETS = {50: 8, 100: 6, 200: 3, 500: 2}
"""Sets of labelled images of the new shapes by how many there are: few of them differ more from set to set."""


def draw_old(n_images: int, rng: np.random.Generator) -> tuple[Floats, Ints]:
    """Returns images of circles and rectangles, (image, y, x, 1), and which it is, (image,)."""
    scenes = draw_one_each(n_images, rng=rng, size=OLD_SIZE, kinds=OLD_KINDS)
    return scenes.images, scenes.kinds[:, 0]


def draw_new(n_images: int, rng: np.random.Generator) -> tuple[Floats, Ints]:
    """Returns larger images of triangles, rings and crosses, (image, y, x, 1), and which it is, (image,)."""
    scenes = draw_one_each(n_images, rng=rng, size=NEW_SIZE, kinds=NEW_KINDS)
    return scenes.images, scenes.kinds[:, 0]


def run(*, seed: int, quick: bool, report: Report) -> Outcome:
    """Pretrains once, then learns from few labels in three ways, several times over."""
    rngs = streams(seed)
    test = draw_new(300 if quick else 2_000, rngs.test)
    body = convolutions()
    pretrained = pretrain(
        body,
        fresh(draw_old, rngs.train, batch_size=64, steps=150 if quick else 750),
        validation=draw_old(500 if quick else 2_000, rngs.validation),
        n_kinds=len(OLD_KINDS),
        epochs=1 if quick else 2,
        report=report,
    )
    compared = compare(
        draw_new,
        test,
        body=body,
        n_kinds=len(NEW_KINDS),
        score=_accuracy,
        what="accuracy",
        n_sets={50: 2, 100: 2} if quick else N_SETS,
        steps=60 if quick else 300,
        rng=rngs.train,
        shown=100,
        report=report,
    )
    # the gain is taken set by set, as the same labelled images are behind both
    gain = compared.of("fine-tuned", 50) - compared.of("from scratch", 50)
    return Outcome(
        measured={
            "accuracy from 100 labels, transferred": mean(compared.of("fine-tuned", 100)),
            "gain over from scratch with 50 labels": mean(gain),
        },
        fits={**compared.fits, "pretrained": pretrained},
        n_test=len(test[1]),
        tables=[
            scores_table(compared, "Accuracy on triangles, rings and crosses, mean over sets of labelled images"),
        ],
        figures={
            "accuracy by labels": scores_figure(compared, xlabel="labelled images of new shapes", ylabel="accuracy"),
            "old and new": _examples(rngs.validation),
        },
    )


def _accuracy(probabilities: Floats, kinds: Ints) -> float:
    return float(np.mean(probabilities.argmax(axis=1) == kinds))


def _examples(rng: np.random.Generator) -> Figure:
    """Images of the pretraining and of the new task, drawn at the same scale."""
    old, new = draw_old(6, rng), draw_new(6, rng)
    margin = NEW_SIZE - OLD_SIZE
    framed = np.pad(old[0], ((0, 0), (0, margin), (0, margin), (0, 0)), constant_values=np.nan)
    titles = [f"old: {OLD_KINDS[kind]}" for kind in old[1]] + [f"new: {NEW_KINDS[kind]}" for kind in new[1]]
    figure, _ = image_grid(np.concatenate([framed, new[0]]), titles)
    return figure
