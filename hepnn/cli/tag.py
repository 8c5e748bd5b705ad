"""``hepnn tag``."""

from __future__ import annotations

import json

import click

from hepnn import defaults
from hepnn.cli.options import (
    Reading,
    json_option,
    load_tagger,
    names,
    overwrite_option,
    precision_option,
    reading_options,
    report_skipped,
    tagger_options,
)

__all__ = ["tag"]


@click.command()
@reading_options
@tagger_options
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE|FOLDER/",
    help="One *.root or *.parquet file for all scores, or a folder for one file an input.",
)
@click.option(
    "--file-format",
    "--format",
    "file_format",
    type=click.Choice(["ttree", "rntuple", "parquet"]),
    help="What to write. [default: what the output's name says, a TTree for *.root]",
)
@click.option("--output-tree", default=defaults.SCORE_TREE, show_default=True, help="Tree to write.")
@click.option("--prefix", help="Of the columns' names. [default: hepnn_, and Jet_hepnn_ for jets in events]")
@click.option("--observers", default="", metavar="NAMES", help="Branches to copy beside the scores, by comma.")
@precision_option
@overwrite_option
@json_option
def tag(
    reading: Reading,
    tagger_folder: str,
    custom: tuple[str, ...],
    output: str,
    file_format: str | None,
    output_tree: str,
    prefix: str | None,
    observers: str,
    precision: str,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write the scores of jets to a file, one row an entry, in order: a friend of the input.

    Where an entry is an event, each row has a list. Jets that fail --select have NaN.

    Example: hepnn tag "data/*.root" --tagger tagger/ -o scores.root
    """
    from hepnn import tagging
    from hepnn.progress import counting

    tagger = load_tagger(tagger_folder, custom, precision=precision)
    source = reading.open(schema=tagger.read_schema(), observers=names(observers))
    with counting("tagging") as progress:
        done = tagging.tag(
            source,
            tagger,
            output,
            output_tree=output_tree,
            prefix=prefix,
            file_format=file_format,
            overwrite=overwrite,
            progress=progress,
        )
    if as_json:
        click.echo(json.dumps([{**each._asdict(), "path": str(each.path), "tree": output_tree} for each in done]))
    else:
        for each in done:
            click.echo(
                f"{each.path}:{output_tree}: {each.n_jets} jets in {each.n_entries} entries, {', '.join(each.columns)}"
            )
    report_skipped(source.skipped)
