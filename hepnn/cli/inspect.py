"""``hepnn inspect``."""

from __future__ import annotations

import json

import click

from hepnn import defaults
from hepnn.cli.options import json_option, show

__all__ = ["inspect"]


@click.command()
@click.argument("file", metavar="FILE")
@click.option("--schema", default="auto", show_default=True, metavar="NAME|TOML", help="How the file spells jets.")
@click.option(
    "--max-particles",
    default=defaults.MAX_PARTICLES,
    show_default=True,
    help="Length at which the share of jets that would be cut is given.",
)
@click.option("--write-schema", is_flag=True, help="Print a schema to start from, for --schema, and nothing else.")
@json_option
def inspect(file: str, schema: str, max_particles: int, write_schema: bool, as_json: bool) -> None:
    """Show what is in a file, which schema fits it and why, and what its jets look like.

    Example: hepnn inspect jets.root
    """
    from hepnn import inspection
    from hepnn.report import print_result

    if write_schema:
        show(inspection.write_schema(file))
        return
    found = inspection.inspect(file, schema=schema, max_particles=max_particles)
    if as_json:
        click.echo(json.dumps(found.to_dict()))
    else:
        print_result(inspection.render(found))
