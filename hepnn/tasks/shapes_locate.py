"""Where is it? Regression of the two corners of a box around an object, to a fraction of a pixel.

**The lesson.** Four numbers out instead of a class: x and y of the upper left and of the lower right corner, as shares of
the image's side. The usual network flattens what its convolutions found and lets dense layers turn it into numbers: to
know where something is, they have to learn the place of every unit by heart. A spatial softmax knows the places already
(Levine, Finn, Darrell, Abbeel 2016, arXiv:1504.00702): each of its 32 maps f is turned into probabilities of
the places, p(i) = exp f(i) / Σ exp f(j), and gives the mean place, Σ p(i) (x(i), y(i)). A mean over places is finer than
the places are, which is how 8 × 8 of them find edges to a tenth of a pixel. From 32 such points two dense layers read the
corners.

The usual network stands beside it, on the same convolutions but without normalising over the batch (Ioffe, Szegedy 2015,
arXiv:1502.03167), with which it came out worse. How the two compare is to be read with care: the learning rate of the mean
places was chosen among several, that of the flattened network was not. Both find edges to a fraction of a pixel. What
overlap they lack is lacking for small objects: a tenth of a pixel is more of a small box than of a large one.

**The loss.** What counts is the overlap, measured by the intersection over union of true and predicted box (IoU). Its own
gradient is 0 where the boxes do not touch, so the generalised IoU goes into the loss (Rezatofighi et al. 2019,
arXiv:1902.09630): with C the smallest box around both,

    GIoU = IoU − (area of C outside of both) / (area of C),

and 1 − GIoU draws boxes together from afar. A box turned inside out has no area to speak of and no way back, so the mean
distance of the corners is added, which shows the way from anywhere. The same two terms, weighted otherwise, train DETR
(Carion et al. 2020, arXiv:2005.12872).

**The data.** One circle or rectangle on 32 × 32 pixels; radius 5 to 11 pixels, anywhere, at any angle, brightness 0.4 to 1,
noise 0.1. Every batch is drawn anew.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops
from matplotlib.figure import Figure

from hepnn.boxes import iou_of_pairs
from hepnn.detection import generalised_iou
from hepnn.generators.shapes import draw_one_each
from hepnn.plots import COLORS, styled
from hepnn.tasks.fitting import fit, fresh, streams
from hepnn.tasks.measuring import mean, share
from hepnn.tasks.pictures import draw_boxes, image_grid, learning_curves
from hepnn.tasks.task import Fit, Outcome, Report, Table

__all__ = ["corner_loss", "draw", "flattened", "mean_places", "run"]

SIZE = 32
"""Pixels a side."""

_CORNERS_WEIGHT = 10.0
"""Of the corners' mean distance in the loss, as shares of the side: 0.1 away costs as much as no overlap at all."""
_N_POINTS = 32
"""Maps, each of which gives one point."""
_SMOOTHING = 0.9
"""Of the running means that batch normalisation uses after training; Keras's 0.99 is for longer trainings."""
_TINY = 1e-7
"""Share of the image: boxes this small have no area."""

Floats = npt.NDArray[np.floating[Any]]


def mean_places() -> keras.Model:
    """Returns a network from an image (y, x, 1) to two corners (4,), by way of mean places."""
    image = keras.Input((SIZE, SIZE, 1), name="image")
    maps = keras.layers.Conv2D(_N_POINTS, 1)(_seen(image, normalised=True))
    side = maps.shape[1]
    maps = keras.layers.Reshape((side * side, _N_POINTS))(maps)
    probability = keras.layers.Softmax(axis=1, name="where")(maps)
    probability = keras.layers.Permute((2, 1))(probability)
    to_place = keras.layers.Dense(2, use_bias=False, trainable=False, name="mean_place")
    points = keras.layers.Flatten()(to_place(probability))
    values = keras.layers.Dense(64, activation="relu")(points)
    model = keras.Model(image, keras.layers.Dense(4, name="corners")(values), name="mean_places")
    y, x = (np.indices((side, side)).reshape(2, -1) + 0.5) / side * 2 - 1  # from −1 to 1 over the image
    to_place.set_weights([np.stack([x, y], axis=1)])
    return model


def flattened() -> keras.Model:
    """Returns a network of the same meaning that flattens its maps and leaves the rest to dense layers."""
    image = keras.Input((SIZE, SIZE, 1), name="image")
    values = keras.layers.MaxPooling2D()(_seen(image, normalised=False))
    values = keras.layers.Flatten()(values)
    values = keras.layers.Dense(128, activation="relu")(values)
    return keras.Model(image, keras.layers.Dense(4, name="corners")(values), name="flattened")


def _seen(image: Any, *, normalised: bool) -> Any:
    """What 64 channels make of each place, 4 × 4 pixels, and what is around it: (image, y / 4, x / 4, channel)."""
    values = image
    for filters, pooled in ((16, True), (32, True), (64, False), (64, False)):
        values = keras.layers.Conv2D(filters, 3, padding="same", use_bias=not normalised)(values)
        if normalised:
            values = keras.layers.BatchNormalization(momentum=_SMOOTHING)(values)
        values = keras.layers.ReLU()(values)
        if pooled:
            values = keras.layers.MaxPooling2D()(values)
    return values


