"""Boxes around objects: how much they overlap, which of many to keep, and how well they were found.

A box is x and y of its upper left and of its lower right corner, in pixels. Objects and detections of many images are
padded arrays, (image, slot, …), with an explicit mask:

    keep = suppress(found.boxes, found.scores, kinds=found.kinds, present=found.present)
    matches = match(found._replace(present=keep), objects, n_kinds=2)
    print(mean_average_precision(matches))                        # mAP@[.5:.95], as COCO defines it
    print(mean_average_precision(matches, threshold=0.5))         # mAP@0.5

The measure is that of COCO (Lin et al. 2014, arXiv:1405.0312; cocodataset.org/#detection-eval), as its code
(github.com/cocodataset/cocoapi, ``cocoeval.py``) computes it for objects of all sizes, without crowd regions.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hepnn.errors import InputError

__all__ = [
    "IOU_THRESHOLDS",
    "RECALLS",
    "Detections",
    "Matches",
    "Objects",
    "by_score",
    "iou",
    "iou_of_pairs",
    "match",
    "mean_average_precision",
    "precision_at_recalls",
    "suppress",
]

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""What COCO averages over: the overlap from which on a detection counts as right."""

RECALLS = np.linspace(0, 1, 101)
"""The shares of objects found at which COCO reads off the precision."""

_MAX_DETECTIONS = 100
"""COCO's limit of detections of one kind on one image; those with the highest scores count."""


class Objects(NamedTuple):
    """What is on each image.

    Attributes:
        boxes: (image, slot, 4), in pixels.
        kinds: (image, slot), from 0 on.
        present: (image, slot), whether there is an object in the slot.
    """

    boxes: Floats
    kinds: Ints
    present: Flags


class Detections(NamedTuple):
    """What was found on each image.

    Attributes:
        boxes: (image, slot, 4), in pixels.
        kinds: (image, slot), from 0 on.
        present: (image, slot), whether there is a detection in the slot.
        scores: (image, slot), the higher, the surer.
    """

    boxes: Floats
    kinds: Ints
    present: Flags
    scores: Floats


class Matches(NamedTuple):
    """Every detection on all images, by falling score, and whether it is right.

    Attributes:
        images: (detection,), which image it is on.
        kinds: (detection,).
        scores: (detection,).
        right: (threshold, detection), whether it has an object of its own that it overlaps by the threshold or more.
        thresholds: (threshold,), of the IoU.
        n_objects: (image, kind), how many objects there are.
    """

    images: Ints
    kinds: Ints
    scores: Floats
    right: Flags
    thresholds: Floats
    n_objects: Ints


def iou(boxes: Floats, others: Floats) -> Floats:
    """Returns the intersection over union of each box with each other one: (…, box, other).

    It is 1 where two boxes are the same, 0 where they share nothing or have no area.

    Args:
        boxes: (…, box, 4).
        others: (…, other, 4).

    >>> iou(np.array([[0.0, 0.0, 2.0, 2.0]]), np.array([[1.0, 1.0, 3.0, 3.0], [0.0, 0.0, 2.0, 1.0]])).round(3).tolist()
    [[0.143, 0.5]]
    """
    return iou_of_pairs(np.expand_dims(boxes, -2), np.expand_dims(others, -3))


