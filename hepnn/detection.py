"""A detector of several objects in one pass over an image, in the manner of YOLO (Redmon et al. 2016, arXiv:1506.02640).

The image is divided into cells. An object belongs to the cell that its centre is in. For each cell the network gives a
few boxes, and for each box how sure it is that there is an object, where, and of which kind. So what is learned has the
same form in every cell, which is what a convolution can do, and the number of objects is free.

A grid of answers is one tensor, (image, row, column, box, 5 + kinds), for truth and network alike:

    0       objectness: 1 if the box has an object, else 0; of the network, between 0 and 1
    1, 2    x and y of the object's centre minus those of the cell's, in cells
    3, 4    logarithm of the box's width and height, in cells
    5 …     probability of each kind; they add up to 1

`encode` makes such a tensor of objects, `detector` a network that gives one, `detection_loss` compares the two, and
`decode` and `detect` turn one into boxes again. Objects can be anything with a box: `hepnn.boxes.Objects`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt

from hepnn.boxes import Detections, Objects, by_score, suppress
from hepnn.errors import InputError

__all__ = ["Grid", "decode", "detect", "detection_loss", "detector", "encode"]

Floats = npt.NDArray[np.floating[Any]]
Tensor = Any

_BOX_WEIGHT = 5.0
"""Of a box's place and size in the loss, against 1 for its objectness and its kind; λ_coord of arXiv:1506.02640, eq. 3."""

_RARE = 0.01
"""Objectness that an untrained network gives, near the share of boxes with an object: otherwise the many empty ones
dominate the first steps (Lin et al. 2017, arXiv:1708.02002, section 3.3)."""


class Grid(NamedTuple):
    """The cells that an image is divided into.

    Attributes:
        rows: cells from top to bottom.
        columns: cells from left to right.
        cell: side of a cell, in pixels: a power of 2.
        n_boxes: objects that one cell can hold.
        n_kinds: kinds of objects.
    """

    rows: int
    columns: int
    cell: int
    n_boxes: int
    n_kinds: int


def encode(objects: Objects, grid: Grid) -> Floats:
    """Returns the grid of answers that is right for these objects, float32.

    The objects of one cell take its boxes by falling area, so that each box has a meaning that can be learned. Objects
    beyond the number of boxes are left out. An object whose centre is outside the image goes to the nearest cell.

    Args:
        objects: (image, slot).
        grid: the cells.

    Returns:
        (image, row, column, box, 5 + kinds); where there is no object, all 0.
    """
    image, slot = np.nonzero(objects.present)
    boxes = np.asarray(objects.boxes, np.float64)[image, slot] / grid.cell
    center, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    column, row = np.clip(np.floor(center), 0, [grid.columns - 1, grid.rows - 1]).astype(np.int64).T
    cell = (image * grid.rows + row) * grid.columns + column
    order = np.lexsort((-size.prod(axis=1), cell))
    first = np.searchsorted(cell[order], cell[order])  # where the objects of the same cell begin
    box = np.empty_like(cell)
    box[order] = np.arange(len(cell)) - first
    fits = box < grid.n_boxes
    answers = np.zeros((len(objects.present), grid.rows, grid.columns, grid.n_boxes, 5 + grid.n_kinds), np.float32)
    answers[image[fits], row[fits], column[fits], box[fits]] = np.concatenate(
        [
            np.ones((len(cell), 1)),
            center - np.stack([column, row], axis=1) - 0.5,
            np.log(size),
            np.eye(grid.n_kinds)[objects.kinds[image, slot]],
        ],
        axis=1,
    )[fits]
    return answers


def decode(answers: Floats, grid: Grid, *, min_score: float = 0.01) -> Detections:
    """Returns the boxes in a grid of answers, with the likeliest kind of each: (image, row · column · box).

    A box's score is its objectness times the probability of its kind (arXiv:1506.02640, eq. 1).

    Args:
        answers: (image, row, column, box, 5 + kinds).
        grid: the cells.
        min_score: boxes below it are not present.
    """
    columns, rows = np.arange(grid.columns)[None, :, None], np.arange(grid.rows)[:, None, None]
    cells = np.stack(np.broadcast_arrays(columns, rows), axis=-1) + 0.5
    center, half = cells + answers[..., 1:3], np.exp(answers[..., 3:5]) / 2
    boxes = grid.cell * np.concatenate([center - half, center + half], axis=-1)
    scores = answers[..., 0] * answers[..., 5:].max(axis=-1)
    boxes, kinds, scores = (
        part.reshape(len(answers), grid.rows * grid.columns * grid.n_boxes, *part.shape[4:])
        for part in (boxes, answers[..., 5:].argmax(axis=-1), scores)
    )
    return Detections(boxes, kinds, scores >= min_score, scores)


def detect(
    model: keras.Model, images: Floats, *, grid: Grid, min_score: float = 0.01, max_overlap: float = 0.5
) -> Detections:
    """Returns what a network finds on images, by falling score, one detection of each cluster.

    Args:
        model: from `detector`, trained.
        images: (image, y, x, channel).
        grid: what it was built for.
        min_score: detections below it are left out.
        max_overlap: IoU from which on two boxes of one kind are the same object (`hepnn.boxes.suppress`).
    """
    found = decode(model.predict(images, batch_size=256, verbose=0), grid, min_score=min_score)
    kept = suppress(found.boxes, found.scores, kinds=found.kinds, present=found.present, threshold=max_overlap)
    return by_score(found._replace(present=kept))


