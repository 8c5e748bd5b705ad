"""Shapes: grey images with noise, on them circles, rectangles and other shapes, for the course's image tasks.

How many of each kind goes in, image by image; images, boxes and kinds come out. Size, place, rotation and brightness
are random. Everything is done for all images at once, so a batch costs less to draw than to train on:

    counts = rng.integers(0, 4, size=(1000, 2))                 # circles and rectangles on each of 1,000 images
    images, boxes, kinds, present = draw_shapes(counts, rng=rng, size=64)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hepnn.errors import InputError, closest

__all__ = ["KINDS", "Scenes", "draw_one_each", "draw_shapes"]

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]

KINDS = ("circle", "rectangle", "triangle", "ring", "cross")

_ASPECT = (0.55, 1.0)
"""Range of a rectangle's sides, as shares of √2 times its radius: from stout to slender."""
_RING_WIDTH = 0.35
"""Of a ring, as a share of its radius."""
_CROSS_WIDTH = 0.32
"""Half the width of a cross's arms, as a share of their length from the centre."""
_CROSS_LENGTH = 1 / np.hypot(1, _CROSS_WIDTH)
"""That length, as a share of its radius, which reaches to the corners of the arms."""

_PLACINGS = 40
"""Tries to put one object where it overlaps no other by too much, before the whole image is begun again."""
_BEGINNINGS = 50
"""Tries to fill one image, before the request is given up as too crowded."""


class Scenes(NamedTuple):
    """Images and what is on them. Later slots cover earlier ones.

    Attributes:
        images: (image, y, x, 1), 0 for the background and up to 1 for shapes, plus noise.
        boxes: (image, slot, 4), smallest boxes with edges along the axes: x and y of the upper left and of the lower
            right corner, in pixels; 0 where there is no object. Pixel i reaches from i to i + 1.
        kinds: (image, slot), index into the kinds asked for; 0 where there is no object.
        present: (image, slot), whether there is an object. The first slots are filled first.
    """

    images: Floats
    boxes: Floats
    kinds: Ints
    present: npt.NDArray[np.bool_]


def draw_shapes(
    counts: Any,
    *,
    rng: np.random.Generator,
    size: int | tuple[int, int] = 32,
    radius: tuple[float, float] = (5.0, 11.0),
    brightness: tuple[float, float] = (0.4, 1.0),
    angle: tuple[float, float] = (0.0, 2 * np.pi),
    noise: float = 0.1,
    max_overlap: float = 0.2,
    region: tuple[float, float, float, float] | None = None,
    kinds: tuple[str, ...] = KINDS[:2],
) -> Scenes:
    """Returns images with as many objects of each kind as ``counts`` says.

    Args:
        counts: (image, kind), how many.
        rng: of everything random.
        size: pixels a side, or height and width.
        radius: range of the objects' radii (from the centre to the farthest point), in pixels.
        brightness: range of the objects' brightness; the background is 0.
        angle: range of their rotation, in radians.
        noise: standard deviation of the Gaussian noise on every pixel.
        max_overlap: the largest share of the smaller box that may lie in another object's box.
        region: x and y of the upper left and lower right corner of where objects may be; the whole image if None.
        kinds: which shapes the columns of ``counts`` are, out of `KINDS`.

    Raises:
        InputError: an unknown kind, counts that do not fit the kinds, a range of radii or a region without sense, or
            objects that do not fit on the image.

    >>> scenes = draw_shapes([[1, 2], [0, 0]], rng=np.random.default_rng(1), size=48)
    >>> scenes.images.shape, scenes.kinds[0].tolist(), scenes.present.tolist()
    ((2, 48, 48, 1), [1, 0, 1], [[True, True, True], [False, False, False]])
    """
    for kind in kinds:
        if kind not in KINDS:
            raise InputError(f"asked to draw the shape {kind!r}; closest: {closest(kind, KINDS)}.")
    counts = np.asarray(counts)
    if counts.ndim != 2 or counts.shape[1] != len(kinds) or counts.dtype.kind not in "iu" or (counts < 0).any():
        raise InputError(
            f"asked to draw {', '.join(kinds)}; found counts of shape {counts.shape} and type {counts.dtype}. Give whole "
            f"numbers from 0 on, (image, {len(kinds)})."
        )
    height, width = (size, size) if isinstance(size, int | np.integer) else size
    left, top, right, bottom = (0.0, 0.0, float(width), float(height)) if region is None else region
    if left < 0 or top < 0 or right > width or bottom > height:
        raise InputError(
            f"asked for shapes between x = {left:g} and {right:g} and y = {top:g} and {bottom:g}, in pixels, on an image of "
            f"{width} × {height}. Give a region on the image."
        )
    if not 0 < radius[0] <= radius[1]:
        raise InputError(f"asked for radii from {radius[0]:g} to {radius[1]:g} pixels; give a rising range above 0.")
    if 2 * radius[1] > min(right - left, bottom - top):
        raise InputError(
            f"asked for shapes of radius up to {radius[1]:g} pixels in {right - left:g} × {bottom - top:g} pixels; they "
            "do not fit. Lower the radius, or enlarge the image."
        )
    which, present = _slots(counts, rng)
    shape = np.array([KINDS.index(kind) for kind in kinds])[which]
    objects = _placed(shape, present, (left, top, right, bottom), radius, angle, max_overlap, rng)
    images = _painted(objects, shape, present, (height, width), radius[1], brightness, rng)
    images += rng.standard_normal(images.shape, np.float32) * np.float32(noise)
    return Scenes(
        images[..., None], np.where(present[..., None], objects.boxes, 0), np.where(present, which, 0), present
    )


