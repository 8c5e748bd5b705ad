"""``hepnn merge``."""

from __future__ import annotations

import click

from hepnn.cli.options import json_option, overwrite_option, report_skipped, report_tagged

__all__ = ["merge"]


@click.command()
@click.argument("parts", metavar="FOLDER")
@click.option("-o", "--output", metavar="FILE|FOLDER/", help="Where to. [default: FOLDER without .parts]")
@overwrite_option
@json_option
def merge(parts: str, output: str | None, overwrite: bool, as_json: bool) -> None:
    """Join the shares that `hepnn tag --part i/n` wrote, once all are there, and remove them.

    Every range of entries has to be there, undamaged, with one row an entry. The result is the file that `hepnn tag`
    writes in one piece.

    Example: hepnn merge scores.root.parts
    """
    from hepnn import tagging
    from hepnn.progress import counting

    with counting("merging") as progress:
        merged = tagging.merge(parts, output=output, overwrite=overwrite, progress=progress)
    report_tagged(merged.tagged, tree=merged.tree, as_json=as_json)
    report_skipped(merged.skipped)