def detection_loss(true: Tensor, predicted: Tensor) -> Tensor:
    """Returns the loss of each image, (image,): a sum over boxes.

    - The box: 5 (1 − GIoU), where there is an object. The generalised IoU (Rezatofighi et al. 2019, arXiv:1902.09630,
      algorithm 1) is the IoU minus the share of the smallest enclosing box that belongs to neither, so that it has a
      slope even where the boxes do not touch. A squared error would ask for the same number of pixels from small
      and large objects; the IoU asks for what is measured in the end.
    - The kind: cross-entropy, where there is an object.
    - The objectness: binary cross-entropy, everywhere. Its truth is the IoU of the box the network gives with the
      object, and 0 without an object (arXiv:1506.02640, section 2). So a high score means a well placed box.

    Args:
        true: (image, row, column, box, 5 + kinds), from `encode`.
        predicted: of the same shape, from a `detector`.
    """
    there = true[..., 0]
    overlap, generalised = generalised_iou(_corners(true[..., 1:5]), _corners(predicted[..., 1:5]))
    quality = keras.ops.stop_gradient(overlap) * there
    objectness = keras.ops.binary_crossentropy(quality[..., None], predicted[..., :1])[..., 0]
    kind = keras.ops.categorical_crossentropy(true[..., 5:], predicted[..., 5:])
    return keras.ops.sum(objectness + there * (_BOX_WEIGHT * (1 - generalised) + kind), axis=(1, 2, 3))


def detector(grid: Grid, *, filters: Sequence[int] = (16, 32, 64), depth: int = 3, channels: int = 1) -> keras.Model:
    """Returns a network from images (y, x, channel) to a grid of answers, (row, column, box, 5 + kinds).

    Convolutions of 3 × 3 with stride 2 halve the image until a pixel is a cell; more of them without stride widen what
    a cell sees; convolutions of 1 × 1 read off the answers. Place and size are linear, as in arXiv:1506.02640; the rest
    are probabilities.

    Args:
        grid: the cells; the images have to be as large.
        filters: channels after each halving.
        depth: convolutions at the size of the grid. Each lets a cell see one cell farther to all sides.
        channels: of the image.

    Raises:
        InputError: so many halvings do not make cells of this size.
    """
    if 2 ** len(filters) != grid.cell:
        raise InputError(
            f"asked for cells of {grid.cell} pixels from {len(filters)} convolutions that halve the image, which gives cells "
            f"of {2 ** len(filters)}. Give one number of filters for each halving."
        )
    image = keras.Input((grid.rows * grid.cell, grid.columns * grid.cell, channels), name="image")
    values = image
    for layer, width in enumerate(filters):
        values = keras.layers.Conv2D(width, 3, strides=2, padding="same", activation="relu", name=f"halving_{layer}")(
            values
        )
    for layer in range(depth):
        values = keras.layers.Conv2D(filters[-1], 3, padding="same", activation="relu", name=f"around_{layer}")(values)

    def read_off(name: str, width: int, activation: str, *, bias: float = 0.0) -> Tensor:
        answers = keras.layers.Conv2D(
            grid.n_boxes * width, 1, bias_initializer=keras.initializers.Constant(bias), name=name
        )(values)
        answers = keras.layers.Reshape((grid.rows, grid.columns, grid.n_boxes, width), name=f"{name}_of_boxes")(answers)
        return keras.layers.Activation(activation, name=f"{name}_answers")(answers)

    objectness = read_off("objectness", 1, "sigmoid", bias=float(np.log(_RARE / (1 - _RARE))))
    box = read_off("box", 4, "linear")
    # the one kind there is has probability 1
    kind = read_off("kind", grid.n_kinds, "softmax") if grid.n_kinds > 1 else keras.ops.ones_like(objectness)
    answers = keras.layers.Concatenate(name="answers")([objectness, box, kind])
    return keras.Model(image, answers, name="detector")


def generalised_iou(boxes: Tensor, others: Tensor, *, tiny: float = 0.0) -> tuple[Tensor, Tensor]:
    """Returns IoU and generalised IoU of each box with the one in the same place, (…) both.

    Rezatofighi et al. 2019 (arXiv:1902.09630), algorithm 1. A box turned inside out has no area.

    Args:
        boxes: (…, 4), x and y of the upper left and of the lower right corner.
        others: (…, 4).
        tiny: added to areas that are divided by, where they can be 0.
    """
    least, most = keras.ops.minimum(boxes, others), keras.ops.maximum(boxes, others)
    shared = _area(least[..., 2:] - most[..., :2])
    first, second = (_area(box[..., 2:] - box[..., :2]) for box in (boxes, others))
    union = first + second - shared
    hull = _area(most[..., 2:] - least[..., :2])
    overlap = shared / (union + tiny)
    return overlap, overlap - (hull - union) / (hull + tiny)


def _corners(boxes: Tensor) -> Tensor:
    """Boxes as in a grid of answers, (…, 4), centre and logarithm of the size, by their corners."""
    half = keras.ops.exp(boxes[..., 2:]) / 2
    return keras.ops.concatenate([boxes[..., :2] - half, boxes[..., :2] + half], axis=-1)


def _area(sides: Tensor) -> Tensor:
    sides = keras.ops.maximum(sides, 0)
    return sides[..., 0] * sides[..., 1]
