"""Which showers are in the picture, where, and of which kind? The detector of `shapes-detect` on a calorimeter.

**The lesson.** Nothing in a detector knows of circles and rectangles. The same network, with six channels for the layers
instead of one for the brightness, finds showers of electrons and of charged pions, up to five in one picture, with a box, a
kind and a score for each (`hepnn.detection`). What clusters of cells are made with by hand, seeds, neighbours and
thresholds, is learned.

* **What is a shower's box?** A circle has an edge, a shower has not: it fades. Here the box goes in η and in φ from where 5 %
  of the shower's energy lie before to where 95 % do, so it holds 90 % in each direction, and between 80 % and 90 % in both.
  Edges lie within pixels, as if the energy of a pixel were even in it. Energy is what its own cells show above threshold
  within the picture; where showers overlap, each has its own box.
* **What tells the kinds apart?** Depth above all: electrons end in the three front layers, pions mostly reach the three
  behind, whose cells are four pixels wide or more. It suffices: what is found is hardly ever given the wrong kind.
* **What is hard?** An electron's box is two or three pixels wide, so a third of a pixel is a lot of its overlap; a pion's box
  hangs on its faint edges; and of two showers in one place the fainter is lost.

**The measure.** mAP@0.5 and mAP@[.5:.95], as in `shapes-detect`.

**The data.** `hepnn.generators.showers`: electrons and charged pions of 20 to 100 GeV, ln E even, 1 to 5 in a picture of
40 × 40 pixels of 0.025 × 2π/256, no two in one tile of 8 × 8. Cells larger than a pixel are spread over the pixels they
cover. Noise is where showers are read out, not elsewhere.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
import numpy.typing as npt
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from hepnn.boxes import IOU_THRESHOLDS, Detections, Matches, Objects, iou, match, mean_average_precision
from hepnn.detection import Grid, detect, detection_loss, detector, encode
from hepnn.plots import COLORS, styled
from hepnn.roc import Measured
from hepnn.tasks.calo_data import draw_places, draw_showers, framed, seen, shower_images
from hepnn.tasks.fitting import fit, fresh, streams
from hepnn.tasks.measuring import bootstrapped, share
from hepnn.tasks.pictures import draw_boxes, learning_curves
from hepnn.tasks.resolution import energy_axis
from hepnn.tasks.task import Outcome, Report, Table

__all__ = ["GRID", "Scenes", "boxes_of", "draw", "draw_scenes", "run"]

Floats = npt.NDArray[np.floating[Any]]

KINDS = ("electron", "pion")
ENERGY = (20.0, 100.0)
"""GeV."""
TILES = (4, 4)
"""Of the places where showers can be."""
MARGIN = 4
"""Pixels around them."""
GRID = Grid(rows=10, columns=10, cell=4, n_boxes=2, n_kinds=2)
"""Of 4 × 4 pixels a cell: 40 × 40 in all."""
MAX_SHOWERS = 5
"""In a picture; at least 1."""
HELD = (0.05, 0.95)
"""Shares of a shower's energy between which its box is, in each direction."""

_N_LAYERS = 6
_SURE = 0.5
"""Score from which on a detection is shown, and counted where numbers are given for one working point."""
_SHOWN_IOUS = (0.5, 0.75, 0.9)


class Scenes(NamedTuple):
    """Pictures of several showers.

    Attributes:
        images: (image, η, φ, layer), in GeV.
        objects: boxes in pixels: x is φ, y is η.
        energies: (image, slot), of the particles, in GeV; 0 where there is none.
    """

    images: npt.NDArray[np.float32]
    objects: Objects
    energies: Floats


def draw_scenes(n_images: int, rng: np.random.Generator) -> Scenes:
    """Returns pictures of 1 to 5 showers; each is of an electron or of a pion with the same probability."""
    counts = rng.integers(1, MAX_SHOWERS + 1, n_images)
    showers = framed(
        draw_showers(int(counts.sum()), rng, classes=KINDS, energy=ENERGY), draw_places(counts, rng, tiles=TILES)
    )
    alone = shower_images(showers, tiles=TILES, margin=MARGIN, n_layers=_N_LAYERS)
    boxes, present = boxes_of(alone.sum(axis=-1)), np.arange(MAX_SHOWERS) < counts[:, None]
    slots: list[Any] = []
    for values in (boxes, ak.to_numpy(showers.kind), ak.to_numpy(showers.energy)):
        slots.append(np.zeros((*present.shape, *values.shape[1:]), values.dtype))
        slots[-1][present] = values
    images = np.add.reduceat(alone, np.cumsum(counts) - counts, axis=0)
    return Scenes(images, Objects(slots[0], slots[1], present), slots[2])


