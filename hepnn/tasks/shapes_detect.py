"""Several objects: which are there, where, and of which kind?

**The lesson.** A network has a fixed number of outputs, an image any number of objects. A detector of the YOLO kind
(Redmon et al. 2016, arXiv:1506.02640) settles this by dividing the work: the image has 8 × 8 cells, and each answers
only for objects whose centre is in it. It gives up to two boxes, and for each a score, a place, a size and a kind.
(Objects that overlap little hardly ever have their centres in the same cell, here 3 in 10,000; the second box is for
those.) All cells are asked the same, so the network is a convolutional one from end to end: three convolutions with
stride 2 turn 64 × 64 pixels into 8 × 8 places, more of them let each place see what is around it, and a 1 × 1
convolution reads off the answers. `hepnn.detection` holds the grid, the network and the loss.

Then the best boxes are picked. A centre near the edge of two cells is often answered by both, so an object can have
several boxes: of those that overlap, non-maximum suppression keeps the one with the highest score.

**The measure.** A detection is right if it overlaps an object of its kind with an IoU above a threshold, and no surer
one had that object. Going down the scores, more objects are found (recall) and more detections are wrong (precision
falls). The average of precision over recall, and over kinds, is mAP@0.5 for a threshold of 0.5; its mean over thresholds
up to 0.95 is COCO's mAP@[.5:.95], which asks for edges that are right to a fraction of a pixel (`hepnn.boxes`). A single object
missed makes the precision at recall 1 count as 0, so with 101 recalls hardly anything exceeds 100/101 = 0.990. Circles
come out better than rectangles: a box touches a turned rectangle only at its corners, which few pixels tell.

**The data.** 64 × 64 pixels; 1 to 6 circles and rectangles, radius 5 to 11 pixels, anywhere, at any angle, of any
brightness from 0.4 to 1, with noise of 0.1. Up to a fifth of the smaller box may lie in another's box, and later objects
cover earlier ones. Every batch is drawn anew.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from hepnn.boxes import (
    IOU_THRESHOLDS,
    RECALLS,
    Detections,
    Matches,
    Objects,
    match,
    mean_average_precision,
    precision_at_recalls,
    suppress,
)
from hepnn.detection import Grid, detect, detection_loss, detector, encode
from hepnn.generators.shapes import KINDS, Scenes, draw_shapes
from hepnn.plots import COLORS, styled
from hepnn.roc import Measured
from hepnn.tasks.fitting import fit, fresh, streams
from hepnn.tasks.measuring import bootstrapped, share
from hepnn.tasks.pictures import draw_boxes, image_grid, learning_curves
from hepnn.tasks.task import Outcome, Report, Table

__all__ = ["GRID", "draw", "draw_scenes", "run"]

GRID = Grid(rows=8, columns=8, cell=8, n_boxes=2, n_kinds=2)
"""Of 8 × 8 pixels a cell, so 64 × 64 in all."""

_MAX_OBJECTS = 6
"""On one image; at least 1."""

_SURE = 0.5
"""Score from which on a detection is shown, and counted where numbers are given for one working point."""

_SHOWN_IOUS = (0.5, 0.75, 0.9)
"""From which on a detection is right, where not all of them are shown."""

_KINDS = KINDS[: GRID.n_kinds]
_COLORS = (COLORS[0], COLORS[1])
"""Of circles and of rectangles."""


def draw_scenes(n_images: int, rng: np.random.Generator) -> Scenes:
    """Returns images with 1 to 6 objects; each is a circle or a rectangle with the same probability."""
    n_objects = rng.integers(1, _MAX_OBJECTS + 1, size=n_images)
    n_circles = rng.binomial(n_objects, 0.5)
    return draw_shapes(np.stack([n_circles, n_objects - n_circles], axis=1), rng=rng, size=GRID.rows * GRID.cell)


def draw(n_images: int, rng: np.random.Generator) -> tuple[Any, Any]:
    """Returns images (image, y, x, 1), and the grids of answers that are right for them (`hepnn.detection.encode`)."""
    scenes = draw_scenes(n_images, rng)
    return scenes.images, encode(_objects(scenes), GRID)


def run(*, seed: int, quick: bool, report: Report) -> Outcome:
    """Trains the detector and judges what it finds on test images."""
    rngs = streams(seed)
    fitted = fit(
        detector(GRID, filters=(8, 16, 32) if quick else (16, 32, 64)),
        fresh(draw, rngs.train, batch_size=32, steps=75 if quick else 400),
        validation=draw(200 if quick else 1_000, rngs.validation),
        epochs=3 if quick else 10,
        learning_rate=4e-3,
        loss=detection_loss,
        report=report,
    )
    scenes = draw_scenes(500 if quick else 4_000, rngs.test)
    objects = _objects(scenes)
    every = detect(fitted.model, scenes.images, grid=GRID, max_overlap=1.0)
    found = every._replace(present=suppress(every.boxes, every.scores, kinds=every.kinds, present=every.present))
    matches, unsuppressed = (match(each, objects, n_kinds=GRID.n_kinds) for each in (found, every))
    by_kind = precision_at_recalls(matches).mean(axis=-1)

    def averaged(matches: Matches, threshold: float | None = None) -> Measured:
        return bootstrapped(
            lambda images: mean_average_precision(matches, threshold=threshold, images=images),
            len(scenes.images),
            rng=np.random.default_rng(seed),
        )

    return Outcome(
        measured={"mAP@0.5": averaged(matches, 0.5), "mAP@[.5:.95]": averaged(matches)},
        fits={"detector": fitted},
        n_test=len(scenes.images),
        tables=[
            Table(
                "Average precision by the IoU from which on a detection is right",
                ("IoU", *(f"{kind}s" for kind in _KINDS), "both"),
                [
                    (f"{threshold:g}", *by_kind[:, _at(matches, threshold)].tolist(), averaged(matches, threshold))
                    for threshold in (*_SHOWN_IOUS, IOU_THRESHOLDS[-1])
                ],
            ),
            Table(
                f"What suppression does, with detections that score {_SURE:g} or more and are right from an IoU of 0.5 on",
                ("boxes", "objects found", "detections right", "mAP@0.5"),
                [
                    (name, *_working_point(each), averaged(each, 0.5))
                    for name, each in (("all", unsuppressed), ("the best of each cluster", matches))
                ],
            ),
        ],
        figures={
            "what it found": _examples(scenes, found, matches),
            "precision and recall": _curves(matches),
            "learning": learning_curves({"detector": fitted}),
        },
    )


def _objects(scenes: Scenes) -> Objects:
    return Objects(scenes.boxes, scenes.kinds, scenes.present)


def _at(matches: Matches, threshold: float) -> int:
    """Where a threshold of the IoU is."""
    return int(np.abs(matches.thresholds - threshold).argmin())


def _working_point(matches: Matches) -> tuple[Measured, Measured]:
    """The shares of objects that are found and of detections that are right, of those that are sure enough."""
    right = matches.right[_at(matches, 0.5), matches.scores >= _SURE]
    objects = np.arange(matches.n_objects.sum()) < right.sum()  # each object is found at most once
    return share(objects), share(right)


def _examples(scenes: Scenes, found: Detections, matches: Matches) -> Figure:
    """Four images as they come, and the four with the most mistakes: objects missed, detections that are wrong."""
    sure = matches.scores >= _SURE
    right = matches.right[_at(matches, 0.5)]
    n_right, n_wrong = (
        np.bincount(matches.images[sure & each], minlength=len(scenes.images)) for each in (right, ~right)
    )
    n_missed = matches.n_objects.sum(axis=1) - n_right
    chosen = np.concatenate([np.arange(4), 4 + np.argsort(-(n_missed + n_wrong)[4:], kind="stable")[:4]])
    titles = [f"{n_missed[image]} missed, {n_wrong[image]} wrong" for image in chosen]
    figure, panels = image_grid(scenes.images[chosen], titles, columns=4)
    for axes, image in zip(panels, chosen, strict=True):
        for kind, color in enumerate(_COLORS):
            shown = found.present[image] & (found.kinds[image] == kind) & (found.scores[image] >= _SURE)
            labels = [f"{score:.2f}" for score in found.scores[image, shown]]
            draw_boxes(axes, found.boxes[image, shown], color=color, labels=labels)
            there = scenes.present[image] & (scenes.kinds[image] == kind)
            draw_boxes(axes, scenes.boxes[image, there], color="white", style="--")
    handles = [Line2D([], [], color=color, label=f"found: {kind}") for kind, color in zip(_KINDS, _COLORS, strict=True)]
    handles.append(Line2D([], [], color="black", ls="--", label="true (drawn white)"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def _curves(matches: Matches) -> Figure:
    """Precision against recall, a colour an IoU, a style a kind."""
    precision = precision_at_recalls(matches)
    with styled():
        figure = Figure(figsize=(6.4, 5.2), layout="constrained")
        axes = figure.add_subplot()
        for color, threshold in zip(COLORS, _SHOWN_IOUS, strict=False):
            for style, kind, curve in zip(("-", "--"), _KINDS, precision[:, _at(matches, threshold)], strict=True):
                reached = curve > 0
                label = f"{kind}s, IoU ≥ {threshold:g}"
                axes.plot(RECALLS[reached], curve[reached], style, color=color, label=label)
        axes.set(
            xlabel="recall: share of objects found",
            ylabel="precision: share of right ones",
            xlim=(0, 1.02),
            ylim=(0, 1.02),
        )
        figure.legend(loc="outside upper center", ncols=2)
    return figure
