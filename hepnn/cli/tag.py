"""``hepnn tag``."""

from __future__ import annotations

import time
from typing import Any

import click

from hepnn import defaults
from hepnn.cli.options import (
    Reading,
    cluster_options,
    json_option,
    load_tagger,
    names,
    overwrite_option,
    precision_option,
    reading_options,
    report_skipped,
    report_tagged,
    say_time,
    show,
    tagger_options,
)

__all__ = ["tag"]


class Share(click.ParamType):  # type: ignore[type-arg]  # older releases of click take no argument
    """``i/n``, the i-th of n shares, as a pair of numbers."""

    name = "I/N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Returns the pair of numbers."""
        share, slash, n_shares = str(value).partition("/")
        if not (slash and share.isdecimal() and n_shares.isdecimal()):
            self.fail(f"{value!r} is no share; write i/n, such as 1/4 for the first of four.", param, ctx)
        return int(share), int(n_shares)


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
@click.option(
    "--working-point",
    multiple=True,
    metavar="FILE.json",
    help="Add a column that says which jets pass, a cut that `hepnn evaluate --working-point` found.",
)
@click.option("--observers", default="", metavar="NAMES", help="Branches to copy beside the scores, by comma.")
@click.option(
    "--step", default=defaults.STEP, show_default=True, help="Entries read and scored at once, by one process."
)
@cluster_options
@click.option(
    "--part",
    type=Share(),
    help="Do only the i-th of n shares, and leave it in OUTPUT.parts for `hepnn merge`.",
)
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
    working_point: tuple[str, ...],
    observers: str,
    step: int,
    workers: int | None,
    client: str | None,
    part: tuple[int, int] | None,
    precision: str,
    overwrite: bool,
    as_json: bool,
) -> None:
    r"""Write the scores of jets to a file, one row an entry, in order: a friend of the input.

    Where an entry is an event, each row has a list. Jets that fail --select have NaN.

    With --workers, --dask or --part, what was interrupted goes on where it was when the same command is given again.

    Example: hepnn tag "data/*.root" --tagger tagger/ -o scores.root

    \b
    Example on a cluster of Dask, and in two jobs of a batch system:
      hepnn tag "data/*.root" --tagger tagger/ -o scores.root --dask tcp://host:8786
      hepnn tag "data/*.root" --tagger tagger/ -o scores.root --part 1/2
      hepnn tag "data/*.root" --tagger tagger/ -o scores.root --part 2/2
      hepnn merge scores.root.parts
    """
    from hepnn import tagging
    from hepnn.progress import counting

    tagger = load_tagger(tagger_folder, custom, precision=precision)
    source = reading.open(schema=tagger.read_schema(), observers=names(observers))
    begin = time.perf_counter()
    with counting("tagging") as progress:
        done = tagging.tag(
            source,
            tagger,
            output,
            output_tree=output_tree,
            prefix=prefix,
            file_format=file_format,
            working_point=working_point,
            overwrite=overwrite,
            step=step,
            workers=workers,
            client=client,
            part=part,
            progress=progress,
        )
    seconds = time.perf_counter() - begin
    n_entries, n_reused = (sum(getattr(each, name) for each in done) for name in ("n_entries", "n_reused"))
    say_time("entries", n_entries, before=n_reused, seconds=seconds)
    report_tagged(done, tree=output_tree, as_json=as_json)
    if part is not None and not as_json:
        show(f"Once all shares are there: hepnn merge {done[0].path}")
    report_skipped(source.skipped)