def draw_one_each(n_images: int, *, rng: np.random.Generator, **settings: Any) -> Scenes:
    """Returns images with a single object each, of a random kind; settings as for `draw_shapes`."""
    n_kinds = len(settings.get("kinds", KINDS[:2]))
    return draw_shapes(np.eye(n_kinds, dtype=np.int64)[rng.integers(n_kinds, size=n_images)], rng=rng, **settings)


class _Objects(NamedTuple):
    """(image, slot), or (image, slot, …), in pixels and radians."""

    center: Floats
    radius: Floats
    sides: Floats  # half of a rectangle's width and height
    angle: Floats
    boxes: Floats


def _slots(counts: Ints, rng: np.random.Generator) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """The kind of the object in each slot, in random order, and whether there is one: (image, slot)."""
    n_images, n_kinds = counts.shape
    totals = counts.sum(axis=1)
    present = np.arange(totals.max(initial=0)) < totals[:, None]
    kinds = np.repeat(np.tile(np.arange(n_kinds), n_images), counts.ravel())
    images = np.repeat(np.arange(n_images), totals)
    which = np.zeros(present.shape, np.int64)
    which[present] = kinds[np.lexsort((rng.random(len(kinds)), images))]
    return which, present


def _placed(
    shape: Ints,
    present: npt.NDArray[np.bool_],
    region: tuple[float, float, float, float],
    radius: tuple[float, float],
    angle: tuple[float, float],
    max_overlap: float,
    rng: np.random.Generator,
) -> _Objects:
    """Objects within the region that overlap by no more than allowed; crowded images are begun again."""
    n_images, n_slots = shape.shape
    low, high = np.array(region[:2]), np.array(region[2:])
    found = _Objects(*(np.zeros((n_images, n_slots, *tail), np.float32) for tail in ((2,), (), (2,), (), (4,))))
    todo = np.arange(n_images)
    for _ in range(_BEGINNINGS):
        for slot in range(n_slots):
            wanting = todo[present[todo, slot]]
            for _ in range(_PLACINGS):
                n = len(wanting)
                size = rng.uniform(*radius, n)
                turn = rng.uniform(*angle, n)
                sides = size[:, None] * rng.uniform(*_ASPECT, (n, 2)) * np.sqrt(0.5)
                reach = _reach(shape[wanting, slot], size, sides, turn)  # left, top, right, bottom of the centre
                spare = high - low - reach[:, 2:] - reach[:, :2]
                center = low + reach[:, :2] + rng.random((n, 2)) * spare
                boxes = np.concatenate([center - reach[:, :2], center + reach[:, 2:]], axis=1)
                for array, values in zip(found, (center, size, sides, turn, boxes), strict=True):
                    array[wanting, slot] = values
                overlap = _overlap(boxes[:, None], found.boxes[wanting, :slot]).max(axis=1, initial=0)
                wanting = wanting[overlap > max_overlap]
                if not len(wanting):
                    break
            found.radius[wanting, slot] = np.nan  # no place was found
        todo = todo[np.isnan(found.radius[todo]).any(axis=1)]
        if not len(todo):
            return found
        found.radius[todo] = 0
    raise InputError(
        f"asked for up to {int(present.sum(axis=1).max())} shapes of radius {radius[0]:g} to {radius[1]:g} pixels on one "
        f"image; {len(todo)} of {n_images} images have no room for theirs with an overlap of at most {max_overlap:g}. Lower "
        "the counts or the radius, or enlarge the image."
    )


