"""What a network knows without having seen it: places, but not angles, sizes or brightness.

**The lesson.** A convolution does the same at every place, so what it finds moves along with the object
(equivariance); the maximum over all places then forgets where it was (invariance). Such a network knows an object
wherever it is, though it was trained on objects in one quarter of the image only. A dense network does not: the
weights of pixels that were dark in training never learned anything. Flattening the last map instead of pooling it
gives the place away again, to a dense layer that has one weight for each place.

No more than this is built in. Turned, smaller or darker objects are new to all of them. How far what was learned
carries over is a matter of luck (to darker ones it may, or may not, from seed to seed); nothing makes it so. So they
have to be shown: augmentation moves, turns, shrinks and dims the training images themselves, which needs no new data.
Moved images teach the other networks what pooling has built in, but more slowly: after as many of them, the more is
built in, the better the network.

**A trap.** Zero padding in each layer tells a network where the border is (Islam, Jia, Bruce 2020, arXiv:2001.08248;
Kayhan, van Gemert 2020, arXiv:2003.07064). With four such layers each number of the last map sees 38 of the 40 pixels,
and with them the border; the network learns shapes together with it, and knows them less well elsewhere. The other
networks therefore pad the image once, with the background's 0, and their layers not at all.

**The data.** One object of five kinds an image, with noise of 0.1. In training it is in the upper left quarter, turned
by at most 15°, of radius 7 to 8 pixels, of brightness 0.8 to 1; each test leaves one of these ranges, the last all.
A square and a cross look the same after a quarter turn and a triangle after a third, so 30° to 60° are far from all
that was trained on. Circles and rings know no angle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from hepnn.generators.shapes import KINDS, draw_one_each
from hepnn.plots import COLORS, styled
from hepnn.tasks.fitting import fit, fresh, streams
from hepnn.tasks.measuring import share
from hepnn.tasks.pictures import image_grid
from hepnn.tasks.task import Fit, Outcome, Report, Table

__all__ = ["TESTS", "augmented", "dense", "draw", "flattened", "pooled", "pooled_padding_each", "run"]

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]

SIZE = 40
"""Pixels a side."""
HALF = SIZE // 2
"""Pixels a side of a quarter of the image."""
NOISE = 0.1
"""Standard deviation of each pixel."""
DEGREE = np.pi / 180

TRAINED: dict[str, Any] = {
    "places": [(0, 0, HALF, HALF)],
    "angle": (-15 * DEGREE, 15 * DEGREE),
    "radius": (7.0, 8.0),
    "brightness": (0.8, 1.0),
}
"""What objects are like in training: in which regions, at which angles, how large, how bright."""

_CHANGES: dict[str, dict[str, Any]] = {
    "other places": {"places": [(HALF, 0, SIZE, HALF), (0, HALF, HALF, SIZE), (HALF, HALF, SIZE, SIZE)]},
    "turned": {"angle": (30 * DEGREE, 60 * DEGREE)},
    "smaller": {"radius": (3.5, 4.5)},
    "darker": {"brightness": (0.2, 0.35)},
}

TESTS: dict[str, dict[str, Any]] = {
    "as trained": {},
    **_CHANGES,
    "all at once": {name: values for change in _CHANGES.values() for name, values in change.items()},
}
"""What differs from training, by the name of the test; all else is as in training."""

EVERYTHING: dict[str, Any] = {
    "places": [(0, 0, SIZE, SIZE)],
    "angle": (0.0, 2 * np.pi),
    "radius": (3.5, 8.0),
    "brightness": (0.2, 1.0),
}
"""Objects of all the tests and all between: what augmentation stands in for."""

_ZOOM = (0.45, 1.0)
"""Range of the factor by which augmentation changes sizes."""
_DIM = (0.2, 1.0)
"""Range of the factor by which augmentation changes brightness."""
_CENTERS = (HALF / 2, SIZE - HALF / 2)
"""Range of x and of y, in pixels, to which augmentation moves the middle of the quarter with the object."""

_REACH = 7
"""Pixels of background around the image: as much as three layers would pad (1 + 2 + 4), each at its own scale."""
_BATCH = 64


def draw(n_images: int, rng: np.random.Generator, **changes: Any) -> tuple[Floats, Ints]:
    """Returns images (image, y, x, 1) and the kinds of their objects (image,); as trained, but for the changes."""
    settings = {**TRAINED, **changes}
    places = settings.pop("places")
    scenes = [
        draw_one_each(len(part), rng=rng, size=SIZE, kinds=KINDS, noise=NOISE, region=place, **settings)
        for place, part in zip(places, np.array_split(np.arange(n_images), len(places)), strict=True)
    ]
    return np.concatenate([each.images for each in scenes]), np.concatenate([each.kinds[:, 0] for each in scenes])


def augmented(images: Floats, rng: np.random.Generator) -> Floats:
    """Returns training images, each moved, turned, shrunk and dimmed at random.

    Nothing is used but the images, and that their objects are in the upper left quarter: its middle is the centre of
    the turn, and where it comes to lie is drawn. One interpolation does all three. Dimming takes
    noise away, too, so as much is added again.

    Args:
        images: (image, y, x, 1), as `draw` makes them without changes.
        rng: of angles, factors, places and noise.
    """
    n = len(images)
    angle, zoom = rng.uniform(0, 2 * np.pi, n), rng.uniform(*_ZOOM, n)
    # from the middle of pixel 0, as the transformation counts
    to, origin = rng.uniform(*_CENTERS, (2, n)) - 0.5, HALF / 2 - 0.5
    # the transformation says, for each pixel of the new image, where in the old one its value is
    cos, sin, zero = np.cos(angle) / zoom, np.sin(angle) / zoom, np.zeros(n)
    x = (cos, sin, origin - cos * to[0] - sin * to[1])
    y = (-sin, cos, origin + sin * to[0] - cos * to[1])
    transformation = np.stack([*x, *y, zero, zero], axis=1).astype(np.float32)
    moved = np.asarray(keras.ops.image.affine_transform(images, transformation, interpolation="bilinear"))
    dim = rng.uniform(*_DIM, (n, 1, 1, 1)).astype(np.float32)
    return dim * moved + np.sqrt(1 - dim**2) * NOISE * rng.standard_normal(images.shape, np.float32)


def dense() -> keras.Model:
    """Returns a network from an image (y, x, 1) to the probabilities of the kinds, which takes pixels as a list."""
    image = keras.Input((SIZE, SIZE, 1), name="image")
    values = keras.layers.Flatten()(image)
    for units in (128, 64):
        values = keras.layers.Dense(units, activation="relu")(values)
    return _classifier(image, values)


def flattened() -> keras.Model:
    """Returns a network of convolutions whose last map is flattened: it knows what is where."""
    image, values = _convolutions()
    return _classifier(image, keras.layers.Dense(32, activation="relu")(keras.layers.Flatten()(values)))


def pooled() -> keras.Model:
    """Returns a network of convolutions whose last map is pooled: it knows what is there, wherever it is."""
    image, values = _convolutions()
    return _classifier(image, keras.layers.Dense(32, activation="relu")(keras.layers.GlobalMaxPooling2D()(values)))


def pooled_padding_each() -> keras.Model:
    """Returns a network like `pooled`, but of four convolutions that all pad with zeros."""
    image = values = keras.Input((SIZE, SIZE, 1), name="image")
    values = _stack(values, (8, 16, 32, 64), padding="same")
    return _classifier(image, keras.layers.Dense(32, activation="relu")(keras.layers.GlobalMaxPooling2D()(values)))


def _convolutions() -> tuple[Any, Any]:
    """An image, and the map of 10 × 10 places, each of which sees 18 × 18 pixels: more than any object has."""
    image = keras.Input((SIZE, SIZE, 1), name="image")
    return image, _stack(keras.layers.ZeroPadding2D(_REACH)(image), (8, 16, 64), padding="valid")


def _stack(values: Any, filters: tuple[int, ...], *, padding: str) -> Any:
    for layer, n_filters in enumerate(filters):
        if layer:
            values = keras.layers.MaxPooling2D()(values)
        values = keras.layers.Conv2D(n_filters, 3, padding=padding, activation="relu")(values)
    return values


def _classifier(image: Any, values: Any) -> keras.Model:
    return keras.Model(image, keras.layers.Dense(len(KINDS), activation="softmax")(values))


def run(*, seed: int, quick: bool, report: Report) -> Outcome:
    """Trains each network on one quarter, without and with augmentation, and judges all on the same tests."""
    rngs = streams(seed)

    def augmented_draw(n_images: int, rng: np.random.Generator) -> tuple[Floats, Ints]:
        images, kinds = draw(n_images, rng)
        return augmented(images, rng), kinds

    def drawn(n_images: int, rng: np.random.Generator) -> tuple[Floats, Ints]:
        return draw(n_images, rng, **EVERYTHING)

    tests = {name: draw(400 if quick else 3_000, rngs.test, **changes) for name, changes in TESTS.items()}
    # augmented images are far more varied, so there is more to learn
    few, many = (60, 60) if quick else (300, 1_200)
    plan: dict[str, tuple[Callable[[], keras.Model], Any, int]] = {
        "pooled": (pooled, draw, few),
        "flattened": (flattened, draw, few),
        "dense": (dense, draw, few),
        "pooled, padding in each layer": (pooled_padding_each, draw, few),
        "pooled, augmented": (pooled, augmented_draw, many),
        "flattened, augmented": (flattened, augmented_draw, many),
        "dense, augmented": (dense, augmented_draw, many),
        "pooled, everything drawn": (pooled, drawn, many),
    }
    fits = {
        name: fit(
            network(),
            fresh(data, rngs.train, batch_size=_BATCH, steps=steps // 4),
            epochs=4,
            learning_rate=4e-3,
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
            report=report,
            name=name,
        )
        for name, (network, data, steps) in plan.items()
    }
    right = {name: _right(fit.model, tests) for name, fit in fits.items()}

    def table(title: str, names: Mapping[str, str]) -> Table:
        rows = [(test, *(share(right[name][test]) for name in names.values())) for test in tests]
        return Table(title, ("test", *names), rows)

    return Outcome(
        measured={
            "accuracy of the CNN at places it was not trained on": share(right["pooled"]["other places"]),
            "accuracy of the dense network there": share(right["dense"]["other places"]),
            "accuracy of the CNN on turned objects": share(right["pooled"]["turned"]),
            "accuracy of the CNN on turned objects, augmented": share(right["pooled, augmented"]["turned"]),
        },
        fits=fits,
        n_test=sum(len(kinds) for _, kinds in tests.values()),
        tables=[
            table(
                "Accuracy after training in one quarter",
                {
                    "dense": "dense",
                    "convolution + flatten": "flattened",
                    "convolution + pooling": "pooled",
                    "padding in each layer": "pooled, padding in each layer",
                },
            ),
            table(
                "The same, with augmented images; the last was trained on everything instead",
                {
                    "dense": "dense, augmented",
                    "convolution + flatten": "flattened, augmented",
                    "convolution + pooling": "pooled, augmented",
                    "everything drawn": "pooled, everything drawn",
                },
            ),
        ],
        figures={
            "what is tested": _examples(tests),
            "accuracy by place": _maps(fits, rngs.test, n_images=1_000 if quick else 12_000),
            "accuracy by property": _scans(fits, rngs.test, n_images=50 if quick else 400),
        },
    )


def _right(model: keras.Model, tests: Mapping[str, tuple[Floats, Ints]]) -> dict[str, npt.NDArray[np.bool_]]:
    """By test, whether each image's kind was found, (image,)."""
    images, kinds = (np.concatenate(parts) for parts in zip(*tests.values(), strict=True))
    right = model.predict(images, batch_size=500, verbose=0).argmax(axis=1) == kinds
    ends = np.cumsum([len(kinds) for _, kinds in tests.values()])
    return dict(zip(tests, np.split(right, ends[:-1]), strict=True))


