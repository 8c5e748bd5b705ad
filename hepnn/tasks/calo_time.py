"""Which shower came first? A recurrent convolution reads a film of two showers, one over the other.

**The lesson.** Two electrons meet the same part of a calorimeter, a few ns apart. Asked for is the energy of the first.
Sum the frames up, and there is a picture of two showers of which nobody can say which was first: no network can, however
good. Time has to be read.

A ConvLSTM (Shi et al. 2015, arXiv:1506.04214) is an LSTM whose states are images and whose sums of products are
convolutions: each pixel has a cell that keeps what it holds from frame to frame, and gates that see the pixel, its
neighbours, and what is held there. That is what this task takes: once a shower has come, what comes later is not the first.
A fixed cut on time would not do, as the first comes at any time. And that it has come must be known at every pixel, also
where the second shower will be: it spreads by the convolutions, two pixels a frame with kernels of 5 × 5.

From its states a convolution of 1 × 1 reads a *mask*: for each pixel of each frame, which part of its energy shall count. The
masked energies are added up, and two numbers calibrate the sum. Nobody tells the network what the mask has to be, only the
first shower's energy; the picture shows what it makes of it.

* **The networks.** A ConvLSTM over the frames; and beside it, on the sum of the frames, two convolutions, and a mask for each
  pixel. Both are trained alike.
* **What is left.** Deposits below a GeV have times that are smeared by more than a frame, so that a part of each shower lies
  in wrong frames; and where the second comes in the same frame as the first, the film shows no more than its sum. The
  picture of the resolution against the time between the two shows both.

**The measure.** Half the central 68 % of E'/E over its median, E the true energy of the first electron.

**The data.** `hepnn.generators.showers`: electrons of 10 to 50 GeV, ln E even; the first comes at 0 to 5 ns, the second 1 to
7 ns later, anywhere within 0.2 × 2π/32. Frames of 2 ns, 8 × 8 pixels of 0.05 × 2π/128, three layers as channels. Each
deposit is taken to have a time of its own; a real readout has to tell pulses apart that overlap in one cell.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import awkward as ak
import keras
import numpy as np
import numpy.typing as npt
from keras import ops
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from hepnn.plots import COLORS, styled
from hepnn.tasks.calo_data import FAINT, draw_showers, framed, shower_images
from hepnn.tasks.fitting import fit, fresh, streams
from hepnn.tasks.pictures import learning_curves
from hepnn.tasks.resolution import half_width, resampled
from hepnn.tasks.task import Outcome, Report, Table

__all__ = ["Films", "draw", "draw_films", "in_time", "masks", "run", "summed"]

Floats = npt.NDArray[np.floating[Any]]

TIME_EDGES = tuple(float(edge) for edge in range(-2, 15, 2))
"""ns, of the frames."""
FIRST, LATER = (0.0, 5.0), (1.0, 7.0)
"""ns: when the first shower comes, and how much later the second."""
ENERGY = (10.0, 50.0)
"""GeV."""
MARGIN = 4
"""Cells of the middle layer around the tile that the showers are in."""
N_LAYERS = 3
"""The electromagnetic ones."""
N_CELLS = 2
"""Cells of the middle layer in a pixel, in η and in φ."""

_FILTERS = 8
_SIDE = (8 + 2 * MARGIN) // N_CELLS
_SHAPE = (len(TIME_EDGES) - 1, _SIDE, _SIDE, N_LAYERS)
_UNDECIDED: dict[str, Any] = {"kernel_initializer": "zeros", "name": "read_off"}
"""A mask begins as a half everywhere: without a clue, half of all the energy is the best guess."""
_WITH, _WITHOUT, _SUM = "with time", "without time", "sum of cells"


class Films(NamedTuple):
    """Two showers a film.

    Attributes:
        frames: (film, time, η, φ, layer), in GeV.
        energy: (film,), of the first, in GeV.
        delay: (film,), of the second, in ns.
    """

    frames: npt.NDArray[np.float32]
    energy: Floats
    delay: Floats


def draw_films(n_films: int, rng: np.random.Generator) -> Films:
    """Returns films of two electrons one after the other."""
    showers = draw_showers(2 * n_films, rng, classes=["electron"], energy=ENERGY)
    start = rng.uniform(*FIRST, n_films)
    delay = rng.uniform(*LATER, n_films)
    times = np.concatenate([start, start + delay])
    showers = framed(showers, np.zeros((len(showers), 2), np.int64))
    showers["cells"] = ak.with_field(showers.cells, showers.cells.time + times, "time")
    films = shower_images(showers, tiles=(1, 1), margin=MARGIN, layout="time", time_edges=TIME_EDGES, n_layers=N_LAYERS)
    films = (films[:n_films] + films[n_films:]).reshape(n_films, _SHAPE[0], _SIDE, N_CELLS, _SIDE, N_CELLS, N_LAYERS)
    return Films(films.sum(axis=(3, 5)), ak.to_numpy(showers.energy[:n_films]), delay)


def draw(n_films: int, rng: np.random.Generator) -> tuple[Any, Any]:
    """Returns films, and ln(E/GeV) of the first shower, (film, 1)."""
    films = draw_films(n_films, rng)
    return films.frames, np.log(films.energy)[:, None]


def in_time() -> keras.Model:
    """Returns a ConvLSTM from a film (time, η, φ, layer) in GeV to ln(E/GeV) of the first shower, (1,)."""
    film = keras.Input(_SHAPE, name="film")
    states = keras.layers.ConvLSTM2D(_FILTERS, 5, padding="same", return_sequences=True, name="convlstm")(
        ops.log1p(film / FAINT)
    )
    return _counted(film, film, keras.layers.Conv3D(1, 1, activation="sigmoid", **_UNDECIDED)(states), name="in_time")


def summed() -> keras.Model:
    """Returns a network of the same meaning that sees the sum of all frames."""
    film = keras.Input(_SHAPE, name="film")
    picture = ops.sum(film, axis=1)
    values = ops.log1p(picture / FAINT)
    for _ in range(2):
        values = keras.layers.Conv2D(4 * _FILTERS, 5, padding="same", activation="relu")(values)
    return _counted(film, picture, keras.layers.Conv2D(1, 1, activation="sigmoid", **_UNDECIDED)(values), name="summed")


def _counted(film: Any, energies: Any, mask: Any, *, name: str) -> keras.Model:
    """A network whose answer is the energy that a mask counts, calibrated."""
    mask = keras.layers.Activation("linear", name="mask")(mask)
    counted = ops.sum(energies * mask, axis=tuple(range(1, len(energies.shape))))[:, None]
    calibrated = keras.layers.Dense(1, kernel_initializer="ones", name="log_energy")
    return keras.Model(film, calibrated(ops.log(ops.maximum(counted, FAINT))), name=name)


def masks(model: keras.Model, frames: Floats) -> Floats:
    """Returns which part of each pixel's energy a network counts: (film, time, η, φ), or (film, η, φ) without time."""
    return keras.Model(model.input, model.get_layer("mask").output).predict(frames, verbose=0)[..., 0]


