"""How many circles, how many rectangles? A network that counts as we do: place by place.

**The lesson.** A count is a sum: over all places of the image, of how much of an object each place shows. So the network
ends in a map with one number for each place and kind, never negative, and the sum over the map is the count. Convolutions
and sum know nothing of where an object is, so one object anywhere teaches the network all places, and two objects are
twice one object. Nobody tells the network where the objects are: only the counts are given, and it finds out by itself
that one object has to give 1 in all. Counts as integrals of a learned density: Lempitsky, Zisserman 2010 (Learning to
count objects in images, NIPS 23).

The sum s is read out as probabilities of the counts k = 0 … 5, those of a Gaussian of width σ around s,

    p(k) ∝ exp(−(k − s)² / 2σ²) ∝ exp(k s / σ² − k² / 2σ²),

which is a dense layer with softmax whose weights are k / σ² and whose biases are −k² / 2σ². They stay as they are, so that
s keeps its meaning, and the training with cross-entropy pulls it to whole numbers. The most probable count is s, rounded.

Beside it stands the usual network: the same convolutions, then a list of all places and a dense layer, which has to learn
for each place on its own what to add there. It counts too, with many more parameters. Which of the two counts better is
not settled here: the learning rate was chosen for the sum alone. But the flattened network is bound to the size of image
it was trained on, while the sum goes on counting on larger images, and beyond 5.

Each channel is normalised over the batch (Ioffe, Szegedy 2015, arXiv:1502.03167). Without it the training was much slower:
after 80,000 images 84 % instead of 98 % had both counts right (one seed, with a first layer of 3 × 3).

**The data.** 0 to 5 circles and 0 to 5 rectangles, each number as likely as the others, on 64 × 64 pixels; radius 5 to 8
pixels, any angle, brightness 0.4 to 1, noise 0.1. Of the box around an object at most 20 % may lie in the box of a larger
one, so objects touch and cover each other's corners, but none hides another. Every batch is drawn anew.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from hepnn.generators.shapes import KINDS, draw_shapes
from hepnn.plots import COLORS, styled
from hepnn.tasks.fitting import fit, fresh, streams
from hepnn.tasks.measuring import share
from hepnn.tasks.pictures import image_grid, learning_curves
from hepnn.tasks.task import Outcome, Report, Table

__all__ = ["draw", "flattened", "run", "summing", "sums_over_places"]

SIZE = 64
"""Pixels a side."""
MOST = 5
"""Largest number of circles, and of rectangles."""
RADIUS = (5.0, 8.0)
"""Range of the objects' radii, in pixels."""
MAX_OVERLAP = 0.2
"""Largest share of an object's box within the box of a larger one."""
COUNTED = KINDS[:2]

LARGER_SIZE, LARGER_MOST = 96, 11
"""Larger images, to count on without more training; as crowded as the others, since 11 / 96² is about 5 / 64²."""

_WIDTH = 0.3
"""σ of the read-out, in objects: a sum halfway between two counts is 1.7 σ from both."""
_FIRST_SHOWN = -4.6
"""Bias of the map before training: softplus of it, summed over 16 × 16 places, is 2.6, the mean count."""
_SMOOTHING = 0.9
"""Of the running means that batch normalisation uses after training; Keras's 0.99 is for longer trainings."""

_AT_ONCE = 200
"""Images that go through a network at once in the test."""

Images = npt.NDArray[np.float32]
Counts = npt.NDArray[np.int64]


def summing() -> keras.Model:
    """Returns a network from images (y, x, 1) of any size to the probability of each count (kind, count).

    Its layer ``shown`` is the map (place in y, place in x, kind); a place is 4 × 4 pixels. Its layer ``counted`` is the
    sum over the map (kind,).
    """
    image = keras.Input((None, None, 1), name="image")
    bias = keras.initializers.Constant(_FIRST_SHOWN)
    shown = keras.layers.Conv2D(len(COUNTED), 1, activation="softplus", bias_initializer=bias, name="shown")
    sums = keras.ops.sum(shown(_seen(image)), axis=(1, 2))
    sums = keras.layers.Reshape((len(COUNTED), 1), name="counted")(sums)
    read_out = keras.layers.Dense(MOST + 1, activation="softmax", trainable=False, name="probability")
    model = keras.Model(image, read_out(sums), name="summing")
    counts = np.arange(MOST + 1)
    read_out.set_weights([counts[None] / _WIDTH**2, -(counts**2) / (2 * _WIDTH**2)])
    return model


