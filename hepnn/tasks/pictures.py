"""Pictures that several tasks draw: learning curves, images with boxes, layers of showers. Nothing is worked out here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from hepnn.plots import COLORS, styled
from hepnn.tasks.task import Fit

__all__ = ["draw_boxes", "image_grid", "layer_grid", "learning_curves"]


def learning_curves(fits: Mapping[str, Fit], *, key: str = "loss", label: str = "loss") -> Figure:
    """Returns a figure of a quantity against the epoch, a colour a network; validation is dashed.

    Args:
        fits: networks by name, for the legend; those without a history are left out.
        key: of their histories.
        label: of the vertical axis, with its unit.
    """
    with styled():
        figure = Figure(figsize=(6.4, 4.4), layout="constrained")
        axes = figure.add_subplot()
        trained = {name: fit for name, fit in fits.items() if {key, f"val_{key}"} & set(fit.history)}
        for color, (name, fit) in zip(COLORS, trained.items(), strict=False):
            for values, style, which in (
                (fit.history.get(key, ()), "-", "training"),
                (fit.history.get(f"val_{key}", ()), "--", "validation"),
            ):
                if len(values):
                    epochs = range(1, len(values) + 1)
                    axes.plot(epochs, values, style, color=color, marker="o", ms=3, label=f"{name}, {which}")
        if key == "loss" and min(value for fit in trained.values() for value in fit.history[key]) > 0:
            axes.set_yscale("log")
        axes.set(xlabel="epoch", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.legend(loc="outside upper center", ncols=2)
    return figure


def image_grid(images: Any, titles: Sequence[str], *, columns: int = 6) -> tuple[Figure, list[Axes]]:
    """Returns a figure of images side by side, and the axes of each to draw more on, in pixels.

    Args:
        images: (image, y, x, 1).
        titles: one an image.
        columns: images in a row.
    """
    rows = -(-len(images) // columns)
    with styled():
        figure = Figure(figsize=(2.0 * columns, 2.3 * rows), layout="constrained")
        panels = list(figure.subplots(rows, columns, squeeze=False).flat)
        for axes, image, title in zip(panels, images, titles, strict=False):
            axes.imshow(image[..., 0], cmap="gray", vmin=-0.2, vmax=1.2, extent=(0, image.shape[1], image.shape[0], 0))
            axes.set_title(title, fontsize=10)
        for axes in panels:
            axes.set_axis_off()
    return figure, panels[: len(images)]


def layer_grid(
    images: Sequence[Any],
    titles: Sequence[str],
    *,
    widths: Sequence[tuple[float, float]],
    quantity: str,
    columns: int,
) -> Figure:
    """Returns a figure of layers of a calorimeter side by side, all with the same colours; empty pixels are white.

    Args:
        images: (η, φ) each, of any number of pixels.
        titles: one an image.
        widths: of each frame in η and φ, in rad.
        quantity: what a pixel holds, with its unit.
        columns: images in a row.
    """
    positive = np.concatenate([image[image > 0] for image in images])
    norm = LogNorm(positive.min(), positive.max())
    rows = -(-len(images) // columns)
    widest = np.max(widths, axis=0) / 2
    with styled():
        figure = Figure(figsize=(1.3 + 2.4 * columns, 2.9 * rows), layout="constrained")
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axes, image, title, (eta, phi) in zip(panels.flat, images, titles, widths, strict=True):
            extent = (-eta / 2, eta / 2, -phi / 2, phi / 2)
            shown = np.ma.masked_less_equal(image.T, 0)
            mesh = axes.imshow(shown, origin="lower", extent=extent, aspect="auto", norm=norm, cmap="viridis")
            axes.set_title(title, fontsize=11)
            axes.grid(False)
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(MaxNLocator(4, prune="both"))
            axes.set(xlabel=r"$\Delta\eta$", ylabel=r"$\Delta\varphi$ [rad]")
            axes.set(xlim=(-widest[0], widest[0]), ylim=(-widest[1], widest[1]))
            axes.label_outer()
        figure.colorbar(mesh, ax=panels, label=quantity)
    return figure


def draw_boxes(axes: Axes, boxes: Any, *, color: str, style: str = "-", labels: Sequence[str] = ()) -> None:
    """Draws boxes, (box, 4), in pixels, and a label above each."""
    for index, (left, top, right, bottom) in enumerate(boxes):
        axes.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, ec=color, ls=style, lw=1.4))
        if labels:
            axes.text(left, top - 0.5, labels[index], color=color, fontsize=7, va="bottom")