def run(*, seed: int, quick: bool, report: Report) -> Outcome:
    """Trains both networks on the same kind of films and judges them on the same test films."""
    rngs = streams(seed)
    validation, films = draw(500, rngs.validation), draw_films(1_000 if quick else 10_000, rngs.test)
    fits, ratios = {}, {}
    for name, model in ((_WITH, in_time()), (_WITHOUT, summed())):
        fits[name] = fit(
            model,
            fresh(draw, rngs.train, batch_size=64, steps=50 if quick else 150),
            validation=validation,
            epochs=2 if quick else 6,
            learning_rate=1e-2,
            loss="mae",
            report=report,
            name=name,
        )
        ratios[name] = np.exp(model.predict(films.frames, batch_size=256, verbose=0)[:, 0]) / films.energy
    ratios[_SUM] = films.frames.sum(axis=(1, 2, 3, 4)) / films.energy
    return Outcome(
        measured={f"σ/E {name}": resampled(half_width, ratios[name], rng=rngs.test) for name in fits},
        fits=fits,
        n_test=len(films.energy),
        tables=[_by_delay(films, ratios, rngs.test)],
        figures={
            "a film": _film(films, masks(fits[_WITH].model, films.frames[:100])),
            "resolution and delay": _against_delay(films, ratios, rngs.test),
            "energies": _energies(films, ratios),
            "learning": learning_curves(fits, label="mean |Δ ln E|"),
        },
    )


