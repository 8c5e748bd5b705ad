"""``hepnn doctor``."""

from __future__ import annotations

import json

import click

from hepnn.cli.options import json_option

__all__ = ["doctor"]

_BROKEN = 12
"""Exit code if a self-test fails."""


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Show versions, processor, threads, GPUs and extras, and test that hepnn works here.

    Paste it into a bug report. Exit code 12 if a self-test fails.

    Example: hepnn doctor
    """
    from hepnn.doctor import examine, render
    from hepnn.report import print_result

    found = examine()
    if as_json:
        click.echo(json.dumps(found.to_dict()))
    else:
        print_result(render(found))
    if not found.passed:
        raise click.exceptions.Exit(_BROKEN)
