"""Whose energy is in each pixel? A decoder gives every pixel of a picture its own answer.

**The lesson.** An electron and a charged pion lie one over the other, and each pixel's energy shall be shared out between the
two. That is segmentation: an image in, an image of answers out, of the same size. An encoder halves the image as it goes,
so that it sees ever more around each place, at ever fewer places; a decoder doubles it again, by *transposed convolutions*:
each pixel writes a patch of 2 × 2, as a convolution of stride 2 would read one, and the weights of the patch are learned.

What is known at the small size is of the whole: where there is an electron. What has been lost there is the edge, to the
pixel. So the decoder is given at each size what the encoder had at that size, by *skips*, and then it is a U-Net
(Ronneberger, Fischer, Brox 2015, arXiv:1505.04597). The same network without skips stands beside it: all it knows of a pixel
has gone through the 6 × 6 places in the middle. The network is `hepnn.models.decoder.unet`, for images of your own, too.

* **The answer.** Energy can be of both, so the truth of a pixel is a share, and the loss is the cross-entropy of shares,
  weighted with the pixel's energy: dark pixels do not count, and there is no need for a class of background.
* **By hand.** Electrons end in the front layers, pions mostly do not: energy in the three front layers goes to the electron,
  the rest to the pion. It is wrong for what the pion leaves in front, as two of three interact there.

**The measure.** The share of the picture's energy that is given to the right particle, 1 − Σ E |p − f| / Σ E, with f the true
share of the electron in a pixel's energy E and p the one that is found. And what it is good for: the electron's energy on the
picture, Σ E p, over the true one, Σ E f.

**The data.** `hepnn.generators.showers`: an electron and a charged pion of 10 to 100 GeV each, ln E even, anywhere in the 8 × 8
pixels in the middle of 24 × 24, of 0.025 × 2π/256; six layers as channels. Cells larger than a pixel are spread over the pixels
they cover.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from hepnn.models.decoder import unet
from hepnn.plots import COLORS, styled
from hepnn.tasks.calo_data import draw_showers, framed, log_images, seen, shower_images
from hepnn.tasks.fitting import fit, fresh, streams
from hepnn.tasks.measuring import mean
from hepnn.tasks.pictures import learning_curves
from hepnn.tasks.resolution import half_width, resampled
from hepnn.tasks.task import Outcome, Report, Table

__all__ = ["Pairs", "by_layers", "draw", "draw_pairs", "put_right", "run", "shares_of"]

Floats = npt.NDArray[np.floating[Any]]

KINDS = ("electron", "pion")
ENERGY = (10.0, 100.0)
"""GeV."""
MARGIN = 8
"""Pixels around the tile that both showers are in."""

_SHAPE = (8 + 2 * MARGIN, 8 + 2 * MARGIN, 6)
_N_FRONT = 3
"""Electromagnetic layers."""
_SKIPS, _PLAIN, _BY_HAND = "U-Net", "without skips", "by layers"


class Pairs(NamedTuple):
    """An electron and a pion on each image.

    Attributes:
        images: (image, η, φ, layer), in GeV.
        shares: (image, η, φ), of the electron in the energy of each pixel; 0 where there is none.
    """

    images: npt.NDArray[np.float32]
    shares: npt.NDArray[np.float32]


def draw_pairs(n_images: int, rng: np.random.Generator) -> Pairs:
    """Returns images of an electron and a pion, one over the other."""
    showers = draw_showers(2 * n_images, rng, classes=KINDS, energy=ENERGY)
    alone = shower_images(
        framed(showers, np.zeros((2 * n_images, 2), np.int64)), tiles=(1, 1), margin=MARGIN, n_layers=_SHAPE[-1]
    )
    electron, pion = (alone[showers.kind == kind] for kind in range(len(KINDS)))
    images = electron + pion
    total = images.sum(axis=-1)
    return Pairs(images, np.divide(electron.sum(axis=-1), total, out=np.zeros_like(total), where=total > 0))


def draw(n_images: int, rng: np.random.Generator) -> tuple[Any, Any, Any]:
    """Returns images as the network sees them, the shares of both kinds, and the weight of each pixel, 1 in the mean."""
    images, shares = draw_pairs(n_images, rng)
    energy = images.sum(axis=-1)
    weights = energy / energy.mean(axis=(1, 2), keepdims=True)
    return {"image": seen(images)}, np.stack([shares, 1 - shares], axis=-1), weights


def shares_of(model: keras.Model, images: Floats) -> Floats:
    """Returns the share of the electron that a network finds in each pixel, (image, η, φ)."""
    return model.predict({"image": seen(images)}, batch_size=256, verbose=0)[..., 0]


def by_layers(images: Floats) -> Floats:
    """Returns the same by hand: what is in the front layers is the electron's."""
    total = images.sum(axis=-1)
    return np.divide(images[..., :_N_FRONT].sum(axis=-1), total, out=np.zeros_like(total), where=total > 0)


def put_right(pairs: Pairs, shares: Floats) -> Floats:
    """Returns the share of each image's energy that is given to the right particle, (image,)."""
    energy = pairs.images.sum(axis=-1)
    wrong = (energy * np.abs(shares - pairs.shares)).sum(axis=(1, 2))
    return 1 - wrong / energy.sum(axis=(1, 2))