def iou_of_pairs(boxes: Floats, others: Floats) -> Floats:
    """Returns the intersection over union of each box with the other one in the same place.

    Args:
        boxes: (…, 4).
        others: (…, 4).

    Returns:
        (…), as `iou`.
    """
    first, second = np.asarray(boxes, np.float64), np.asarray(others, np.float64)
    shared = _area(np.concatenate([np.maximum(first, second)[..., :2], np.minimum(first, second)[..., 2:]], axis=-1))
    union = _area(first) + _area(second) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def suppress(
    boxes: Floats,
    scores: Floats,
    *,
    kinds: Ints | None = None,
    present: Flags | None = None,
    threshold: float = 0.5,
) -> Flags:
    """Returns which boxes non-maximum suppression keeps, (…, box): one of each cluster.

    By falling score, each box that still stands removes the others that overlap it by more than ``threshold``: the
    greedy rule of Felzenszwalb et al. 2010 (IEEE Trans. Pattern Anal. Mach. Intell. 32, 1627), section 7.2. Of equal
    scores, the first box goes first. All images are done at once, one step for each rank of the score.

    Args:
        boxes: (…, box, 4).
        scores: (…, box).
        kinds: (…, box); boxes remove only those of their own kind. None if there is one kind.
        present: (…, box), which boxes there are; all if None.
        threshold: of the IoU.

    >>> boxes = np.array([[0.0, 0, 10, 10], [0, 1, 10, 11], [20, 20, 30, 30]])
    >>> suppress(boxes, np.array([0.8, 0.9, 0.5])).tolist()
    [False, True, True]
    """
    present = np.ones(scores.shape, bool) if present is None else np.asarray(present, bool)
    order = np.argsort(np.where(present, -scores, np.inf), axis=-1, kind="stable")[..., : _most(present)]
    standing = np.take_along_axis(present, order, axis=-1)
    ordered = np.take_along_axis(boxes, order[..., None], axis=-2)
    too_close = iou(ordered, ordered) > threshold
    if kinds is not None:
        of_kind = np.take_along_axis(kinds, order, axis=-1)
        too_close &= of_kind[..., :, None] == of_kind[..., None, :]
    for rank in range(order.shape[-1] - 1):
        standing[..., rank + 1 :] &= ~(standing[..., rank, None] & too_close[..., rank, rank + 1 :])
    kept = np.zeros(scores.shape, bool)
    np.put_along_axis(kept, order, standing, axis=-1)
    return kept


def by_score(found: Detections) -> Detections:
    """Returns the same detections by falling score on each image, without the slots that no image needs."""
    order = np.argsort(np.where(found.present, -found.scores, np.inf), axis=1, kind="stable")[:, : _most(found.present)]
    rows = np.arange(len(order))[:, None]
    return Detections(
        found.boxes[rows, order], found.kinds[rows, order], found.present[rows, order], found.scores[rows, order]
    )


def match(
    found: Detections,
    objects: Objects,
    *,
    n_kinds: int,
    thresholds: Floats = IOU_THRESHOLDS,
    max_detections: int = _MAX_DETECTIONS,
) -> Matches:
    """Returns which detections are right.

    On each image, by falling score, a detection takes of the objects of its kind that are still free the one it
    overlaps most, if their IoU is at least the threshold. It is right then; the object is taken. So an object that is
    found twice is found once, and the second detection is wrong.

    Args:
        found: on the same images as ``objects``.
        objects: what there is.
        n_kinds: how many kinds there are.
        thresholds: (threshold,), of the IoU.
        max_detections: of one kind on one image that count.

    Raises:
        InputError: the numbers of images differ, a score or a box is NaN, or a kind is out of range.
    """
    _check(found, objects, n_kinds)
    boxes, kinds, present, scores = by_score(found)
    for kind in range(n_kinds):
        of_kind = present & (kinds == kind)
        present &= ~of_kind | (np.cumsum(of_kind, axis=1) <= max_detections)
    overlaps = iou(boxes, objects.boxes)
    overlaps[~(present[:, :, None] & objects.present[:, None] & (kinds[:, :, None] == objects.kinds[:, None]))] = -1
    limits = np.minimum(np.asarray(thresholds), 1 - 1e-10)[:, None]  # as in cocoeval.py: an IoU of 1 may round below 1

    n_images, n_slots = objects.present.shape
    free = np.ones((len(limits), n_images, n_slots), bool)
    right = np.zeros((len(limits), *present.shape), bool)
    which = np.arange(n_images)
    for rank in range(present.shape[1] if n_slots else 0):
        overlap = np.where(free, overlaps[:, rank], -1)
        best = overlap.argmax(axis=2)
        right[:, :, rank] = np.take_along_axis(overlap, best[..., None], axis=2)[..., 0] >= limits
        free[np.arange(len(limits))[:, None], which, best] &= ~right[:, :, rank]

    images = np.broadcast_to(which[:, None], present.shape)[present]
    pooled = np.argsort(-scores[present], kind="stable")
    n_objects = np.stack([(objects.present & (objects.kinds == kind)).sum(axis=1) for kind in range(n_kinds)], axis=1)
    return Matches(
        images[pooled],
        kinds[present][pooled],
        scores[present][pooled],
        right[:, present][:, pooled],
        np.asarray(thresholds),
        n_objects,
    )