def boxes_of(images: Floats) -> Floats:
    """Returns the box of the shower on each image, (image, 4), in pixels: x is φ, y is η.

    Args:
        images: (image, η, φ), in GeV, of one shower each, with some energy on it.
    """
    edges = {}
    for axis, name in ((1, "y"), (2, "x")):
        along = np.clip(images, 0, None).sum(axis=3 - axis, dtype=np.float64)
        before = (
            np.concatenate([np.zeros((len(along), 1)), np.cumsum(along, axis=1)], axis=1) / along.sum(axis=1)[:, None]
        )
        for held in HELD:
            # the pixel within which the share is reached, and how far into it
            pixel = np.sum(before[:, 1:] < held, axis=1)
            low, high = (np.take_along_axis(before, pixel[:, None] + step, axis=1)[:, 0] for step in (0, 1))
            edges[name, held] = pixel + (held - low) / (high - low)
    return np.stack([edges[name, held] for held in HELD for name in ("x", "y")], axis=1)


def draw(n_images: int, rng: np.random.Generator) -> tuple[Any, Any]:
    """Returns images as the network sees them, and the grids of answers that are right for them."""
    scenes = draw_scenes(n_images, rng)
    return seen(scenes.images), encode(scenes.objects, GRID)


def run(*, seed: int, quick: bool, report: Report) -> Outcome:
    """Trains the detector and judges what it finds on test images."""
    rngs = streams(seed)
    fitted = fit(
        detector(GRID, filters=(16, 32) if quick else (32, 48), channels=_N_LAYERS),
        fresh(draw, rngs.train, batch_size=64, steps=40 if quick else 150),
        validation=draw(100 if quick else 500, rngs.validation),
        epochs=3 if quick else 6,
        learning_rate=4e-3,
        loss=detection_loss,
        report=report,
    )
    scenes = draw_scenes(400 if quick else 3_000, rngs.test)
    found = detect(fitted.model, seen(scenes.images), grid=GRID)
    matches = match(found, scenes.objects, n_kinds=len(KINDS))

    def averaged(threshold: float | None = None) -> Measured:
        return bootstrapped(
            lambda images: mean_average_precision(matches, threshold=threshold, images=images),
            len(scenes.images),
            rng=np.random.default_rng(seed),
        )

    return Outcome(
        measured={"mAP@0.5": averaged(0.5), "mAP@[.5:.95]": averaged()},
        fits={"detector": fitted},
        n_test=len(scenes.images),
        tables=[_by_kind(matches, averaged), _by_energy(scenes, found)],
        figures={
            "what it found": _examples(scenes, found),
            "found by energy": _efficiency(scenes, found),
            "learning": learning_curves({"detector": fitted}),
        },
    )


def _by_kind(matches: Matches, averaged: Any) -> Table:
    of_kind = [
        matches._replace(n_objects=matches.n_objects * (np.arange(len(KINDS)) == kind)) for kind in range(len(KINDS))
    ]
    return Table(
        "Average precision by the IoU from which on a detection is right",
        ("IoU", *(f"{kind}s" for kind in KINDS), "both"),
        [
            (
                f"{threshold:g}",
                *(mean_average_precision(each, threshold=threshold) for each in of_kind),
                averaged(threshold),
            )
            for threshold in (*_SHOWN_IOUS, IOU_THRESHOLDS[-1])
        ],
    )


def _overlaps(scenes: Scenes, found: Detections, *, same_kind: bool = True) -> Floats:
    """The largest IoU of each shower with a sure detection, (image, slot); of its kind, or of any."""
    there = found.present & (found.scores >= _SURE)
    overlaps = iou(scenes.objects.boxes, found.boxes) * there[:, None]
    if same_kind:
        overlaps *= scenes.objects.kinds[:, :, None] == found.kinds[:, None]
    return overlaps.max(axis=2, initial=0.0)


