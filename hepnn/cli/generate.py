"""``hepnn generate``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from hepnn import defaults
from hepnn.cli.options import names, overwrite_option

__all__ = ["generate"]

F = Callable[..., Any]


@click.group()
def generate() -> None:
    """Make jets: toys in seconds, or quark and gluon jets with Pythia; or showers in a calorimeter."""


def _generator(command: F) -> F:
    command = click.option("--jets", "n_jets", default=100_000, show_default=True, help="How many.")(command)
    return _output(command)


def _output(command: F) -> F:
    command = click.option("-o", "--output", required=True, metavar="FILE", help="ROOT file to write.")(command)
    return overwrite_option(command)


@generate.command("toy")
@_generator
@click.option("--seed", default=defaults.SEED, show_default=True, help="The same seed gives the same jets.")
@click.option("--classes", metavar="NAMES", help="Classes to make, by comma. [default: all ten]")
def generate_toy_command(n_jets: int, output: str, overwrite: bool, seed: int, classes: str | None) -> None:
    """Toy jets of ten classes, with the branches of the JetClass set. No physics simulation.

    Example: hepnn generate toy --jets 100000 -o toys.root
    """
    from hepnn.generators import generate_toy
    from hepnn.progress import counting

    with counting("generating") as progress:
        generate_toy(
            output,
            n_jets,
            seed=seed,
            classes=names(classes) if classes else None,
            overwrite=overwrite,
            progress=progress,
        )
    click.echo(f"{output}:tree: {n_jets} jets")


@generate.command("quark-gluon")
@_generator
@click.option("--seed", default=defaults.SEED, show_default=True, help="The same seed gives the same jets.")
@click.option("--processes", type=int, help="Worker processes. [default: one a core]")
@click.option("--mantissa-bits", type=click.IntRange(1, 23), help="Round floats to so many bits, for small files.")
def generate_quark_gluon_command(
    n_jets: int, output: str, overwrite: bool, seed: int, processes: int | None, mantissa_bits: int | None
) -> None:
    """Quark and gluon jets of 500 to 550 GeV, half and half, simulated with Pythia 8; needs hepnn[pythia].

    Example: hepnn generate quark-gluon --jets 10000 -o quark_gluon.root
    """
    from hepnn.generators import generate_quark_gluon
    from hepnn.progress import counting

    with counting("generating") as progress:
        generate_quark_gluon(
            output,
            n_jets,
            seed=seed,
            processes=processes,
            mantissa_bits=mantissa_bits,
            overwrite=overwrite,
            progress=progress,
        )
    click.echo(f"{output}:tree: {n_jets} jets")


@generate.command("showers")
@_output
@click.option("--showers", "n_showers", default=10_000, show_default=True, help="How many.")
@click.option("--seed", default=defaults.SEED, show_default=True, help="The same seed gives the same showers.")
@click.option("--classes", metavar="NAMES", help="Classes to make, by comma. [default: electron,photon,pion,pizero]")
@click.option(
    "--energy",
    nargs=2,
    type=float,
    default=(10.0, 100.0),
    show_default=True,
    metavar="LOW HIGH",
    help="Range of the particles' energies, in GeV.",
)
@click.option("--max-angle", default=0.1, show_default=True, help="Largest angle to the line from the origin, in rad.")
def generate_showers_command(
    n_showers: int,
    output: str,
    overwrite: bool,
    seed: int,
    classes: str | None,
    energy: tuple[float, float],
    max_angle: float,
) -> None:
    """Showers of electrons, photons, charged and neutral pions in a barrel calorimeter, by published parametrisations.

    Example: hepnn generate showers --showers 20000 --classes photon,pizero -o showers.root
    """
    from hepnn.generators import generate_showers
    from hepnn.progress import counting

    with counting("generating", unit="showers") as progress:
        generate_showers(
            output,
            n_showers,
            seed=seed,
            classes=names(classes) if classes else None,
            energy=energy,
            max_angle=max_angle,
            overwrite=overwrite,
            progress=progress,
        )
    click.echo(f"{output}:tree: {n_showers} showers")