def _bins(films: Films, *, n_bins: int) -> list[tuple[float, float, npt.NDArray[np.bool_]]]:
    """Bins of the delay: where each begins and ends, in ns, and which films are in it."""
    edges = np.linspace(*LATER, n_bins + 1)
    return [
        (float(low), float(high), (films.delay >= low) & (films.delay < high))
        for low, high in itertools.pairwise(edges)
    ]


def _by_delay(films: Films, ratios: dict[str, Floats], rng: np.random.Generator) -> Table:
    return Table(
        "σ/E of the first shower by how much later the second comes",
        ("delay [ns]", *ratios),
        [
            ("any", *(resampled(half_width, each, rng=rng) for each in ratios.values())),
            *(
                (
                    f"{low:.0f} to {high:.0f}",
                    *(resampled(half_width, each[inside], rng=rng) for each in ratios.values()),
                )
                for low, high, inside in _bins(films, n_bins=6)
            ),
        ],
    )


def _against_delay(films: Films, ratios: dict[str, Floats], rng: np.random.Generator) -> Figure:
    """Resolution against the time between the showers."""
    with styled():
        figure = Figure(figsize=(6.8, 4.6), layout="constrained")
        axes = figure.add_subplot()
        bins = _bins(films, n_bins=12)
        for color, (name, each) in zip(COLORS, ratios.items(), strict=False):
            widths = [resampled(half_width, each[inside], rng=rng) for _, _, inside in bins]
            axes.errorbar(
                [(low + high) / 2 for low, high, _ in bins],
                [width.value for width in widths],
                yerr=[width.error for width in widths],
                fmt="o-",
                ms=5,
                color=color,
                label=name,
            )
        axes.set(xlabel="time from the first shower to the second [ns]", ylabel="σ/E of the first", ylim=(0, None))
        figure.legend(loc="outside upper center", ncols=3)
    return figure


def _film(films: Films, mask: Floats) -> Figure:
    """A film, frame by frame, and what the network counts of it.

    Args:
        films: of which the first is shown whose second shower comes two frames after the first or later.
        mask: (film, time, η, φ).
    """
    chosen = int(np.argmax(films.delay > 2 * (TIME_EDGES[1] - TIME_EDGES[0])))
    frames = films.frames[chosen].sum(axis=-1)
    with styled():
        figure = Figure(figsize=(2.1 * len(frames), 4.6), layout="constrained")
        panels = figure.subplots(2, len(frames), sharex=True, sharey=True)
        for index, (frame, counted) in enumerate(zip(frames, mask[chosen], strict=True)):
            bright = np.ma.masked_less_equal(frame, 0)
            energy = panels[0, index].imshow(bright, norm=LogNorm(0.03, 30), cmap="viridis")
            share = panels[1, index].imshow(np.ma.masked_where(frame <= 0, counted), vmin=0, vmax=1, cmap="coolwarm_r")
            panels[0, index].set_title(f"{TIME_EDGES[index]:.0f} to {TIME_EDGES[index + 1]:.0f} ns")
            panels[1, index].set_xlabel("pixels in φ")
        for axes in panels.flat:
            axes.grid(False)
        for axes in panels[:, 0]:
            axes.set_ylabel("pixels in η")
        figure.colorbar(energy, ax=panels[0], label="E [GeV]").ax.grid(False)
        figure.colorbar(share, ax=panels[1], label="share counted").ax.grid(False)
        figure.suptitle(
            f"the first has {films.energy[chosen]:.0f} GeV, the second comes {films.delay[chosen]:.1f} ns later"
        )
    return figure


def _energies(films: Films, ratios: dict[str, Floats]) -> Figure:
    """What the networks say, against the truth."""
    with styled():
        figure = Figure(figsize=(10.4, 5.0), layout="constrained")
        panels = figure.subplots(1, 2, sharex=True, sharey=True)
        for axes, name in zip(panels, (_WITH, _WITHOUT), strict=True):
            axes.plot(films.energy[:2_000], (ratios[name] * films.energy)[:2_000], ".", ms=3)
            axes.plot(ENERGY, ENERGY, color="0.3", lw=1)
            axes.set(title=name, xlabel="E of the first electron [GeV]", aspect="equal", xlim=(0, 60), ylim=(0, 60))
        panels[0].set_ylabel("E' of the network [GeV]")
    return figure
