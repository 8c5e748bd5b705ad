"""How much energy had the pion? A network against the sum of cells.

**The lesson.** A calorimeter gives for each particle a shower of cells, and the oldest way to its energy is to add them up
and divide by the mean response. For electrons that is hard to beat. For charged pions it is poor: part of the energy goes
into π0, whose photons are seen as electrons are, the rest into hadrons, of whose energy much stays unseen (broken nuclei,
slow neutrons; Wigmans 2017, *Calorimetry*, chapter 2). The electromagnetic part fluctuates from shower to shower, so the
sum does, and it grows with the energy, so the sum is not even proportional to it.

But the two parts look different. π0 make short, narrow, dense cascades; hadrons deep, wide, faint ones. A network that
sees the picture of a shower can tell how much of which there was, and correct the sum: what calorimeters do by *software
compensation* (CALICE, arXiv:1207.4210), learned. Here the network gives the logarithm of a factor for the sum, so it starts
from the sum and has to learn only what is wrong with it.

* **The baselines.** The sum, with one constant, such that its median is right; and a weight for each layer, by least
  squares, which is the best that a sum can do.
* **The loss.** Mean |ln E' − ln E|: relative errors count alike at all energies, and the best answer is the median, so
  the median response comes out as 1.
* **The range.** Any estimate is drawn toward what it saw most of, and at the end of a range that is the inside. So the
  network is trained on 5 to 400 GeV, and judged from 10 to 200 GeV.

**The measure.** In bins of the energy, the resolution is half the central 68 % of E'/E over its median, so that nobody gains
by making all energies smaller; bias is that median minus 1. The resolution is fitted by a/√E ⊕ b ⊕ c/E
(`hepnn.tasks.resolution`). What compensation lowers is b, by half and more: the electromagnetic part fluctuates in proportion to
the energy, and those fluctuations can be seen. Those of sampling, in a, cannot.

**The data.** `hepnn.generators.showers`: charged pions in a calorimeter like ATLAS' barrel, ln E even; images of 11 × 11
pixels of 0.05 × 2π/128, six layers as channels. It is a fast simulation: the numbers are not those of a real detector.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import awkward as ak
import keras
import numpy as np
import numpy.typing as npt
from keras import ops
from matplotlib.figure import Figure

from hepnn.calo_images import CaloImage, pixelate_cells
from hepnn.plots import COLORS, styled
from hepnn.roc import Measured
from hepnn.tasks.calo_data import FAINT, draw_showers
from hepnn.tasks.fitting import fit, fresh, streams
from hepnn.tasks.pictures import learning_curves
from hepnn.tasks.resolution import Binned, draw_resolution, energy_axis, fit_resolution, measured_in_bins
from hepnn.tasks.task import Outcome, Report, Table

__all__ = ["IMAGE", "corrected_sum", "draw", "fitted_sums", "run"]

Floats = npt.NDArray[np.floating[Any]]

IMAGE = CaloImage(size=(11, 11), width=(11 * 0.05, 11 * 2 * np.pi / 128), center="axis")
ENERGY, TRAINED = (10.0, 200.0), (5.0, 400.0)
"""GeV: the ranges of energies that are tested, and that the network learns from."""

_N_BINS = 8
"""Of even width in ln E."""
_BEST = "network"
_SUM = "sum of cells"
_LAYERS = "weighted layers"


def corrected_sum() -> keras.Model:
    """Returns a network from an image (η, φ, layer) in GeV to the logarithm of the energy over 1 GeV, (1,)."""
    image = keras.Input(IMAGE.shape, name="image")
    values = ops.log1p(image / FAINT)
    for filters in (32, 32):
        values = keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(values)
    values = keras.layers.MaxPooling2D(padding="same")(values)
    values = keras.layers.Conv2D(48, 3, padding="same", activation="relu")(values)
    of_layers = ops.sum(image, axis=(1, 2))
    values = keras.layers.Concatenate()([keras.layers.Flatten()(values), ops.log1p(of_layers / FAINT)])
    for _ in range(2):
        values = keras.layers.Dense(64, activation="relu")(values)
    correction = keras.layers.Dense(1, kernel_initializer="zeros", name="correction")(values)
    total = ops.maximum(ops.sum(of_layers, axis=1, keepdims=True), FAINT)
    return keras.Model(image, keras.layers.Add(name="log_energy")([ops.log(total), correction]), name="corrected_sum")


def draw(n_showers: int, rng: np.random.Generator, *, energy: tuple[float, float] = TRAINED) -> tuple[Any, Any]:
    """Returns images (shower, η, φ, layer) in GeV, and ln(E/GeV), (shower, 1)."""
    showers = draw_showers(n_showers, rng, classes=["pion"], energy=energy)
    return pixelate_cells(showers, IMAGE), np.log(ak.to_numpy(showers.energy))[:, None]


def fitted_sums(images: Floats, energies: Floats) -> dict[str, Floats]:
    """Returns the factor of each layer in the two baselines, (layer,), by name.

    Args:
        images: (shower, η, φ, layer) to calibrate with, in GeV.
        energies: (shower,), true ones, in GeV.
    """
    relative = images.sum(axis=(1, 2)) / energies[:, None]
    constant = 1 / np.median(relative.sum(axis=1))
    weights = np.linalg.lstsq(relative, np.ones(len(relative)), rcond=None)[0]
    return {_SUM: np.full(relative.shape[1], constant), _LAYERS: weights}


def run(*, seed: int, quick: bool, report: Report) -> Outcome:
    """Trains the network, calibrates the sums, and judges all on the same test showers."""
    rngs = streams(seed)
    model = corrected_sum()
    fits = {
        _BEST: fit(
            model,
            fresh(draw, rngs.train, batch_size=256, steps=40 if quick else 150),
            validation=draw(1_000, rngs.validation),
            epochs=3 if quick else 12,
            learning_rate=3e-3,
            loss="mae",
            report=report,
        )
    }
    known, logs = draw(5_000 if quick else 20_000, rngs.validation, energy=ENERGY)
    sums = fitted_sums(known, np.exp(logs[:, 0]))
    images, logs = draw(4_000 if quick else 20_000, rngs.test, energy=ENERGY)
    true = np.exp(logs[:, 0])
    found = {name: images.sum(axis=(1, 2)) @ weights for name, weights in sums.items()}
    found[_BEST] = np.exp(model.predict(images, batch_size=512, verbose=0)[:, 0])
    edges = np.geomspace(*ENERGY, _N_BINS + 1)
    binned = {name: measured_in_bins(true, each, edges=edges, rng=rngs.test) for name, each in found.items()}
    ratios = {name: each / true for name, each in found.items()}
    worst = int(np.argmax(np.abs(binned[_BEST].response - 1)))
    return Outcome(
        measured={
            "σ/E over that of the sum": _gain(binned[_BEST], binned[_SUM]),
            "largest bias in a bin": Measured(
                float(abs(binned[_BEST].response[worst] - 1)), float(binned[_BEST].response_error[worst])
            ),
        },
        fits=fits,
        n_test=len(true),
        tables=[_terms(binned), _by_energy(edges, binned)],
        figures={
            "resolution": _resolutions(binned),
            "linearity": _linearity(binned),
            "ratios": _histogram(ratios),
            "what was corrected": _correction(images, ratios),
            "learning": learning_curves(fits, label="mean |Δ ln E|"),
        },
    )


def _gain(better: Binned, other: Binned) -> Measured:
    """The mean over bins of one resolution over the other; its uncertainty is as if they came from different showers."""
    ratio = better.resolution / other.resolution
    relative = np.hypot(better.resolution_error / better.resolution, other.resolution_error / other.resolution)
    return Measured(float(ratio.mean()), float(np.sqrt(np.sum((ratio * relative) ** 2)) / len(ratio)))


def _terms(binned: Mapping[str, Binned]) -> Table:
    return Table(
        "Resolution fitted by a/√E ⊕ b ⊕ c/E",
        ("energy from", "a [√GeV]", "b", "c [GeV]"),
        [(name, *fit_resolution(each)) for name, each in binned.items()],
    )


def _by_energy(edges: Floats, binned: Mapping[str, Binned]) -> Table:
    """Bias and resolution of the sum and of the network."""
    shown = {name: binned[name] for name in (_SUM, _BEST)}
    return Table(
        "By the true energy",
        ("E [GeV]", *(f"{what}, {name}" for what in ("median E'/E", "σ/E") for name in shown)),
        [
            (
                f"{edges[i]:.0f} to {edges[i + 1]:.0f}",
                *(Measured(each.response[i], each.response_error[i]) for each in shown.values()),
                *(Measured(each.resolution[i], each.resolution_error[i]) for each in shown.values()),
            )
            for i in range(len(edges) - 1)
        ],
    )


def _resolutions(binned: Mapping[str, Binned]) -> Figure:
    """Resolution against energy, with the fits."""
    with styled():
        figure = Figure(figsize=(6.8, 5.0), layout="constrained")
        axes = figure.add_subplot()
        for color, (name, each) in zip(COLORS, binned.items(), strict=False):
            draw_resolution(axes, each, color=color, label=name)
        energy_axis(axes, label="energy E of the pion")
        axes.set(ylabel="resolution σ/E", ylim=(0, None))
        axes.legend(title=r"fits: $a/\sqrt{E}\oplus b\oplus c/E$")
    return figure


def _linearity(binned: Mapping[str, Binned]) -> Figure:
    """Median response against energy."""
    with styled():
        figure = Figure(figsize=(6.8, 4.4), layout="constrained")
        axes = figure.add_subplot()
        for color, (name, each) in zip(COLORS, binned.items(), strict=False):
            axes.errorbar(each.energy, each.response, yerr=each.response_error, fmt="o-", ms=5, color=color, label=name)
        axes.axhline(1, color="0.3", lw=1)
        energy_axis(axes, label="energy E of the pion")
        axes.set_ylabel("median of E'/E")
        axes.legend()
    return figure


def _histogram(ratios: Mapping[str, Floats]) -> Figure:
    """How E'/E is distributed over all test showers."""
    bins = np.linspace(0.5, 1.5, 81).tolist()
    with styled():
        figure = Figure(figsize=(6.8, 4.4), layout="constrained")
        axes = figure.add_subplot()
        for color, (name, each) in zip(COLORS, ratios.items(), strict=False):
            axes.hist(np.clip(each, bins[0], bins[-1]), bins, histtype="step", lw=2, color=color, label=name)
        axes.set(xlabel="E'/E, reconstructed over true energy", ylabel="pions", xlim=(bins[0], bins[-1]))
        axes.legend()
    return figure


def _correction(images: Floats, ratios: Mapping[str, Floats]) -> Figure:
    """The factor that the network gives the calibrated sum, against the one it should give."""
    with styled():
        figure = Figure(figsize=(6.4, 5.0), layout="constrained")
        axes = figure.add_subplot()
        needed, given = 1 / ratios[_SUM], ratios[_BEST] / ratios[_SUM]
        in_front = images[..., :3].sum(axis=(1, 2, 3)) / np.maximum(images.sum(axis=(1, 2, 3)), FAINT)
        points = axes.scatter(needed, given, s=3, c=in_front, cmap="viridis", rasterized=True)
        axes.plot([0.7, 1.6], [0.7, 1.6], color="0.3", lw=1)
        axes.set(
            xlim=(0.7, 1.6), ylim=(0.7, 1.6), xlabel="E over the calibrated sum", ylabel="E' over the calibrated sum"
        )
        figure.colorbar(points, ax=axes, label="share of energy in the front layers").ax.grid(False)
    return figure
