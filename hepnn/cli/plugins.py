"""``hepnn plugins``."""

from __future__ import annotations

import json

import click

from hepnn.cli.options import json_option, show
from hepnn.guarded import printable

__all__ = ["plugins"]


@click.command()
@json_option
def plugins(as_json: bool) -> None:
    """List the schemas, features, networks and tasks that installed packages add.

    Each is imported; one that cannot be is shown with the reason.

    Example: hepnn plugins
    """
    from hepnn.plugins import KINDS, check_plugins

    found = list(check_plugins())
    if as_json:
        click.echo(json.dumps([each._asdict() for each in found]))
        return
    for each in found:
        show(f"{each.kind.removesuffix('s')} {each.name}: {each.path}, of {each.package}")
        if each.problem:
            click.secho(printable(f"  broken: {each.problem}"), fg="red")
    if not found:
        click.echo(
            "No installed package adds anything. One does by naming it among its entry points "
            f"{', '.join(f'hepnn.{kind}' for kind in KINDS)} in pyproject.toml:\n"
            "examples/plugin_package, in hepnn's repository, is such a package: pip install ./examples/plugin_package"
        )
