"""``hepnn convert``."""

from __future__ import annotations

import json
import time

import click

from hepnn import defaults
from hepnn.cli.options import (
    Reading,
    cluster_options,
    json_option,
    names,
    overwrite_option,
    reading_options,
    report_skipped,
    say_time,
    show,
)

__all__ = ["convert"]


@click.command()
@reading_options
@click.option("-o", "--output", required=True, metavar="FOLDER", help="Where the shards go.")
@click.option("--observers", default="", metavar="NAMES", help="Branches to keep beside the jets, by comma.")
@click.option("--seed", default=defaults.SEED, show_default=True, help="Of the shuffling of each shard.")
@cluster_options
@overwrite_option
@json_option
def convert(
    reading: Reading,
    output: str,
    observers: str,
    seed: int,
    workers: int | None,
    client: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write labelled jets to shards, for trainings on more jets than fit in memory.

    With --workers or --dask, what was interrupted goes on where it was when the same command is given again.

    Example: hepnn convert "train/*.root" -o shards/, then hepnn train shards/ -o tagger/
    """
    from hepnn import converting
    from hepnn.progress import counting

    source = reading.open(observers=names(observers))
    begin = time.perf_counter()
    with counting("converting") as progress:
        made = converting.convert(
            source, output, seed=seed, workers=workers, client=client, overwrite=overwrite, progress=progress
        )
    say_time("jets", made.n_jets, before=made.n_reused, seconds=time.perf_counter() - begin)
    if as_json:
        click.echo(
            json.dumps(
                {
                    "shards": str(made.folder),
                    "n_jets": made.n_jets,
                    "classes": made.counts,
                    "n_reused": made.n_reused,
                }
            )
        )
    else:
        by_class = ", ".join(f"{name} {count}" for name, count in sorted(made.counts.items()))
        show(f"{made.folder}: {made.n_jets} jets, {by_class}")
    report_skipped(source.skipped)