def flattened() -> keras.Model:
    """Returns a network of the same meaning that has a weight of its own for every place; one size of image only."""
    image = keras.Input((SIZE, SIZE, 1), name="image")
    values = keras.layers.Flatten()(_seen(image))
    values = keras.layers.Dense(64, activation="relu")(values)
    values = keras.layers.Dense(len(COUNTED) * (MOST + 1))(values)
    values = keras.layers.Reshape((len(COUNTED), MOST + 1))(values)
    return keras.Model(image, keras.layers.Softmax(name="probability")(values), name="flattened")


def _seen(image: Any) -> Any:
    """What 32 channels make of each place and the 35 × 35 pixels around it: (image, y / 4, x / 4, channel)."""
    values = image
    # most of the work is at full resolution, so the first layer looks at every second pixel only, with a larger kernel
    for filters, kernel, stride, pooled in ((16, 5, 2, False), (32, 3, 1, True), *[(32, 3, 1, False)] * 3):
        values = keras.layers.Conv2D(filters, kernel, strides=stride, padding="same", use_bias=False)(values)
        values = keras.layers.BatchNormalization(momentum=_SMOOTHING)(values)
        values = keras.layers.ReLU()(values)
        if pooled:
            values = keras.layers.MaxPooling2D()(values)
    return values


def draw(n_images: int, rng: np.random.Generator, *, size: int = SIZE, most: int = MOST) -> tuple[Images, Counts]:
    """Returns images (image, y, x, 1), and how many circles and rectangles are on each (image, kind)."""
    counts = rng.integers(0, most + 1, size=(n_images, len(COUNTED)))
    scenes = draw_shapes(counts, rng=rng, size=size, radius=RADIUS, max_overlap=MAX_OVERLAP, kinds=COUNTED)
    return scenes.images, counts


def sums_over_places(model: keras.Model) -> keras.Model:
    """Returns the inside of a summing network: from images to the map (y, x, kind) and to the sum over it (kind, 1)."""
    return keras.Model(model.input, [model.get_layer("shown").output, model.get_layer("counted").output])