def _by_energy(scenes: Scenes, found: Detections) -> Table:
    """Showers found by kind and energy."""
    edges = np.geomspace(*ENERGY, 4)
    best, any_kind = _overlaps(scenes, found), _overlaps(scenes, found, same_kind=False)
    rows = []
    for kind, name in enumerate(KINDS):
        for low, high in itertools.pairwise(edges):
            those = scenes.objects.present & (scenes.objects.kinds == kind)
            those &= (scenes.energies >= low) & (scenes.energies < high)
            rows.append(
                (
                    f"{name}, {low:.0f} to {high:.0f} GeV",
                    share(best[those] >= 0.5),
                    share(any_kind[those] >= 0.5),
                    float(np.median(best[those])),
                )
            )
    return Table(
        f"Showers with a detection that scores {_SURE:g} or more and overlaps by an IoU of 0.5 or more",
        ("shower", "found", "found, as whatever kind", "median IoU"),
        rows,
    )


def _efficiency(scenes: Scenes, found: Detections) -> Figure:
    """The share of showers that are found, against their energy."""
    best = _overlaps(scenes, found) >= 0.5
    edges = np.geomspace(*ENERGY, 9)
    with styled():
        figure = Figure(figsize=(6.4, 4.4), layout="constrained")
        axes = figure.add_subplot()
        for kind, (name, color) in enumerate(zip(KINDS, COLORS, strict=False)):
            those = scenes.objects.present & (scenes.objects.kinds == kind)
            place = np.searchsorted(edges, scenes.energies[those], side="right") - 1
            shares = [share(best[those][place == index]) for index in range(len(edges) - 1)]
            axes.errorbar(
                np.sqrt(edges[:-1] * edges[1:]),
                [each.value for each in shares],
                yerr=[each.error for each in shares],
                fmt="o-",
                ms=5,
                color=color,
                label=f"{name}s",
            )
        energy_axis(axes, label="energy of the particle")
        axes.set(ylabel="showers found", ylim=(None, 1.0))
        axes.legend()
    return figure


def _examples(scenes: Scenes, found: Detections) -> Figure:
    """Four pictures as they come, and the four with the most mistakes."""
    sure = found.present & (found.scores >= _SURE)
    missed = (scenes.objects.present & (_overlaps(scenes, found) < 0.5)).sum(axis=1)
    wrong = sure.sum(axis=1) - (scenes.objects.present.sum(axis=1) - missed)
    chosen = np.concatenate([np.arange(4), 4 + np.argsort(-(missed + wrong)[4:], kind="stable")[:4]])
    with styled():
        figure = Figure(figsize=(14.0, 7.0), layout="constrained")
        panels = figure.subplots(2, 4, sharex=True, sharey=True)
        for axes, image in zip(panels.flat, chosen, strict=True):
            energies = scenes.images[image].sum(axis=-1)
            mesh = axes.imshow(
                np.ma.masked_less_equal(energies, 0),
                norm=LogNorm(0.01, 30),
                cmap="Greys",
                extent=(0, energies.shape[1], energies.shape[0], 0),
            )
            axes.grid(False)
            axes.set_title(f"{missed[image]} missed, {wrong[image]} wrong", fontsize=11)
            for kind, color in enumerate(COLORS[: len(KINDS)]):
                there = scenes.objects.present[image] & (scenes.objects.kinds[image] == kind)
                draw_boxes(axes, scenes.objects.boxes[image, there], color=color, style=":")
                shown = sure[image] & (found.kinds[image] == kind)
                labels = [f"{score:.2f}" for score in found.scores[image, shown]]
                draw_boxes(axes, found.boxes[image, shown], color=color, labels=labels)
            axes.set(xticks=range(0, 40, 10), yticks=range(0, 40, 10))
            axes.label_outer()
        for axes in panels[1]:
            axes.set_xlabel("pixels in φ")
        for axes in panels[:, 0]:
            axes.set_ylabel("pixels in η")
        figure.colorbar(mesh, ax=panels, label="E per pixel [GeV]").ax.grid(False)
        handles = [
            Line2D([], [], color=color, label=f"found: {kind}") for kind, color in zip(KINDS, COLORS, strict=False)
        ]
        handles.append(Line2D([], [], color="0.3", ls=":", label="true, in the colour of its kind"))
        figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure
