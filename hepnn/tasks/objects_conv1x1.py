"""A 1×1 convolution over particles: one dense network for each of them, whatever their order.

**The lesson.** Particles come in no order; any that we give them is ours. A convolution with a kernel of one place looks
at a single particle, h_i = φ(W x_i + b) with the same W for all: it *is* a dense network for each particle, and here the
numbers show it. So if the particles change places, so do their encodings, and nothing else happens (*equivariance*). A
sum, mean or maximum over the particles then does not notice at all (*invariance*): Σ_i φ(x_i), which is Deep Sets
(Zaheer et al. 2017, arXiv:1703.06114, theorem 2), in this field the Particle Flow Network (Komiske, Metodiev, Thaler
2019, arXiv:1810.05165). Padding is kept out by the mask, in the pooling.

A kernel of three sees neighbours, and an LSTM all that came before, so both change with the order. They can use an order
that tells something, as falling pt does, but what they learned of it does not hold for another. To see it, the three
networks are trained alike on jets ordered by falling pt, and judged on test jets in that order and in a random one.

**The data.** Toy jets (`hepnn.generators.toy`) of two classes, W bosons and QCD: five features of the hardest particles
of each. They are no simulation of physics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from hepnn.clouds import Collection, ParticleCloud
from hepnn.features import resolve_features
from hepnn.generators import toy_jets
from hepnn.layers import MaskedPooling
from hepnn.plots import COLORS, styled
from hepnn.roc import Measured, auc, auc_difference
from hepnn.scaling import Scaling, fit_scaling
from hepnn.tasks.fitting import fit, streams
from hepnn.tasks.pictures import learning_curves
from hepnn.tasks.references import convolution
from hepnn.tasks.task import Fit, Outcome, Report, Table

__all__ = [
    "ENCODERS",
    "Jets",
    "comparisons",
    "draw",
    "encodings",
    "network",
    "padding_changes",
    "run",
    "same_as_dense",
    "shuffled",
]

Floats = npt.NDArray[np.floating[Any]]

SIGNAL, BACKGROUND = "Wqq", "QCD"
FEATURES = ("log_pt_rel", "log_energy_rel", "delta_eta", "delta_phi", "delta_r")
MAX_PARTICLES = 32
"""The hardest of each jet; some have more."""
WIDTH = 32
"""Numbers in the encoding of a particle, and units of the head."""

_SUM_SCALE = 1 / MAX_PARTICLES
"""Brings the sum over particles to the order of one, where float32 rounds as it does in the other poolings."""


class Jets(NamedTuple):
    """Jets as tensors.

    Attributes:
        inputs: ``particles`` (jet, particle, feature), scaled, 0 in padded slots, and ``mask`` (jet, particle) bool.
        is_signal: (jet,) bool.
        scaling: of the features.
    """

    inputs: dict[str, Any]
    is_signal: npt.NDArray[np.bool_]
    scaling: Scaling


def draw(n_jets: int, rng: np.random.Generator, *, scaling: Scaling | None = None) -> Jets:
    """Returns toy jets ordered by falling pt; their scaling is fitted to them if None is given."""
    jets = toy_jets(n_jets, seed=int(rng.integers(2**31)), classes=[SIGNAL, BACKGROUND])
    features = resolve_features(FEATURES)
    clouds = ParticleCloud({"particles": Collection(features, max_particles=MAX_PARTICLES)}).tensors(jets)
    scaling = scaling or fit_scaling(features, clouds.collections["particles"].values)
    padded = clouds.pad(length=MAX_PARTICLES)
    mask = padded["particles_mask"]
    values = np.where(mask[..., None], scaling(padded["particles"]), 0).astype(np.float32)
    return Jets({"particles": values, "mask": mask}, jets.label.to_numpy() == SIGNAL, scaling)


def _one_by_one(particles: Any, mask: Any) -> Any:
    hidden = keras.layers.Conv1D(WIDTH, 1, activation="relu", name="hidden")(particles)
    return keras.layers.Conv1D(WIDTH, 1, activation="relu", name="encodings")(hidden)


def _with_neighbours(particles: Any, mask: Any) -> Any:
    hidden = keras.layers.Conv1D(WIDTH, 3, padding="same", activation="relu", name="hidden")(particles)
    return keras.layers.Conv1D(WIDTH, 3, padding="same", activation="relu", name="encodings")(hidden)


def _with_all_before(particles: Any, mask: Any) -> Any:
    return keras.layers.LSTM(WIDTH, return_sequences=True, name="encodings")(particles, mask=mask)


ENCODERS: dict[str, Callable[[Any, Any], Any]] = {
    "1 × 1 convolution": _one_by_one,
    "convolution over 3": _with_neighbours,
    "LSTM": _with_all_before,
}
"""What makes encodings (jet, particle, unit) out of particles and mask, by what it is called."""


def network(encoder: str) -> keras.Model:
    """Returns a network from particles and mask to the probability of signal; only the encoders differ."""
    inputs = {
        "particles": keras.Input((None, len(FEATURES)), name="particles"),
        "mask": keras.Input((None,), dtype="bool", name="mask"),
    }
    encoded = ENCODERS[encoder](inputs["particles"], inputs["mask"])
    total, mean, highest = (MaskedPooling(how, name=how)(encoded, inputs["mask"]) for how in ("sum", "mean", "max"))
    pooled = keras.layers.Concatenate(name="pooled")([keras.layers.Rescaling(_SUM_SCALE)(total), mean, highest])
    values = keras.layers.Dense(WIDTH, activation="relu", name="head")(pooled)
    probability = keras.layers.Dense(1, activation="sigmoid", name="probability")(values)
    return keras.Model(inputs, probability, name=encoder.replace(" × ", "x").replace(" ", "_"))


def encodings(model: keras.Model, *, layer: str = "encodings") -> keras.Model:
    """Returns the part of a `network` that ends with ``layer``."""
    return keras.Model(model.input, model.get_layer(layer).output)


def shuffled(inputs: Mapping[str, Any], rng: np.random.Generator) -> tuple[dict[str, Any], npt.NDArray[np.intp]]:
    """Returns the same jets with their particles in random order, padding still behind, and that order.

    Returns:
        Inputs, and ``order`` (jet, particle): slot i holds what was in slot order[i].
    """
    order = np.argsort(np.where(inputs["mask"], rng.random(inputs["mask"].shape), 2.0), axis=1)
    return {**inputs, "particles": _taken(inputs["particles"], order)}, order


def comparisons(model: keras.Model, inputs: Mapping[str, Any], *, rng: np.random.Generator) -> dict[str, float]:
    """Returns how far encodings, pooled encodings and score of a `network` move when the particles change places.

    Encodings are brought back to their particles before they are compared. Padded slots do not count.
    """
    moved, order = shuffled(inputs, rng)
    before, after = (_predicted(encodings(model), each) for each in (inputs, moved))
    pooled = [_predicted(encodings(model, layer="pooled"), each) for each in (inputs, moved)]
    score = [_predicted(model, each) for each in (inputs, moved)]
    return {
        "encodings": float(np.abs(after - _taken(before, order))[inputs["mask"]].max()),
        "pooled": float(np.abs(pooled[1] - pooled[0]).max()),
        "score": float(np.abs(score[1] - score[0]).max()),
    }


def same_as_dense(model: keras.Model, inputs: Mapping[str, Any]) -> dict[str, float]:
    """Returns how far the 1×1 convolutions of a `network` are from the same numbers, computed in other ways."""
    encoded = _predicted(encodings(model), inputs)[inputs["mask"]]  # (particle, unit): jets are forgotten
    particles = inputs["particles"][inputs["mask"]]
    dense, reference = particles, inputs["particles"]
    for name in ("hidden", "encodings"):
        kernel, bias = model.get_layer(name).get_weights()
        layer = keras.layers.Dense(WIDTH, activation="relu")
        layer.build(dense.shape)
        layer.set_weights([kernel[0], bias])
        dense = np.asarray(layer(dense))
        reference = np.maximum(convolution(reference, [kernel, bias]), 0)
    return {
        "a dense network with the same weights, particle by particle": float(np.abs(dense - encoded).max()),
        "the sum over k and c in NumPy": float(np.abs(reference[inputs["mask"]] - encoded).max()),
    }


def padding_changes(model: keras.Model, inputs: Mapping[str, Any], *, rng: np.random.Generator) -> float:
    """Returns the largest change of the score when there is more padding, with random numbers in it."""
    extra = ((0, 0), (0, MAX_PARTICLES))
    mask = np.pad(inputs["mask"], extra)
    particles = np.pad(inputs["particles"], (*extra, (0, 0)))
    particles[~mask] = rng.normal(0, 100, particles[~mask].shape)
    return float(np.abs(_predicted(model, {"particles": particles, "mask": mask}) - _predicted(model, inputs)).max())


def run(*, seed: int, quick: bool, report: Report) -> Outcome:
    """Trains the three networks alike, and sees what they make of another order."""
    rngs = streams(seed)
    train = draw(2_000 if quick else 20_000, rngs.train)
    validation, test = (draw(2_000, rng, scaling=train.scaling) for rng in (rngs.validation, rngs.test))
    if not quick:
        test = draw(10_000, rngs.test, scaling=train.scaling)
    moved, _ = shuffled(test.inputs, rngs.test)
    fits: dict[str, Fit] = {}
    changes: dict[str, dict[str, float]] = {}
    scores: dict[str, tuple[Floats, Floats]] = {}
    rows = []
    for name in ENCODERS:
        fits[name] = fit(
            network(name),
            (train.inputs, train.is_signal),
            validation=(validation.inputs, validation.is_signal),
            epochs=2 if quick else 5,
            learning_rate=5e-3,
            loss="binary_crossentropy",
            report=report,
            name=name,
        )
        changes[name] = comparisons(fits[name].model, test.inputs, rng=rngs.test)
        ordered, mixed = (_predicted(fits[name].model, inputs)[:, 0] for inputs in (test.inputs, moved))
        scores[name] = ordered, mixed
        rows.append(
            (
                name,
                fits[name].model.count_params(),
                auc(test.is_signal, ordered),
                auc(test.is_signal, mixed),
                auc_difference(test.is_signal, mixed, ordered),
            )
        )
    one_by_one = next(iter(ENCODERS))
    dense = same_as_dense(fits[one_by_one].model, test.inputs)
    padded = padding_changes(fits[one_by_one].model, test.inputs, rng=rngs.test)
    return Outcome(
        measured={
            "largest difference under permutation": Measured(float(np.max(list(changes[one_by_one].values()))), 0.0),
            "largest difference from a dense network": Measured(float(np.max(list(dense.values()))), 0.0),
            "least change of encodings under permutation by the others": Measured(
                float(np.min([changes[name]["encodings"] for name in list(ENCODERS)[1:]])), 0.0
            ),
        },
        fits=fits,
        n_test=len(test.is_signal),
        tables=[
            Table(
                "Largest difference when the particles change places",
                ("encoder", "encodings, brought back", "pooled", "score"),
                [(name, *change.values()) for name, change in changes.items()],
            ),
            Table(
                "The 1 × 1 convolution compared; largest difference",
                ("with", "difference"),
                [*dense.items(), ("itself with more padding and random numbers in it, score", padded)],
            ),
            Table(
                f"{SIGNAL} against {BACKGROUND}, trained on jets ordered by falling pt; AUC on the same test jets",
                ("encoder", "parameters", "falling pt", "random order", "difference"),
                rows,
            ),
        ],
        figures={
            "score and order": _draw_scores(scores),
            "encodings": _draw_encodings(fits[one_by_one].model, test.inputs, rngs.test),
            "learning": learning_curves(fits),
        },
    )


def _predicted(model: keras.Model, inputs: Mapping[str, Any]) -> Floats:
    return np.asarray(model(dict(inputs)))


def _taken(values: Floats, order: npt.NDArray[np.intp]) -> Floats:
    """The values (jet, particle, feature) with slot i from slot order[i]."""
    return np.take_along_axis(values, order[..., None], axis=1)


def _draw_scores(scores: Mapping[str, tuple[Floats, Floats]]) -> Figure:
    """The score of each jet in random order against that in order of pt."""
    with styled():
        figure = Figure(figsize=(12.0, 4.7), layout="constrained")
        for axes, (name, (ordered, mixed)) in zip(
            figure.subplots(1, len(scores), sharey=True), scores.items(), strict=True
        ):
            axes.plot([0, 1], [0, 1], color=COLORS[3], lw=1)
            axes.plot(ordered[:2_000], mixed[:2_000], ".", ms=3, alpha=0.4, color=COLORS[0])
            axes.set(xlabel="score, particles by falling pt", title=name, aspect="equal")
        figure.axes[0].set_ylabel("score, particles in random order")
    return figure


def _draw_encodings(model: keras.Model, inputs: Mapping[str, Any], rng: np.random.Generator) -> Figure:
    """The encodings of one jet's particles, in order of pt, in random order, and the mean of both."""
    jet = {name: values[:1] for name, values in inputs.items()}
    jet = {name: values[:, : int(jet["mask"].sum())] for name, values in jet.items()}
    moved, _ = shuffled(jet, rng)
    with styled():
        figure = Figure(figsize=(10.5, 6.0), layout="constrained")
        panels = figure.subplots(2, 2, gridspec_kw={"height_ratios": (3, 1)}, sharex=True, sharey="row")
        for (above, below), each, title in zip(
            panels.T, (jet, moved), ("particles by falling pt", "particles in random order"), strict=True
        ):
            encoded = _predicted(encodings(model), each)[0]
            image = above.imshow(encoded, aspect="auto", cmap="viridis", vmin=0)
            above.grid(visible=False)
            above.set_title(title)
            below.bar(np.arange(encoded.shape[1]), encoded.mean(axis=0), color=COLORS[0])
            below.set_xlabel("unit of the encoding")
        panels[0, 0].set_ylabel("slot of the particle")
        panels[1, 0].set_ylabel("mean")
        figure.colorbar(image, ax=panels[0].tolist(), label="encoding")
    return figure
