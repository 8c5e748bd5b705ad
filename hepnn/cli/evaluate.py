"""``hepnn evaluate``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from hepnn.cli.options import (
    Reading,
    json_option,
    load_tagger,
    overwrite_option,
    precision_option,
    reading_options,
    report_skipped,
    tagger_options,
)
from hepnn.errors import OutputError

__all__ = ["evaluate"]


@click.command()
@reading_options
@tagger_options
@click.option("--signal", metavar="CLASS", help="The class to find. [default: each but the background]")
@click.option("--background", metavar="CLASS", help="The class to reject. [default: the schema's]")
@click.option("--weight", metavar="FIELD", help="Jet field that holds event weights.")
@click.option("--max-jets", type=int, help="Read only so many jets.")
@click.option("-o", "--output", metavar="FILE", help="Write the ROC curves to this PNG, PDF or SVG.")
@precision_option
@overwrite_option
@json_option
def evaluate(
    reading: Reading,
    tagger_folder: str,
    custom: tuple[str, ...],
    signal: str | None,
    background: str | None,
    weight: str | None,
    max_jets: int | None,
    output: str | None,
    precision: str,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Judge a tagger on labelled jets: AUC and background rejection with statistical errors, ROC curves.

    Example: hepnn evaluate "test/*.root" --tagger tagger/ -o roc.png
    """
    from hepnn import evaluation, plots, tagging
    from hepnn.progress import counting
    from hepnn.report import evaluation_table, print_result

    if output and Path(output).exists() and not overwrite:
        raise OutputError(f"asked to write {output}, which exists. Choose another name, or add --overwrite.")
    tagger = load_tagger(tagger_folder, custom, precision=precision)
    used = tagger.read_schema()
    source = reading.open(schema=used)
    with counting("scoring") as progress:
        scored = tagging.score(source, tagger, columns=[weight] if weight else [], max_jets=max_jets, progress=progress)
    if background is None and used is not None and used.background in tagger.classes_:
        background = used.background
    result = evaluation.evaluate(
        scored.labels,
        scored.probabilities,
        tuple(map(str, tagger.classes_)),
        signal=signal,
        background=background,
        weights=scored.columns[weight] if weight else None,
    )
    if output:
        curves = {f"{part.signal} against {part.background}": part.roc for part in result.separations}
        plots.save(plots.plot_roc(curves).figure, output)
    if as_json:
        click.echo(json.dumps(result.to_dict()))
    else:
        print_result(evaluation_table({tagger_folder: result}))
    report_skipped(source.skipped)
