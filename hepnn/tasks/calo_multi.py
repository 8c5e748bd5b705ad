"""Which particle, how much energy, and where? One network with three answers.

**The lesson.** The three questions are about the same shower, and what helps one helps the others: how deep the shower is
tells an electron from a pion, and how much of its energy was not seen; how it leans tells where the particle came in. So the
convolutions are shared, and at the end there is a head for each answer (Caruana 1997, Mach. Learn. 28, 41). Keras takes a
loss, a target and a weight for each answer by its name. The network is `hepnn.models.multi_output.multi_output`, for images
of your own, too.

Losses are added, and what is added has to be of one size: cross-entropies are some tenths, mean relative errors of energies
some hundredths. With equal weights the network would learn the kind, and leave the energy for later. The weights make the
three about equal at the end of the training.

Is sharing worth it? Beside it stand three networks with one answer each, with the same convolutions and trained on as many
showers. Together they have three times the parameters and take three times as long.

* **By hand.** The kind from the share of energy in each layer, by logistic regression. The energy from the sum of cells,
  with a constant for each kind. The place from the centroid of the energy in the middle layer.
* **What cannot be known.** There is no tracker: a photon differs from an electron only in that it begins to shower a little
  later, and not in all cases.
* **Where?** Asked for is the point of the calorimeter's face. The cells that hold most energy lie some 15 cm behind it, and
  particles come in at angles of up to 0.1, so the centroid there is off by some mm even if it is right. Two layers give the
  direction: in η the strips in front are fine enough for it, in φ they are not, so η gets much better than φ.

**The measure.** Accuracy; half the central 68 % of E'/E over its median; half the central 68 % of the distance in η and in φ,
in mm at the face.

**The data.** `hepnn.generators.showers`: electrons, photons and charged pions of 10 to 100 GeV, ln E even. Images around
the cell with most energy, 37 × 11 pixels of 0.00625 (two strips) × 2π/256, six layers as channels.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import awkward as ak
import keras
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure, SubFigure
from sklearn.linear_model import LogisticRegression

from hepnn.alignment import wrapped
from hepnn.calo_images import CaloImage, pixelate_cells
from hepnn.generators.calorimeter import BARREL
from hepnn.models.multi_output import KIND, multi_output
from hepnn.multiclass import confusion_matrix
from hepnn.plots import COLORS, plot_confusion, styled
from hepnn.roc import Measured
from hepnn.tasks.calo_data import CELL, FAINT, draw_showers, log_images, seen
from hepnn.tasks.fitting import fit, fresh, streams
from hepnn.tasks.measuring import share
from hepnn.tasks.pictures import learning_curves
from hepnn.tasks.resolution import half_range, half_width, resampled
from hepnn.tasks.task import Fit, Outcome, Report, Table

__all__ = ["IMAGE", "Answers", "Showers", "by_hand", "draw", "draw_labelled", "network", "run"]

Floats = npt.NDArray[np.floating[Any]]

KINDS = ("electron", "photon", "pion")
IMAGE = CaloImage(size=(37, 11), width=(37 * CELL[0] / 4, 11 * CELL[1]), center="hardest")
ENERGY_NAME, PLACE = "energy", "place"
WEIGHTS = {KIND: 1.0, ENERGY_NAME: 10.0, PLACE: 2.0}
"""Of the losses."""

_SPARE = 8
"""Showers drawn beyond those wanted, for those without any cell, which hardly ever are."""
_MIDDLE = 1
"""The layer whose centroid gives the place by hand."""
_JOINT, _HAND = "three answers", "by hand"
_LOSSES = {KIND: "sparse_categorical_crossentropy", ENERGY_NAME: "mae", PLACE: "mae"}
_NUMBERS = {ENERGY_NAME: 1, PLACE: 2}


class Answers(NamedTuple):
    """What is said of showers, or true of them.

    Attributes:
        kind: (shower,), index in `KINDS`.
        energy: (shower,), in GeV.
        place: (shower, 2), where the particle meets the face: η and φ from the image's centre, in cells of the middle layer.
    """

    kind: npt.NDArray[np.int64]
    energy: Floats
    place: Floats


class Showers(NamedTuple):
    """Images, (shower, η, φ, layer) in GeV, and the truth."""

    images: npt.NDArray[np.float32]
    truth: Answers


def network(*answers: str) -> keras.Model:
    """Returns a network with these answers; the energy as ln of the energy over the sum of cells."""
    return multi_output(
        log_images(IMAGE.shape),
        len(KINDS) if KIND in answers else 0,
        numbers={name: number for name, number in _NUMBERS.items() if name in answers},
    )


def draw_labelled(n_showers: int, rng: np.random.Generator) -> Showers:
    """Returns showers around their hardest cell, and what is true of them; those without any cell are left out."""
    showers = draw_showers(n_showers, rng, classes=KINDS)
    showers = showers[ak.num(showers.cells) > 0]
    hardest = showers.cells[:, 0]  # cells come by falling energy
    d_eta, d_phi = (ak.to_numpy(showers[name] - hardest[name]).astype(np.float64) for name in ("eta", "phi"))
    place = np.stack([d_eta, wrapped(d_phi)], axis=1) / CELL
    truth = Answers(ak.to_numpy(showers.kind), ak.to_numpy(showers.energy), place)
    return Showers(pixelate_cells(showers, IMAGE), truth)


def draw(n_showers: int, rng: np.random.Generator) -> tuple[Any, Any]:
    """Returns inputs and targets of a network with all answers, always as many."""
    images, truth = draw_labelled(n_showers + _SPARE, rng)
    images, (kind, energy, place) = images[:n_showers], (each[:n_showers] for each in truth)
    targets = {KIND: kind, ENERGY_NAME: np.log(energy / _sums(images))[:, None], PLACE: place}
    return {"image": seen(images)}, targets


def said(model: keras.Model, images: Floats) -> dict[str, Floats]:
    """Returns the answers of a network by the fields of `Answers`."""
    answers = model.predict({"image": seen(images)}, batch_size=512, verbose=0)
    found = {}
    if KIND in answers:
        found["kind"] = answers[KIND].argmax(axis=1)
    if ENERGY_NAME in answers:
        found["energy"] = np.exp(answers[ENERGY_NAME][:, 0]) * _sums(images)
    if PLACE in answers:
        found["place"] = answers[PLACE]
    return found


def by_hand(known: Showers, images: Floats) -> Answers:
    """Returns answers without a network.

    Args:
        known: showers to calibrate with.
        images: to answer for, (shower, η, φ, layer), in GeV.
    """
    regression = LogisticRegression(max_iter=1_000).fit(_layer_shares(known.images), known.truth.kind)
    kind, factors = regression.predict(_layer_shares(images)), known.truth.energy / _sums(known.images)
    constants = np.array([np.median(factors[known.truth.kind == each]) for each in range(len(KINDS))])
    middle = images[..., _MIDDLE].astype(np.float64)
    total = np.maximum(middle.sum(axis=(1, 2)), FAINT)
    eta, phi = ((np.arange(n) - (n - 1) / 2) for n in IMAGE.size)
    place = np.stack([middle.sum(axis=2) @ eta / 4 / total, middle.sum(axis=1) @ phi / total], axis=1)
    return Answers(kind, constants[kind] * _sums(images), place)


def run(*, seed: int, quick: bool, report: Report) -> Outcome:
    """Trains the network with three answers and those with one, and judges all on the same test showers."""
    rngs = streams(seed)
    validation = draw(1_000, rngs.validation)
    test = draw_labelled(3_000 if quick else 15_000, rngs.test)
    fits: dict[str, Fit] = {}
    found: dict[str, dict[str, Floats]] = {}
    for name, answers in {_JOINT: tuple(_LOSSES), **{f"{each} alone": (each,) for each in _LOSSES}}.items():

        def chosen(n: int, rng: np.random.Generator, answers: tuple[str, ...] = answers) -> tuple[Any, Any]:
            inputs, targets = draw(n, rng)
            return inputs, {each: targets[each] for each in answers}

        fits[name] = fit(
            network(*answers),
            fresh(chosen, rngs.train, batch_size=128, steps=20 if quick else 100),
            validation=(validation[0], {each: validation[1][each] for each in answers}),
            epochs=2 if quick else 5,
            learning_rate=3e-3,
            loss={each: _LOSSES[each] for each in answers},
            loss_weights={each: WEIGHTS[each] for each in answers},
            report=report,
            name=name,
        )
        found[name] = said(fits[name].model, test.images)
    found[_HAND] = by_hand(draw_labelled(2_000 if quick else 10_000, rngs.validation), test.images)._asdict()
    measures = {name: _measures(each, test.truth, rngs.test) for name, each in found.items()}
    joint, hand = measures[_JOINT], measures[_HAND]
    return Outcome(
        measured={
            "accuracy": joint["accuracy"],
            "σ/E over that by hand": _over(joint["σ/E"], hand["σ/E"]),
            "σ(η) over that by hand": _over(joint["σ(η) [mm]"], hand["σ(η) [mm]"]),
        },
        fits=fits,
        n_test=len(test.images),
        tables=[_comparison(measures), _by_kind(found, test.truth)],
        figures={
            "kinds": _confusion(found[_JOINT]["kind"], test.truth.kind),
            "energy": _energies(found, test.truth),
            "place": _places(found, test.truth),
            "learning": learning_curves(fits, label="weighted loss"),
        },
    )


def _sums(images: Floats) -> Floats:
    """The sum of cells on each image, (image,), in GeV."""
    return np.maximum(images.sum(axis=(1, 2, 3)), FAINT)


def _layer_shares(images: Floats) -> Floats:
    """The share of the energy that is in each layer, (image, layer)."""
    return images.sum(axis=(1, 2)) / _sums(images)[:, None]


def _measures(found: dict[str, Floats], truth: Answers, rng: np.random.Generator) -> dict[str, Measured]:
    """What of the answers that there are can be measured, by name."""
    measures = {}
    if "kind" in found:
        measures["accuracy"] = share(found["kind"] == truth.kind)
    if "energy" in found:
        ratios = found["energy"] / truth.energy
        measures["σ/E"] = resampled(half_width, ratios, rng=rng)
    if "place" in found:
        for axis, name in enumerate(("η", "φ")):
            off = _distance(found["place"], truth)[:, axis]
            measures[f"σ({name}) [mm]"] = resampled(half_range, off, rng=rng)
    return measures


def _distance(place: Floats, truth: Answers) -> Floats:
    """How far in η and φ the place is from the true one, (shower, 2), in mm at the face."""
    return (place - truth.place) * CELL * BARREL.radius


def _over(better: Measured, other: Measured) -> Measured:
    """One number over another; its uncertainty is as if they came from different showers."""
    ratio = better.value / other.value
    return Measured(ratio, ratio * float(np.hypot(better.error / better.value, other.error / other.value)))


def _comparison(measures: dict[str, dict[str, Measured]]) -> Table:
    names = tuple(measures[_JOINT])
    return Table(
        "On the same test showers",
        ("answers from", *names),
        [(name, *(each.get(column, "") for column in names)) for name, each in measures.items()],
    )


def _by_kind(found: dict[str, dict[str, Floats]], truth: Answers) -> Table:
    """The answers of the one network, and those by hand, for each kind."""
    rows = []
    for kind, of_kind in enumerate(KINDS):
        those = truth.kind == kind
        for name in (_JOINT, _HAND):
            answers = found[name]
            off = _distance(answers["place"], truth)[those]
            rows.append(
                (
                    f"{of_kind}, {name}",
                    share(answers["kind"][those] == kind),
                    half_width((answers["energy"] / truth.energy)[those]),
                    *(half_range(off[:, axis]) for axis in range(2)),
                )
            )
    return Table("By the true kind", ("shower", "kind right", "σ/E", "σ(η) [mm]", "σ(φ) [mm]"), rows)


def _confusion(found: npt.NDArray[Any], truth: npt.NDArray[Any]) -> Figure | SubFigure:
    """Which kind is taken for which."""
    names = np.array(KINDS)
    return plot_confusion(confusion_matrix(names[truth], names[found], classes=KINDS), KINDS).figure


def _energies(found: dict[str, dict[str, Floats]], truth: Answers) -> Figure:
    """E'/E by kind, of the network and by hand."""
    bins = np.linspace(0.5, 1.5, 81).tolist()
    with styled():
        figure = Figure(figsize=(10.4, 4.6), layout="constrained")
        panels = figure.subplots(1, 2, sharex=True, sharey=True)
        for axes, name in zip(panels, (_JOINT, _HAND), strict=True):
            for kind, (of_kind, color) in enumerate(zip(KINDS, COLORS, strict=False)):
                ratios = (found[name]["energy"] / truth.energy)[truth.kind == kind]
                label = f"{of_kind}s"
                axes.hist(np.clip(ratios, bins[0], bins[-1]), bins, histtype="step", lw=2, color=color, label=label)
            axes.set(title=name, xlabel="E'/E", yscale="log", xlim=(bins[0], bins[-1]))
        panels[0].set_ylabel("showers")
        panels[1].legend()
    return figure


def _places(found: dict[str, dict[str, Floats]], truth: Answers) -> Figure:
    """The distance from the true place in η and in φ."""
    bins = np.linspace(-60, 60, 121).tolist()
    with styled():
        figure = Figure(figsize=(10.4, 4.6), layout="constrained")
        panels = figure.subplots(1, 2, sharex=True)
        for axis, (axes, name) in enumerate(zip(panels, ("η", "φ"), strict=True)):
            for color, of in zip(COLORS, (_JOINT, f"{PLACE} alone", _HAND), strict=False):
                off = np.clip(_distance(found[of]["place"], truth)[:, axis], bins[0], bins[-1])
                axes.hist(off, bins, histtype="step", lw=2, color=color, label=of)
            axes.set(xlabel=f"found minus true place in {name} [mm]", xlim=(bins[0], bins[-1]))
        panels[0].set_ylabel("showers")
        panels[1].legend(fontsize=10)
    return figure
