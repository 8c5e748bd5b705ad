"""``hepnn convert``."""

from __future__ import annotations

import json

import click

from hepnn import defaults
from hepnn.cli.options import Reading, json_option, names, overwrite_option, reading_options, report_skipped, show

__all__ = ["convert"]


@click.command()
@reading_options
@click.option("-o", "--output", required=True, metavar="FOLDER", help="Where the shards go.")
@click.option("--observers", default="", metavar="NAMES", help="Branches to keep beside the jets, by comma.")
@click.option("--seed", default=defaults.SEED, show_default=True, help="Of the shuffling of each shard.")
@overwrite_option
@json_option
def convert(reading: Reading, output: str, observers: str, seed: int, overwrite: bool, as_json: bool) -> None:
    """Write labelled jets to shards, for trainings on more jets than fit in memory.

    Example: hepnn convert "train/*.root" -o shards/, then hepnn train shards/ -o tagger/
    """
    from hepnn import shards
    from hepnn.progress import counting

    source = reading.open(observers=names(observers))
    with counting("converting") as progress:
        made = shards.convert(source, output, seed=seed, overwrite=overwrite, progress=progress)
    if as_json:
        click.echo(json.dumps({"shards": str(made.folder), "n_jets": made.n_jets, "classes": made.counts}))
    else:
        by_class = ", ".join(f"{name} {count}" for name, count in sorted(made.counts.items()))
        show(f"{made.folder}: {made.n_jets} jets, {by_class}")
    report_skipped(source.skipped)