def run(*, seed: int, quick: bool, report: Report) -> Outcome:
    """Trains both networks on the same kind of data and judges them on the same test images."""
    rngs = streams(seed)
    validation, (images, counts) = draw(500, rngs.validation), draw(1_000 if quick else 10_000, rngs.test)
    fits, found = {}, {}
    for model in (summing(), flattened()):
        fits[model.name] = fit(
            model,
            fresh(draw, rngs.train, batch_size=16 if quick else 32, steps=100 if quick else 400),
            validation=validation,
            epochs=2 if quick else 4,
            learning_rate=5e-3,
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
            report=report,
        )
        found[model.name] = model.predict(images, batch_size=_AT_ONCE, verbose=0).argmax(axis=-1)
    right = {name: (values == counts).all(axis=1) for name, values in found.items()}
    inside = sums_over_places(fits["summing"].model)
    shown, sums = inside.predict(images, batch_size=_AT_ONCE, verbose=0)
    larger, more = draw(len(images) // 5, rngs.test, size=LARGER_SIZE, most=LARGER_MOST)
    more_found = np.rint(inside.predict(larger, batch_size=_AT_ONCE, verbose=0)[1][..., 0])
    return Outcome(
        measured={"both counts right": share(right["summing"])},
        fits=fits,
        n_test=len(images),
        tables=[
            Table(
                "Both counts right, on the same test images",
                ("network", "parameters", "both right"),
                [(name, fit.model.count_params(), share(right[name])) for name, fit in fits.items()],
            ),
            _crowding(counts, right),
            *(_confusion(f"{kind}s", counts[:, i], found["summing"][:, i]) for i, kind in enumerate(COUNTED)),
            Table(
                f"The sums, rounded, on images it was not trained for: {LARGER_SIZE} × {LARGER_SIZE} pixels, 0 to "
                f"{LARGER_MOST} of each",
                ("what", "right", "off by one at most"),
                [
                    (f"{kind}s", share(miss == 0), share(miss <= 1))
                    for kind, miss in zip((*COUNTED, "both kind"), _misses(more_found, more), strict=True)
                ],
            ),
        ],
        figures={
            "where it counts": _maps(images, counts, shown, sums[..., 0], right["summing"]),
            "sums over the map": _sums(counts, sums[..., 0]),
            "learning": learning_curves(fits, key="accuracy", label="share of counts that are right"),
        },
    )


def _misses(found: Any, counts: Any) -> list[Any]:
    """By how many the counts are off: of each kind, and the worse of the two."""
    miss = np.abs(found - counts)
    return [*miss.T, miss.max(axis=1)]


def _crowding(counts: Counts, right: dict[str, Any]) -> Table:
    """How often both counts are right where there is room, and where there is none."""
    totals = counts.sum(axis=1)
    ranges = ((0, 2), (3, 5), (6, 8), (9, 10))
    inside = [(low <= totals) & (totals <= high) for low, high in ranges]
    return Table(
        "Both counts right, by the number of objects on the image",
        ("objects", *right),
        [
            (f"{low} to {high}", *(share(values[chosen]) for values in right.values()))
            for (low, high), chosen in zip(ranges, inside, strict=True)
        ],
    )


def _confusion(what: str, truth: Any, found: Any) -> Table:
    """How many images of each count got which count."""
    table = np.zeros((MOST + 1, MOST + 1), np.int64)
    np.add.at(table, (truth, found), 1)
    return Table(
        f"Images by their number of {what}, and by the number the summing network found",
        ("number", *(f"found {count}" for count in range(MOST + 1))),
        [(count, *row.tolist()) for count, row in enumerate(table)],
    )


def _maps(images: Any, counts: Any, shown: Any, sums: Any, right: Any) -> Figure:
    """Three images as they come and three it got wrong; below each, where the network saw circles and rectangles."""
    chosen = np.concatenate([np.arange(3), 3 + np.flatnonzero(~right[3:])[:3]])
    titles = [f"{n} circles\n{m} rectangles" for n, m in counts[chosen]]
    titles += [f"{kind}s: {s:.2f} → {s:.0f}" for i, kind in enumerate(COUNTED) for s in sums[chosen, i]]
    figure, panels = image_grid(images[np.tile(chosen, 3)], titles, columns=len(chosen))
    places = shown[chosen].transpose(3, 0, 1, 2).reshape(-1, *shown.shape[1:3])
    strongest = np.quantile(places, 0.995)
    for axes, place in zip(panels[len(chosen) :], places, strict=True):
        strength = np.clip(place / strongest, 0, 1)
        axes.imshow(strength, cmap="Reds", vmin=0, vmax=1, alpha=strength, extent=(0, SIZE, SIZE, 0))
    return figure


def _sums(counts: Any, sums: Any) -> Figure:
    """The sums over the map, a colour each true count: a peak at every whole number."""
    edges = np.linspace(-0.25, MOST + 1.0, 126).tolist()
    with styled():
        figure = Figure(figsize=(6.4, 6.0), layout="constrained")
        panels = figure.subplots(len(COUNTED), 1, sharex=True)
        for i, (axes, kind) in enumerate(zip(panels, COUNTED, strict=True)):
            for count in range(MOST + 1):
                values = np.clip(sums[counts[:, i] == count, i], edges[0], edges[-1])
                axes.hist(values, edges, histtype="step", color=COLORS[count], label=str(count))
            for border in np.arange(MOST) + 0.5:
                axes.axvline(border, color="0.6", lw=0.8, ls=":")
            axes.set(yscale="log", ylabel="images", title=f"{kind}s")
        panels[-1].set_xlabel("sum over the map [objects]")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, title="on the image", loc="outside upper center", ncols=MOST + 1)
    return figure