def draw(n_images: int, rng: np.random.Generator) -> tuple[Any, Any]:
    """Returns images (image, y, x, 1), and the corners of the box around the object (image, 4), as shares of the side."""
    scenes = draw_one_each(n_images, rng=rng, size=SIZE)
    return scenes.images, (scenes.boxes[:, 0] / SIZE).astype(np.float32)


def corner_loss(truth: Any, predicted: Any) -> Any:
    """Returns 1 − GIoU, plus the corners' mean distance from where they should be, weighted: (image,), a tensor."""
    distance = ops.mean(ops.abs(predicted - truth), axis=-1)
    _, overlap = generalised_iou(truth, predicted, tiny=_TINY)
    return 1 - overlap + _CORNERS_WEIGHT * distance


def run(*, seed: int, quick: bool, report: Report) -> Outcome:
    """Trains both networks on the same kind of data and judges them on the same test images."""
    rngs = streams(seed)
    validation, (images, truth) = draw(500, rngs.validation), draw(2_000 if quick else 20_000, rngs.test)
    fits, boxes, overlaps = {}, {}, {}
    for name, model, learning_rate in (("mean places", mean_places(), 5e-3), ("flattened", flattened(), 2e-3)):
        fits[name] = fit(
            model,
            fresh(draw, rngs.train, batch_size=32, steps=100 if quick else 500),
            validation=validation,
            epochs=2 if quick else 8,
            learning_rate=learning_rate,
            loss=corner_loss,
            report=report,
            name=name,
        )
        boxes[name] = model.predict(images, batch_size=512, verbose=0)
        overlaps[name] = iou_of_pairs(truth, boxes[name])
    return Outcome(
        measured={"mean IoU": mean(overlaps["mean places"])},
        fits=fits,
        n_test=len(images),
        tables=[_comparison(fits, truth, boxes, overlaps), _by_size(truth, boxes["mean places"], overlaps)],
        figures={
            "boxes": _boxes(images, truth, boxes["mean places"], overlaps["mean places"]),
            "overlap": _overlap_histogram(overlaps),
            "learning": learning_curves(fits, label="1 − GIoU + 10 × distance"),
        },
    )


def _comparison(fits: dict[str, Fit], truth: Floats, boxes: dict[str, Floats], overlaps: dict[str, Floats]) -> Table:
    return Table(
        "Boxes found and true boxes, on the same test images",
        ("network", "parameters", "mean IoU", "IoU ≥ 0.9", "IoU ≥ 0.5", "mean distance of an edge [pixels]"),
        [
            (
                name,
                fit.model.count_params(),
                mean(overlaps[name]),
                share(overlaps[name] >= 0.9),
                share(overlaps[name] >= 0.5),
                mean(SIZE * np.abs(boxes[name] - truth).mean(axis=1)),
            )
            for name, fit in fits.items()
        ],
    )


def _by_size(truth: Floats, boxes: Floats, overlaps: dict[str, Floats]) -> Table:
    """The same distance costs a small box more of its overlap than a large one."""
    side = SIZE * np.sqrt((truth[:, 2:] - truth[:, :2]).prod(axis=1))
    edges = np.quantile(side, [0, 0.25, 0.5, 0.75, 1])
    quarter = np.clip(np.searchsorted(edges, side, side="right") - 1, 0, 3)
    distance = SIZE * np.abs(boxes - truth).mean(axis=1)
    return Table(
        "Mean IoU by the size of the true box, a quarter of the test images each",
        ("√area [pixels]", *overlaps, "mean distance of an edge, mean places [pixels]"),
        [
            (
                f"{edges[i]:.1f} to {edges[i + 1]:.1f}",
                *(mean(values[quarter == i]) for values in overlaps.values()),
                mean(distance[quarter == i]),
            )
            for i in range(4)
        ],
    )


def _boxes(images: Any, truth: Any, boxes: Any, overlaps: Any) -> Figure:
    """Six images as they come, and the six with the smallest overlap."""
    chosen = np.concatenate([np.arange(6), np.argsort(overlaps)[:6]])
    figure, panels = image_grid(images[chosen], [f"IoU {overlap:.3f}" for overlap in overlaps[chosen]])
    for axes, index in zip(panels, chosen, strict=True):
        draw_boxes(axes, SIZE * truth[[index]], color=COLORS[1])
        draw_boxes(axes, SIZE * boxes[[index]], color=COLORS[0], style="--")
    figure.suptitle("true boxes in orange, found boxes in blue and dashed; below: the six worst", fontsize=11)
    return figure


def _overlap_histogram(overlaps: dict[str, Floats]) -> Figure:
    """How the overlap is distributed."""
    edges = np.linspace(0, 1, 101).tolist()
    with styled():
        figure = Figure(figsize=(6.4, 4.4), layout="constrained")
        axes = figure.add_subplot()
        for color, (name, values) in zip(COLORS, overlaps.items(), strict=False):
            axes.hist(values, edges, histtype="step", lw=2, color=color, label=f"{name}, mean {values.mean():.3f}")
        axes.set(xlabel="IoU of found and true box", ylabel="test images", yscale="log", xlim=(0, 1))
        axes.legend(loc="upper left")
    return figure
