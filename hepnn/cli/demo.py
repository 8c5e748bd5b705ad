"""``hepnn demo``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from hepnn import defaults
from hepnn.cli.options import json_option

__all__ = ["demo"]


@click.command()
@click.option("-o", "--output", default="hepnn-demo", show_default=True, metavar="FOLDER", help="Where results go.")
@click.option("--seed", default=defaults.SEED, show_default=True, help="Of the training.")
@json_option
def demo(output: str, seed: int, as_json: bool) -> None:
    """Train, evaluate and apply a quark–gluon tagger on the bundled jets, beside boosted trees.

    Takes about two minutes. Files of an earlier demo in the folder are replaced.

    Example: hepnn demo -o results
    """
    from hepnn.demo import run_demo
    from hepnn.report import print_result

    result = run_demo(Path(output), seed=seed)
    if as_json:
        click.echo(json.dumps(result.to_dict()))
    else:
        print_result(result.table())
        click.echo(result.closing())
