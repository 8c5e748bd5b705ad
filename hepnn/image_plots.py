"""Plots of images: one, averages side by side, the difference of two. Results in, matplotlib axes out.

Images are (η, φ) arrays: one channel, one layer, one slice of time, such as ``pixelate(jets)[7, ..., 0]`` or
``JetImage().tensors(jets).moments(is_quark)[0][..., 0]``. η is drawn to the right, φ upwards. `hepnn.plots.save` writes
the figure, which is ``axes.figure``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize, SymLogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hepnn.errors import InputError
from hepnn.plots import styled

__all__ = ["plot_average_images", "plot_image", "plot_image_difference"]

Image = npt.NDArray[Any]

_DECADES = 6
"""Orders of magnitude that the colours of averages span at most."""
_LINEAR_SHARE = 1e-3
"""Share of the greatest difference below which the colours of differences are linear."""
_PER_ROW = 4
"""Panels side by side."""
_PANEL = 3.5
"""Side of a panel, in inches."""


def plot_image(
    image: Image,
    *,
    width: float | tuple[float, float],
    quantity: str = r"$p_T$",
    unit: str = "GeV",
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Returns axes with one image on a logarithmic colour scale; pixels without content are white.

    Args:
        image: (η, φ).
        width: of the frame in η and φ, in rad; one number if they are equal.
        quantity: what a pixel sums up, for the colour bar.
        unit: of it; "1" is left out.
        title: above the image.
        ax: axes to draw on; new ones if None.

    Raises:
        InputError: not one image of one channel.
    """
    _check(image, "an image")
    with styled():
        axes = ax if ax is not None else Figure(figsize=(6.4, 5.4), layout="compressed").add_subplot()
        mesh = _draw(axes, image, width, _logarithmic([image]))
        axes.set_title(title)
        _bar(mesh, axes, _label(f"{quantity} per pixel", unit))
    return axes


def plot_average_images(
    averages: Mapping[str, Image],
    *,
    width: float | tuple[float, float],
    quantity: str = r"$p_T$",
    unit: str = "GeV",
) -> Axes:
    """Returns the first of several axes with an average image each, on one logarithmic colour scale.

    Args:
        averages: (η, φ) each, of equal shape, by the name of the class, layer or slice of time.
        width: of the frame in η and φ, in rad; one number if they are equal.
        quantity: what a pixel sums up, for the colour bar.
        unit: of it; "1" is left out.

    Raises:
        InputError: no image, or one that is not (η, φ).
    """
    if not averages:
        raise InputError("asked to draw average images; found none. Give at least one, by name.")
    for name, image in averages.items():
        _check(image, f"the average of {name!r}")
    n_columns = min(len(averages), _PER_ROW)
    n_rows = -(-len(averages) // n_columns)
    norm = _logarithmic(list(averages.values()))
    with styled():
        size = (1.4 + _PANEL * n_columns, 0.6 + _PANEL * n_rows)
        figure = Figure(figsize=size, layout="compressed")
        panels = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
        for axes, (name, image) in zip(panels.flat, averages.items(), strict=False):
            mesh = _draw(axes, image, width, norm)
            axes.set_title(name)
            axes.label_outer()
        for axes in list(panels.flat)[len(averages) :]:
            axes.remove()
        _bar(mesh, panels.ravel().tolist()[: len(averages)], _label(f"mean {quantity} per pixel", unit))
    first: Axes = panels[0, 0]
    return first


def plot_image_difference(
    first: Image,
    second: Image,
    *,
    width: float | tuple[float, float],
    names: tuple[str, str] = ("first", "second"),
    quantity: str = r"$p_T$",
    unit: str = "GeV",
    ax: Axes | None = None,
) -> Axes:
    """Returns axes with the first image less the second: red where the first has more, blue where the second has.

    Colours are logarithmic but for differences that are small against the greatest.

    Args:
        first: (η, φ).
        second: (η, φ), of the same shape.
        width: of the frame in η and φ, in rad; one number if they are equal.
        names: of the two.
        quantity: what a pixel sums up, for the colour bar.
        unit: of it; "1" is left out.
        ax: axes to draw on; new ones if None.

    Raises:
        InputError: not two images of one shape.
    """
    _check(first, f"an image of {names[0]!r}")
    _check(second, f"an image of {names[1]!r}")
    if first.shape != second.shape:
        raise InputError(f"asked for the difference of two images; found the shapes {first.shape} and {second.shape}.")
    difference = first - second
    most = float(np.abs(difference).max()) or 1.0
    with styled():
        axes = ax if ax is not None else Figure(figsize=(6.4, 5.4), layout="compressed").add_subplot()
        mesh = _draw(axes, difference, width, SymLogNorm(_LINEAR_SHARE * most, vmin=-most, vmax=most), cmap="RdBu_r")
        axes.set_title(f"{names[0]} − {names[1]}")
        _bar(mesh, axes, _label(f"difference of mean {quantity} per pixel", unit))
    return axes


def _check(image: Image, what: str) -> None:
    if np.ndim(image) != 2:
        raise InputError(
            f"asked to draw {what}, an array (η, φ); found the shape {np.shape(image)}. Choose a jet and a channel: "
            "images[0, ..., 0]."
        )


def _logarithmic(images: list[Image]) -> Normalize:
    """The colours of all positive pixels of the images."""
    positive = np.concatenate([image[image > 0] for image in images])
    if not len(positive):
        return LogNorm(0.1, 1)
    most = float(positive.max())
    least = max(float(positive.min()), most * 10.0**-_DECADES)
    return LogNorm(least if least < most else most / 10, most)


def _draw(axes: Axes, image: Image, width: float | tuple[float, float], norm: Normalize, cmap: str = "viridis") -> Any:
    eta, phi = (width, width) if isinstance(width, int | float) else width
    shown = np.ma.masked_less_equal(image, 0) if isinstance(norm, LogNorm) else image
    mesh = axes.imshow(
        shown.T,
        origin="lower",
        extent=(-eta / 2, eta / 2, -phi / 2, phi / 2),
        norm=norm,
        cmap=mpl.colormaps[cmap].with_extremes(bad="white"),
        interpolation="nearest",
    )
    axes.grid(False)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5, prune="both"))  # in the corners their labels would touch
    axes.set(xlabel=r"$\Delta\eta$", ylabel=r"$\Delta\varphi$ [rad]")
    return mesh


def _bar(mesh: Any, axes: Axes | list[Axes], label: str) -> None:
    figure = axes[0].figure if isinstance(axes, list) else axes.figure
    bar = figure.colorbar(mesh, ax=axes, label=label)
    bar.ax.grid(False)


def _label(text: str, unit: str) -> str:
    return text if unit == "1" else f"{text} [{unit}]"
