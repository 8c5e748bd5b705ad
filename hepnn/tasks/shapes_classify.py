"""Circle or rectangle? The smallest task for a convolutional network.

**The lesson.** A dense network sees an image as a list of pixels: it has one weight for every pair of pixel and unit,
and has to learn what a circle is at every place anew. A convolution slides one small kernel over the image, so what it
learns in one place it knows everywhere; pooling halves the image and lets the next kernel see twice as far. Here three
convolutions with pooling turn an image of 32 × 32 pixels into 4 × 4 places with 32 numbers each, of which a small
dense layer reads the answer. A dense network on the flattened pixels stands beside it, with far more parameters.

**The data.** One object an image, radius 5 to 11 pixels, anywhere, at any angle, of any brightness from 0.4 to 1, with
noise of 0.1. Every batch is drawn anew.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from matplotlib.figure import Figure

from hepnn.generators.shapes import KINDS, draw_one_each
from hepnn.tasks.fitting import fit, fresh, streams
from hepnn.tasks.measuring import share
from hepnn.tasks.pictures import image_grid, learning_curves
from hepnn.tasks.task import Outcome, Report, Table

__all__ = ["convolutional", "dense", "run"]

SIZE = 32
"""Pixels a side."""


def convolutional() -> keras.Model:
    """Returns a network from an image (y, x, 1) to the probability of a rectangle, with three convolutions."""
    image = keras.Input((SIZE, SIZE, 1), name="image")
    values = image
    for filters in (16, 32, 32):
        values = keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(values)
        values = keras.layers.MaxPooling2D()(values)
    values = keras.layers.Flatten()(values)
    values = keras.layers.Dense(64, activation="relu")(values)
    return keras.Model(image, keras.layers.Dense(1, activation="sigmoid")(values), name="convolutional")


def dense() -> keras.Model:
    """Returns a network of the same meaning that takes the pixels as a list."""
    image = keras.Input((SIZE, SIZE, 1), name="image")
    values = keras.layers.Flatten()(image)
    for units in (128, 64):
        values = keras.layers.Dense(units, activation="relu")(values)
    return keras.Model(image, keras.layers.Dense(1, activation="sigmoid")(values), name="dense")


def draw(n_images: int, rng: np.random.Generator) -> tuple[Any, Any]:
    """Returns images (image, y, x, 1), and whether each shows a rectangle (image,)."""
    scenes = draw_one_each(n_images, rng=rng, size=SIZE)
    return scenes.images, scenes.kinds[:, 0].astype(np.float32)


def run(*, seed: int, quick: bool, report: Report) -> Outcome:
    """Trains both networks on the same kind of data and judges them on the same test images."""
    rngs = streams(seed)
    validation, (images, is_rectangle) = draw(2_000, rngs.validation), draw(2_000 if quick else 20_000, rngs.test)
    fits, right = {}, {}
    for model in (convolutional(), dense()):
        fits[model.name] = fit(
            model,
            fresh(draw, rngs.train, batch_size=128, steps=40 if quick else 200),
            validation=validation,
            epochs=3 if quick else 10,
            learning_rate=2e-3,
            loss="binary_crossentropy",
            metrics=["accuracy"],
            report=report,
        )
        probability = model.predict(images, batch_size=1024, verbose=0)[:, 0]
        right[model.name] = (probability > 0.5) == is_rectangle
        if model.name == "convolutional":
            examples = _examples(images, probability, right[model.name])
    return Outcome(
        measured={"accuracy": share(right["convolutional"])},
        fits=fits,
        n_test=len(images),
        tables=[
            Table(
                "Circle or rectangle, on the same test images",
                ("network", "parameters", "accuracy"),
                [(name, fit.model.count_params(), share(right[name])) for name, fit in fits.items()],
            )
        ],
        figures={"what it saw": examples, "learning": learning_curves(fits, key="accuracy", label="accuracy")},
    )


def _examples(images: Any, probability: Any, right: Any) -> Figure:
    """Six images as they come, and the six it was most wrong or least sure about."""
    sureness = np.abs(probability - 0.5)
    hardest = np.argsort(np.where(right, sureness, -sureness))[:6]
    chosen = np.concatenate([np.arange(6), hardest])
    titles = [
        f"{KINDS[int(p > 0.5)]}: {max(p, 1 - p):.3f}" + ("" if is_right else "\nwrong")
        for p, is_right in zip(probability[chosen], right[chosen], strict=True)
    ]
    figure, _ = image_grid(images[chosen], titles)
    return figure