def _reach(shape: Ints, radius: Any, sides: Any, angle: Any) -> Any:
    """How far objects reach from their centre to the left, top, right and bottom: (object, 4)."""
    cos, sin = np.cos(angle), np.sin(angle)
    turned = np.abs(np.stack([cos, sin], axis=-1)), np.abs(np.stack([sin, cos], axis=-1))
    rectangle = np.stack([(side * sides).sum(axis=-1) for side in turned], axis=-1)
    arm = _CROSS_LENGTH * radius
    arms = [np.stack([arm, _CROSS_WIDTH * arm], axis=-1), np.stack([_CROSS_WIDTH * arm, arm], axis=-1)]
    cross = np.max([np.stack([(side * arm).sum(axis=-1) for side in turned], axis=-1) for arm in arms], axis=0)
    corners = angle[:, None] + np.arange(3) * 2 * np.pi / 3
    x, y = radius[:, None] * np.cos(corners), radius[:, None] * np.sin(corners)
    triangle = np.stack([-x.min(axis=1), -y.min(axis=1), x.max(axis=1), y.max(axis=1)], axis=-1)
    disc = np.repeat(radius[:, None], 4, axis=1)
    by_kind = {"rectangle": np.tile(rectangle, 2), "cross": np.tile(cross, 2), "triangle": triangle}
    choices = [by_kind.get(kind, disc) for kind in KINDS]
    return np.choose(shape[:, None], choices)


def _overlap(boxes: Any, others: Any) -> Any:
    """The area that boxes share, as a share of the smaller one."""
    sides = np.minimum(boxes[..., 2:], others[..., 2:]) - np.maximum(boxes[..., :2], others[..., :2])
    shared = np.clip(sides, 0, None).prod(axis=-1)
    smaller = np.minimum(*((b[..., 2:] - b[..., :2]).prod(axis=-1) for b in (boxes, others)))
    return shared / np.maximum(smaller, np.finfo(np.float32).tiny)


def _painted(
    objects: _Objects,
    shape: Ints,
    present: npt.NDArray[np.bool_],
    size: tuple[int, int],
    largest: float,
    brightness: tuple[float, float],
    rng: np.random.Generator,
) -> Floats:
    """Images without noise. Each object is painted on a patch just large enough for the largest."""
    n_images = len(shape)
    half = int(np.ceil(largest)) + 1
    canvas = np.zeros((n_images, size[0] + 2 * half, size[1] + 2 * half), np.float32)
    offsets = np.arange(-half, half + 1)
    for slot in range(shape.shape[1]):
        images = np.flatnonzero(present[:, slot])
        center = objects.center[images, slot]
        middle = np.floor(center).astype(np.int64)
        rows, columns = (middle[:, axis, None] + half + offsets for axis in (1, 0))
        patch = (images[:, None, None], rows[:, :, None], columns[:, None, :])
        dx, dy = ((middle[:, axis, None] + offsets + 0.5 - center[:, axis, None]).astype(np.float32) for axis in (0, 1))
        covered = np.empty((len(images), len(offsets), len(offsets)), np.float32)
        for index, kind in enumerate(KINDS):
            of_kind = np.flatnonzero(shape[images, slot] == index)
            if len(of_kind):
                own = _Objects(*(array[images[of_kind], slot] for array in objects))
                covered[of_kind] = _coverage(kind, dx[of_kind, None, :], dy[of_kind, :, None], own)
        level = rng.uniform(*brightness, (len(images), 1, 1)).astype(np.float32)
        canvas[patch] += covered * (level - canvas[patch])
    return canvas[:, half:-half, half:-half].copy()


def _coverage(kind: str, dx: Floats, dy: Floats, objects: _Objects) -> Floats:
    """The share of each pixel that an object covers, from the signed distance of the pixel's centre to the edge.

    Signed distances of simple shapes: Quilez, "2D distance functions" (iquilezles.org/articles/distfunctions2d).
    """
    radius = objects.radius[:, None, None]
    if kind in ("circle", "ring"):
        from_center = np.hypot(dx, dy)
        inside = radius - from_center
        if kind == "ring":
            inside = np.minimum(inside, from_center - (1 - _RING_WIDTH) * radius)
    else:
        cos, sin = np.cos(objects.angle)[:, None, None], np.sin(objects.angle)[:, None, None]
        along, across = cos * dx + sin * dy, cos * dy - sin * dx
        if kind == "rectangle":
            inside = _inside_box(along, across, objects.sides[:, 0, None, None], objects.sides[:, 1, None, None])
        elif kind == "cross":
            length = np.float32(_CROSS_LENGTH) * radius
            width = np.float32(_CROSS_WIDTH) * length
            inside = np.maximum(_inside_box(along, across, length, width), _inside_box(along, across, width, length))
        else:
            # three edges at half the radius from the centre, at right angles to the lines to the corners' opposites
            tilted = 0.5 * along, 0.5 * np.sqrt(np.float32(3)) * np.abs(across)
            inside = 0.5 * radius - np.maximum(-along, tilted[0] + tilted[1])
    return np.clip(inside + np.float32(0.5), 0, 1)


def _inside_box(along: Floats, across: Floats, half_width: Floats, half_height: Floats) -> Floats:
    """How far a point lies inside a box, negative outside."""
    return np.minimum(half_width - np.abs(along), half_height - np.abs(across))