def _examples(tests: Mapping[str, tuple[Floats, Ints]]) -> Figure:
    """An image of each kind in each test."""
    images, titles = [], []
    for test, (of_test, kinds) in tests.items():
        for index, kind in enumerate(KINDS):
            of_kind = np.flatnonzero(kinds == index)
            images.append(of_test[of_kind[len(of_kind) * index // len(KINDS)]])  # tests begin with one place
            titles.append(f"{test}:\n{kind}")
    figure, _ = image_grid(np.stack(images), titles, columns=len(KINDS))
    return figure


def _maps(fits: Mapping[str, Fit], rng: np.random.Generator, *, n_images: int) -> Figure:
    """Accuracy against the place of the object; all else is as in training."""
    settings = {name: values for name, values in TRAINED.items() if name != "places"}
    scenes = draw_one_each(n_images, rng=rng, size=SIZE, kinds=KINDS, noise=NOISE, **settings)
    left, top, right, bottom = scenes.boxes[:, 0].T
    edges = np.linspace(8, SIZE - 8, 9)  # nearer to the border there is room for rectangles and triangles only
    names = {"dense": "dense", "flattened": "convolution + flatten", "pooled": "convolution + pooling"}
    with styled():
        figure = Figure(figsize=(11, 4.2), layout="constrained")
        panels = figure.subplots(1, len(names), sharey=True)
        for axes, (name, title) in zip(panels, names.items(), strict=True):
            is_right = _right(fits[name].model, {"": (scenes.images, scenes.kinds[:, 0])})[""]
            x, y = (left + right) / 2, (top + bottom) / 2
            (n_right, *_), (n_all, *_) = (np.histogram2d(y, x, bins=edges, weights=w) for w in (is_right, None))
            accuracy = np.ma.masked_invalid(n_right / np.where(n_all, n_all, np.nan))
            mesh = axes.pcolormesh(edges, edges, accuracy, vmin=0, vmax=1, cmap="viridis")
            axes.plot([0, HALF, HALF], [HALF, HALF, 0], "--", color=COLORS[2], label="edge of the quarter trained on")
            axes.set(xlim=(0, SIZE), ylim=(SIZE, 0), aspect="equal", title=title, xlabel="x of the object [pixels]")
            axes.grid(False)
        panels[0].set_ylabel("y of the object [pixels]")
        figure.colorbar(mesh, ax=panels, label="accuracy")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center")
    return figure


def _scans(fits: Mapping[str, Fit], rng: np.random.Generator, *, n_images: int) -> Figure:
    """Accuracy of the pooled networks against angle, radius and brightness, one at a time; all else as in training."""
    scans = {
        "angle": ("angle [degrees]", DEGREE, np.arange(-45.0, 136.0, 15.0)),
        "radius": ("radius [pixels]", 1.0, np.arange(3.0, 10.0)),
        "brightness": ("brightness", 1.0, np.arange(0.1, 1.01, 0.1)),
    }
    names = {
        "pooled": "trained on the shaded range",
        "pooled, augmented": "with augmentation",
        "pooled, everything drawn": "everything drawn",
    }
    with styled():
        figure = Figure(figsize=(12, 4.4), layout="constrained")
        panels = figure.subplots(1, len(scans), sharey=True)
        for axes, (setting, (label, unit, values)) in zip(panels, scans.items(), strict=True):
            tests = {str(value): draw(n_images, rng, **{setting: (unit * value,) * 2}) for value in values}
            for color, (name, legend) in zip(COLORS, names.items(), strict=False):
                measured = [share(is_right) for is_right in _right(fits[name].model, tests).values()]
                accuracy, error = np.array([[each.value, each.error] for each in measured]).T
                axes.errorbar(values, accuracy, error, color=color, marker="o", ms=4, label=legend)
            low, high = TRAINED[setting]
            axes.axvspan(low / unit, high / unit, color="0.9")
            axes.set(xlabel=label, ylim=(0, 1.05))
            if setting == "angle":
                axes.set_xticks([-45, 0, 45, 90, 135])
        panels[0].set_ylabel("accuracy")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(names))
    return figure
