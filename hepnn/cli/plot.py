"""``hepnn plot``."""

from __future__ import annotations

from pathlib import Path

import click

from hepnn import defaults
from hepnn.cli.options import Reading, option_value, overwrite_option, reading_options, report_skipped

__all__ = ["plot"]


@click.group()
def plot() -> None:
    """Draw what is in files."""


@plot.command("images")
@reading_options
@click.option("-o", "--output", required=True, metavar="FILE", help="PNG, PDF or SVG to write.")
@click.option(
    "--representation",
    type=click.Choice([defaults.REPRESENTATION, "jet-image", "calo-image"]),
    default=defaults.REPRESENTATION,
    show_default=True,
    help="The image; auto is a jet-image of particles, a calo-image of cells.",
)
@click.option(
    "--representation-option",
    "representation_options",
    multiple=True,
    metavar="NAME=VALUE",
    help="Option of the image, such as size=25 or center=hardest.",
)
@click.option(
    "--channel", metavar="NAME", help="Channel to draw. [default: the first of a jet-image, the sum of all layers]"
)
@click.option("--max-jets", type=int, help="Read only so many jets.")
@overwrite_option
def plot_images_command(
    reading: Reading,
    output: str,
    representation: str,
    representation_options: tuple[str, ...],
    channel: str | None,
    max_jets: int | None,
    overwrite: bool,
) -> None:
    """Draw images of jets or showers: one of each class, the averages, and how these differ.

    Example: hepnn plot images jets.root -o jets.png

    Example: hepnn plot images showers.root --representation-option size=31,31 --channel "energy of layer 1" -o layer.png
    """
    import awkward as ak

    from hepnn.image_plots import plot_overview
    from hepnn.plots import save
    from hepnn.representations import representation_for
    from hepnn.staging import refuse_existing

    refuse_existing(Path(output), overwrite=overwrite)
    source = reading.open()
    jets = source.read(max_jets=max_jets)
    settings = {
        "model": "cnn2d",  # which takes pictures
        "representation": representation,
        "representation_options": dict(map(option_value, representation_options)),
    }
    image = representation_for(jets, settings)
    images = image.tensors(jets)
    labels = ak.fill_none(jets.label, "unlabelled") if "label" in jets.fields else None
    save(plot_overview(images, labels, representation=image, channel=channel).figure, output)
    lost = image.left_out(images)
    click.echo(f"{output}: {len(jets)} images" + (f"; {lost}" if lost else ""))
    report_skipped(source.skipped)