def precision_at_recalls(matches: Matches, *, images: Ints | None = None) -> Floats:
    """Returns the precision at each of the `RECALLS`, (kind, threshold, recall).

    Detections of all images are taken by falling score. After each, precision is the share of them that are right,
    recall the share of objects that are found. The precision given for a recall is the largest one at that recall or a
    higher one; it is 0 at recalls that are not reached. A kind without objects gives NaN.

    Args:
        matches: from `match`.
        images: (image,), indices of images, in which images can come more than once; all of them once if None.
            Detections are sorted only once, in `match`, so resampling is cheap.
    """
    n_images, n_kinds = matches.n_objects.shape
    times = np.ones(n_images, np.int64) if images is None else np.bincount(images, minlength=n_images)
    n_objects = times @ matches.n_objects
    curves = np.full((n_kinds, len(matches.thresholds), len(RECALLS)), np.nan)
    for kind in np.flatnonzero(n_objects):
        of_kind = matches.kinds == kind
        weight = times[matches.images[of_kind]]
        right = np.cumsum(matches.right[:, of_kind] * weight, axis=1)
        taken = np.cumsum(weight)
        precision = right / np.maximum(taken, 1)
        precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        for curve, found, values in zip(curves[kind], right / n_objects[kind], precision, strict=True):
            first = np.searchsorted(found, RECALLS)
            curve[:] = np.append(values, 0.0)[first]
    return curves


def mean_average_precision(matches: Matches, *, threshold: float | None = None, images: Ints | None = None) -> float:
    """Returns the precision averaged over recalls, kinds that there are, and thresholds of the IoU.

    Args:
        matches: from `match`.
        threshold: the one of the IoU; the mean over all of them if None.
        images: as in `precision_at_recalls`.

    Raises:
        InputError: the threshold is none of those that were matched.
    """
    if threshold is not None:
        chosen = np.isclose(matches.thresholds, threshold)
        if not chosen.any():
            raise InputError(
                f"asked for the average precision at an IoU of {threshold:g}; matched at "
                f"{', '.join(f'{each:g}' for each in matches.thresholds)}. Give `match` this threshold."
            )
        matches = matches._replace(thresholds=matches.thresholds[chosen], right=matches.right[chosen])
    curves = precision_at_recalls(matches, images=images)
    return float(curves[~np.isnan(curves)].mean()) if np.isfinite(curves).any() else float("nan")


def _area(boxes: Floats) -> Floats:
    return np.clip(boxes[..., 2:] - boxes[..., :2], 0, None).prod(axis=-1)


def _most(present: Flags) -> int:
    """The largest number of boxes on one image."""
    return int(present.sum(axis=-1).max(initial=0))


def _check(found: Detections, objects: Objects, n_kinds: int) -> None:
    if len(found.present) != len(objects.present):
        raise InputError(
            f"asked to match detections on {len(found.present)} images with objects on {len(objects.present)}; give "
            "both for the same images, those without any included."
        )
    for name, part in (("detections", found), ("objects", objects)):
        kinds = part.kinds[part.present]
        if len(kinds) and not 0 <= kinds.min() <= kinds.max() < n_kinds:
            raise InputError(f"asked to match {n_kinds} kinds; {name} have kinds {kinds.min()} to {kinds.max()}.")
        if np.isnan(part.boxes[part.present]).any():
            raise InputError(f"asked to match {name} of which some have NaN in their boxes. Look at the network.")
    if np.isnan(found.scores[found.present]).any():
        raise InputError("asked to match detections of which some have the score NaN. Look at the network.")
