"""``hepnn bench``."""

from __future__ import annotations

import json
from typing import Any

import click

from hepnn.cli.options import (
    Reading,
    json_option,
    load_tagger,
    precision_option,
    reading_options,
    report_skipped,
    tagger_options,
)

__all__ = ["bench"]


@click.command()
@reading_options
@tagger_options
@click.option("--max-jets", default=20_000, show_default=True, help="Read so many jets.")
@click.option(
    "--training/--no-training", default=True, show_default=True, help="Measure training too, which loads TensorFlow."
)
@precision_option
@json_option
def bench(
    reading: Reading,
    tagger_folder: str,
    custom: tuple[str, ...],
    max_jets: int,
    training: bool,
    precision: str,
    as_json: bool,
) -> None:
    """Measure how fast your files are read, tagged and trained on, and say what takes longest.

    Example: hepnn bench test.root --tagger tagger/
    """
    from hepnn import throughput
    from hepnn.progress import load_tensorflow

    tagger = load_tagger(tagger_folder, custom, settings=training)
    source = reading.open(schema=tagger.read_schema())
    if training:
        load_tensorflow()
    found = throughput.bench(source, tagger, max_jets=max_jets, training=training, precision=precision)
    if as_json:
        beside: dict[str, Any] = {name: getattr(found, name) for name in ("slowest_of_tagging", "slowest_of_training")}
        if found.lower is not None:
            beside["lower"] = found.lower._asdict()
        click.echo(json.dumps({**found._asdict(), **beside}))
    else:
        click.echo(
            f"{found.n_jets} jets with {found.n_particles:.0f} particles on the average, {found.threads} "
            f"thread{'s' * (found.threads > 1)}"
        )
        for stage in ("reading", "features", "scoring", "training"):
            if (rate := getattr(found, stage)) is not None:
                click.echo(f"{stage:<9}{rate:>12,.0f} jets/s")
        if (lower := found.lower) is not None:
            auc = "" if lower.auc is None else f", AUC {lower.auc:.4f} {lower.auc_change:+.5f}"
            click.echo(
                f"scoring with {lower.precision}: {lower.scoring:,.0f} jets/s, {lower.scoring / found.scoring:.2f}× as fast; "
                f"scores change by up to {lower.largest_change:.1g}{auc}"
            )
        click.echo(f"bottleneck of tagging: {found.slowest_of_tagging}")
        if training:
            click.echo(f"bottleneck of an epoch of training: {found.slowest_of_training}")
    report_skipped(source.skipped)
