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
from hepnn.pixels import IMAGE, Images
from hepnn.plots import styled

__all__ = ["plot_average_images", "plot_image", "plot_image_difference", "plot_overview"]

Image = npt.NDArray[Any]

_DECADES = 6
"""Orders of magnitude that the colours of averages span at most."""
_LINEAR_SHARE = 1e-3
"""Share of the greatest difference below which the colours of differences are linear."""
_DIFFERENCE = "RdBu_r"
"""Colours of differences."""
_PER_ROW = 4
"""Panels side by side."""
_PANEL = 3.5
"""Side of a panel, in inches."""
_SMALL_PANEL = 2.6
"""The same where more than `_PER_ROW` stand side by side."""


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
    with styled():
        axes = ax if ax is not None else Figure(figsize=(6.4, 5.4), layout="compressed").add_subplot()
        mesh = _draw(axes, difference, width, _two_sided([difference]), cmap=_DIFFERENCE)
        axes.set_title(f"{names[0]} − {names[1]}")
        _bar(mesh, axes, _label(f"difference of mean {quantity} per pixel", unit))
    return axes


def plot_overview(images: Images, labels: Any = None, *, representation: Any, channel: str | None = None) -> Axes:
    """Returns the first of the axes of one picture of many images, with a column for each class.

    From top to bottom: one image of the class, the average, and the average less that of all other classes.

    Args:
        images: what the representation made of jets or showers.
        labels: (image,) classes; None if they have none.
        representation: a `hepnn.images.JetImage` or `hepnn.calo_images.CaloImage`.
        channel: the name of one; if None, a jet image's first, and all layers of a calorimeter's summed up.

    Raises:
        InputError: no image, or an unknown channel.
    """
    if not len(images):
        raise InputError("asked to draw images; found none. Choose at least one jet.")
    quantity, unit, channel = _about(representation, channel)
    names = np.full(len(images), "all") if labels is None else np.asarray(labels).astype(str)
    rows: dict[str, dict[str, Image]] = {"one": {}, "average": {}, "difference": {}}
    classes = np.unique(names)
    for name in classes:
        own = np.flatnonzero(names == name)
        filled = own[np.diff(images.offsets)[own] > 0]
        one = images.pad((filled if len(filled) else own)[:1])[IMAGE][0]
        rows["one"][f"one: {name}"] = representation.plane(one, channel=channel)
        rows["average"][f"average: {name}"] = representation.plane(images.moments(own)[0], channel=channel)
        if len(classes) > 1:
            rest = representation.plane(images.moments(names != name)[0], channel=channel)
            others = "others" if len(classes) > 2 else classes[classes != name][0]
            rows["difference"][f"{name} − {others}"] = rows["average"][f"average: {name}"] - rest
    return _overview(
        [row for row in rows.values() if row],
        width=representation.width,
        labels=[_label(what, unit) for what in (f"{quantity} per pixel", f"mean {quantity} per pixel", "difference")],
    )


def _overview(rows: list[dict[str, Image]], *, width: float | tuple[float, float], labels: list[str]) -> Axes:
    """Draws rows of images, by their titles, each on a scale of its own; the third row are differences."""
    n_columns = len(rows[0])
    side = _PANEL if n_columns <= _PER_ROW else _SMALL_PANEL
    with styled():
        figure = Figure(figsize=(1.8 + side * n_columns, 0.6 + 1.05 * side * len(rows)), layout="compressed")
        panels = figure.subplots(len(rows), n_columns, sharex=True, sharey=True, squeeze=False)
        for number, (row, label) in enumerate(zip(rows, labels, strict=False)):
            drawn = list(row.values())
            norm, cmap = (_two_sided(drawn), _DIFFERENCE) if number == 2 else (_logarithmic(drawn), "viridis")
            for axes, (title, image) in zip(panels[number], row.items(), strict=False):
                mesh = _draw(axes, image, width, norm, cmap=cmap)
                axes.set_title(title)
                axes.label_outer()
            _bar(mesh, panels[number].tolist(), label)
    first: Axes = panels[0, 0]
    return first


def _about(representation: Any, channel: str | None) -> tuple[str, str, str | None]:
    """What a pixel of a channel sums up, its unit, and the channel that is meant."""
    contents = representation.contents()[IMAGE]
    units = dict(zip(contents.features, contents.units, strict=True))
    if channel is None and representation.quantity != "energy":
        channel = contents.features[0]
    if channel is None:
        return representation.quantity, contents.units[0], None
    kind, _, what = channel.rpartition("_")
    what = {"pt": "$p_T$", "count": "particles"}.get(what, what)
    return f"{kind.replace('_', ' ')} {what}".strip(), units.get(channel, "1"), channel


def _two_sided(images: list[Image]) -> Normalize:
    """The colours of differences, the same to both sides of 0."""
    most = max(float(np.abs(image).max()) for image in images) or 1.0
    return SymLogNorm(_LINEAR_SHARE * most, vmin=-most, vmax=most)


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
    if isinstance(mesh.norm, SymLogNorm):  # within its linear part labels would touch
        bar.set_ticks([tick for tick in bar.get_ticks() if tick == 0 or abs(tick) > 2 * mesh.norm.linthresh])
    bar.ax.grid(False)


def _label(text: str, unit: str) -> str:
    return text if unit == "1" else f"{text} [{unit}]"