def run(*, seed: int, quick: bool, report: Report) -> Outcome:
    """Trains the network with and without skips and judges both on the same test images."""
    rngs = streams(seed)
    validation, pairs = draw(500, rngs.validation), draw_pairs(1_000 if quick else 5_000, rngs.test)
    fits, shares = {}, {}
    for name in (_SKIPS, _PLAIN):
        model = unet(log_images(_SHAPE), len(KINDS), skips=name == _SKIPS)
        fits[name] = fit(
            model,
            fresh(draw, rngs.train, batch_size=64, steps=40 if quick else 125),
            validation=validation,
            epochs=2 if quick else 5,
            learning_rate=3e-3,
            loss="categorical_crossentropy",
            report=report,
            name=name,
        )
        shares[name] = shares_of(model, pairs.images)
    shares[_BY_HAND] = by_layers(pairs.images)
    right = {name: put_right(pairs, each) for name, each in shares.items()}
    return Outcome(
        measured={
            "energy put right": mean(right[_SKIPS]),
            "gain over by layers": mean(right[_SKIPS] - right[_BY_HAND]),
        },
        fits=fits,
        n_test=len(pairs.images),
        tables=[_comparison(pairs, shares, right, rngs.test)],
        figures={
            "shares": _examples(pairs, shares),
            "energy put right": _histogram(right),
            "energy of the electron": _energies(pairs, shares),
            "learning": learning_curves(fits, label="cross-entropy, weighted with energy"),
        },
    )


def _of_electron(pairs: Pairs, shares: Floats) -> Floats:
    """The electron's energy that is found on each image over the true one, (image,)."""
    energy = pairs.images.sum(axis=-1)
    return (energy * shares).sum(axis=(1, 2)) / (energy * pairs.shares).sum(axis=(1, 2))


def _comparison(pairs: Pairs, shares: dict[str, Floats], right: dict[str, Floats], rng: np.random.Generator) -> Table:
    rows = []
    for name, each in shares.items():
        ratios = _of_electron(pairs, each)
        middle, width = (resampled(statistic, ratios, rng=rng) for statistic in (np.median, half_width))
        rows.append((name, mean(right[name]), middle, width))
    return Table(
        "On the same test images",
        ("shares from", "energy put right", "electron's energy, median found / true", "σ of it, over the median"),
        rows,
    )


def _examples(pairs: Pairs, shares: dict[str, Floats]) -> Figure:
    """Four images, a row each: the energy, the electron's true share, and the shares that are found."""
    energy = pairs.images.sum(axis=-1)
    with styled():
        figure = Figure(figsize=(3.0 * (2 + len(shares)), 11.5), layout="constrained")
        panels = figure.subplots(4, 2 + len(shares), sharex=True, sharey=True)
        for index, row in enumerate(panels):
            bright = energy[index] > 0
            dark = row[0].imshow(np.ma.masked_less_equal(energy[index], 0), norm=LogNorm(0.01, 30), cmap="Greys")
            for axes, each in zip(row[1:], (pairs.shares, *shares.values()), strict=True):
                mesh = axes.imshow(np.ma.masked_where(~bright, each[index]), cmap="coolwarm_r", vmin=0, vmax=1)
            row[0].set_ylabel("pixels in η")
            for axes in row:
                axes.grid(False)
        for axes, title in zip(panels[0], ("energy", "true share", *shares), strict=True):
            axes.set_title(title)
        for axes in panels[-1]:
            axes.set_xlabel("pixels in φ")
        figure.colorbar(dark, ax=panels[:, 0], location="bottom", label="E per pixel [GeV]").ax.grid(False)
        figure.colorbar(mesh, ax=panels[:, 1:], location="bottom", label="share of the electron").ax.grid(False)
    return figure


def _histogram(right: dict[str, Floats]) -> Figure:
    """How the share of energy that is put right is distributed."""
    bins = np.linspace(0, 1, 81).tolist()
    with styled():
        figure = Figure(figsize=(6.8, 4.4), layout="constrained")
        axes = figure.add_subplot()
        for color, (name, each) in zip(COLORS, right.items(), strict=False):
            axes.hist(each, bins, histtype="step", lw=2, color=color, label=f"{name}, mean {each.mean():.3f}")
        axes.set(xlabel="share of an image's energy that is put right", ylabel="images", yscale="log", xlim=(0, 1))
        axes.legend(loc="upper left")
    return figure


def _energies(pairs: Pairs, shares: dict[str, Floats]) -> Figure:
    """The electron's energy on the picture, found over true."""
    bins = np.linspace(0, 3, 91).tolist()
    with styled():
        figure = Figure(figsize=(6.8, 4.4), layout="constrained")
        axes = figure.add_subplot()
        for color, (name, each) in zip(COLORS, shares.items(), strict=False):
            ratios = np.clip(_of_electron(pairs, each), bins[0], bins[-1])
            axes.hist(ratios, bins, histtype="step", lw=2, color=color, label=name)
        axes.set(xlabel="the electron's energy, found over true", ylabel="images", yscale="log", xlim=(0, 3))
        axes.legend()
    return figure
