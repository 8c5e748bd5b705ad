"""``hepnn evaluate``."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import click

from hepnn.cli.options import (
    Reading,
    bins_of,
    cluster_options,
    custom_option,
    json_option,
    load_tagger,
    names,
    on_cluster,
    overwrite_option,
    precision_option,
    reading_options,
    report_skipped,
    say_time,
)
from hepnn.errors import InputError, OutputError

__all__ = ["evaluate"]

_AGAINST = ("pt", "abs_eta")
"""What the report shows efficiencies against, with the number of particles or cells, unless asked for something else."""

_N_BINS = 8
"""Bins of the efficiencies for correctionlib, of about as many jets each, where a working point has none."""


@click.command()
@reading_options
@click.option(
    "--tagger",
    "taggers",
    multiple=True,
    metavar="[NAME=]FOLDER",
    help="Tagger written by `hepnn train`; several are compared with the first.",
)
@custom_option
@click.option(
    "--scores",
    "friends",
    multiple=True,
    metavar="[NAME=][FILE:]BRANCH",
    help="Scores of another program: a branch of FILE, row by row beside FILES, or of FILES themselves. score_* is one "
    "branch a class, score_top and so on; without a star it is one number, high for the signal.",
)
@click.option("--signal", metavar="CLASS", help="The class to find. [default: each but the background]")
@click.option("--background", metavar="CLASS", help="The class to reject. [default: the schema's]")
@click.option(
    "--fractions",
    metavar="CLASS:NUMBER,...",
    help="Find the signal by ln(p_S/Σ f_B p_B), with these fractions of backgrounds, such as c:0.2,light:0.8.",
)
@click.option("--weight", metavar="FIELD", help="Jet field that holds event weights.")
@click.option(
    "--against",
    metavar="NAMES",
    help="Fields or branches that the report shows efficiencies against, by comma. [default: pt, abs_eta, n_particles]",
)
@click.option("--mass", default="mass", show_default=True, metavar="FIELD", help="Mass of the report; '' for none.")
@click.option(
    "--working-point",
    "working_points",
    multiple=True,
    metavar="KIND=SHARE",
    help="Write a working point of the first tagger into the report's folder: efficiency=0.5 of the signal, or "
    "mistag=0.01 of the background.",
)
@click.option(
    "--bins",
    metavar="FIELD:NUMBER",
    help="Set working points in so many bins of a field, such as pt:5, not for all jets.",
)
@click.option(
    "--correctionlib",
    is_flag=True,
    help="Write each working point for correctionlib too, with the efficiency of each class against the first field.",
)
@click.option(
    "--insight",
    is_flag=True,
    help="Let the report show how the taggers do on varied jets, what their features are worth and what single particles do.",
)
@click.option(
    "--other",
    "others",
    multiple=True,
    metavar="[NAME=]FILES",
    help="Let the report compare with other jets, such as those of the training: what was learned by heart shows.",
)
@click.option("--max-jets", type=int, help="Read only so many jets.")
@click.option(
    "-o",
    "--output",
    metavar="FOLDER/|FILE",
    help="Write a report to this folder: a page, pictures and results.json; or just the ROC curves to a PNG, PDF or SVG.",
)
@cluster_options
@precision_option
@overwrite_option
@json_option
def evaluate(  # one argument an option
    reading: Reading,
    taggers: tuple[str, ...],
    custom: tuple[str, ...],
    friends: tuple[str, ...],
    signal: str | None,
    background: str | None,
    fractions: str | None,
    weight: str | None,
    against: str | None,
    mass: str,
    working_points: tuple[str, ...],
    bins: str | None,
    correctionlib: bool,
    insight: bool,
    others: tuple[str, ...],
    max_jets: int | None,
    output: str | None,
    workers: int | None,
    client: Any,
    precision: str,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Judge taggers on labelled jets: AUC and background rejection with statistical errors, ROC curves, a report.

    With --workers or --dask, others read and score; the numbers are the same.

    Example: hepnn evaluate "test/*.root" --tagger gru/ --tagger cnn/ --scores "pn.root:score_*" -o report/
    """
    from hepnn import evaluation_page
    from hepnn.assessment import assess, elsewhere
    from hepnn.evaluation_pictures import About
    from hepnn.friends import parse_friend
    from hepnn.jets import MEMBERS
    from hepnn.judging import judge, observers_for
    from hepnn.plots import SUFFIXES
    from hepnn.progress import counting
    from hepnn.report import assessment_table, print_result

    if not taggers and not friends:
        raise InputError("asked to evaluate; name a tagger with --tagger FOLDER, or scores with --scores FILE:BRANCH.")
    is_picture = output is not None and Path(output).suffix.lower() in SUFFIXES
    if output and Path(output).suffix and not (is_picture or output.endswith(os.sep) or Path(output).is_dir()):
        raise OutputError(
            f"asked to write {output}; name a picture *{', *'.join(SUFFIXES)}, or a folder for a report, {output}{os.sep}."
        )
    taken = None if output is None else Path(output) if is_picture else Path(output) / evaluation_page.PAGE
    if taken is not None and taken.exists() and not overwrite:
        raise OutputError(f"asked to write {taken}, which exists. Choose another name, or add --overwrite.")
    if correctionlib and not (working_points and (bins or against != "")):
        raise InputError("asked for files for correctionlib; give a --working-point, and a field --against or --bins.")
    if insight and not (taggers and output and not is_picture):
        raise InputError(
            "asked to look into taggers; name one with --tagger, and the folder of the report with -o FOLDER/."
        )
    if others and not (taggers and output and not is_picture):
        raise InputError(
            "asked to compare with other jets; name a tagger with --tagger, and the folder of the report with -o FOLDER/."
        )
    if working_points and (output is None or is_picture):
        raise InputError("asked for working points; name the folder that they go to with -o FOLDER/.")
    loaded: dict[str, Any] = {}
    folders: list[str] = []
    for text in taggers:
        name, folder = _named(text)
        if name in loaded or (name == folder and folder in folders):
            raise InputError(f"asked to compare the tagger {name} with itself. Name each once, or as NAME={folder}.")
        if name == folder and Path(folder).name not in loaded:
            name = Path(folder).name  # short, for tables and legends
        loaded[name] = load_tagger(folder, custom, precision=precision, settings=True)
        folders.append(folder)
    beside = [parse_friend(text) for text in friends]
    used = next((tagger.read_schema() for tagger in loaded.values()), None)
    writes_report = output is not None and not is_picture
    column, n_bins = next(iter(bins_of(bins).items())) if bins else (None, 0)
    source = reading.open(schema=used)
    members = next(f"n_{name}" for name in MEMBERS if name in source.schema.collections)
    shown = () if not writes_report else names(against) if against is not None else (*_AGAINST, members)
    columns = list(dict.fromkeys([*shown, *([column] if column else []), *([weight] if weight else [])]))
    if writes_report and mass and mass not in columns:
        columns.append(mass)
    if extra := observers_for(source, beside, columns):
        source = reading.open(schema=used, observers=extra)
    begin = time.perf_counter()
    with on_cluster(client, workers=workers) as opened:
        jury: dict[str, Any] = {"taggers": loaded, "max_jets": max_jets, "client": opened}
        with counting("scoring") as progress:
            sample = judge(source, friends=beside, columns=columns, progress=progress, **jury)
        apart, skipped = {}, list(source.skipped)
        for name, files in map(_named, others):
            those = reading._replace(files=(files,))
            other = those.open(schema=used)
            if weight and (extra := observers_for(other, [], [weight])):
                other = those.open(schema=used, observers=extra)
            with counting(f"scoring {files}") as progress:
                apart[name] = judge(other, columns=[weight] if weight else [], progress=progress, **jury)
            skipped += other.skipped
    n_jets = sum(len(each.labels) for each in (sample, *apart.values()))
    say_time("jets", n_jets, before=0, seconds=time.perf_counter() - begin)
    chosen = source.schema.background
    if background is None and fractions is None and chosen not in (None, signal) and (sample.labels == chosen).any():
        background = chosen
    weights = sample.columns[weight] if weight else None
    asked: dict[str, Any] = {"signal": signal, "background": background, "fractions": _fractions(fractions)}
    made = assess(
        sample,
        **asked,
        weights=weights,
        against=shown,
        mass=mass if writes_report and mass else None,
    )
    if output and is_picture:
        _draw(made, output)
    elif output:
        about = About(
            {
                "files": [table.place for table in source.plan.tables],
                "schema": source.schema.name,
                "selection": reading.select,
                "weights": weight,
                "scores": list(friends),
                "fractions": fractions,
            },
            loaded,
            warnings=tuple(f"{each.file} was left out: {each.reason}" for each in source.skipped),
            others={
                name: elsewhere(made, assess(other, **asked, weights=other.columns[weight] if weight else None))
                for name, other in apart.items()
            },
            insights={name: _look_into(tagger, sample, made) for name, tagger in loaded.items()} if insight else {},
        )
        points = _points(working_points, made, sample, weights, _fractions(fractions), column, n_bins)

        def corrections(folder: Path) -> None:
            if correctionlib:
                _write_corrections(points, sample, weights, column or columns[0], folder)

        page = evaluation_page.write_evaluation(
            made,
            sample,
            Path(output),
            about=about,
            weights=weights,
            working_points=points,
            beside=corrections,
            overwrite=overwrite,
        )
    if as_json:
        result = made.to_dict()
        if len(made.evaluations) == 1 and not beside:  # one tagger: its own numbers, at the top
            result = next(iter(made.evaluations.values())).to_dict()
        click.echo(json.dumps(result))
    else:
        print_result(assessment_table(made))
        if writes_report:
            click.echo(f"{page}")
    report_skipped(skipped)


def _named(text: str) -> tuple[str, str]:
    """The parts of ``NAME=VALUE``; the name is the value where there is none."""
    name, equals, value = text.rpartition("=")
    return name if equals else value, value


def _write_corrections(points: Any, sample: Any, weights: Any, column: str, folder: Path) -> None:
    """Writes each working point of the first tagger with the efficiencies of all classes, in its bins or in new ones."""
    from hepnn.corrections import write_corrections
    from hepnn.working_points import efficiencies, passes, quantile_edges

    rating = next(rating for rating in sample.ratings.values() if rating.classes)
    values = sample.columns[column]
    labels = sample.labels.astype(str)
    for name, point in points.items():
        passed = passes(point, rating.values, classes=rating.classes, values=values if point.column else None)
        edges = point.edges or quantile_edges(values, n_bins=_N_BINS)
        measured = {}
        for each in sorted(set(labels.tolist())):
            chosen = labels == each
            w = None if weights is None else weights[chosen]
            measured[each] = efficiencies(passed[chosen], values[chosen], edges=edges, weights=w)
        write_corrections(
            point, folder / f"{name}.correctionlib.json", measured=measured, column=column, overwrite=True
        )


def _draw(made: Any, output: str) -> None:
    from hepnn.evaluation_plots import plot_roc_ratio
    from hepnn.plots import plot_roc, save

    if len(made.matchups) == 1 and made.matchups[0].comparisons:
        (only,) = made.matchups
        ratios = {name: each.rejections.ratio for name, each in only.comparisons.items()}
        axes = plot_roc_ratio({name: each.roc for name, each in only.separations.items()}, ratios)
    else:
        several = len(made.matchups[0].separations) > 1
        axes = plot_roc(
            {
                f"{name}: " * several + f"{each.signal} against {each.background}": part.roc
                for each in made.matchups
                for name, part in each.separations.items()
            }
        )
    save(axes.figure, output)


def _look_into(tagger: Any, sample: Any, made: Any) -> Any:
    """A look into a tagger, at the first signal and its background, or the class that is most often there."""
    from hepnn.evaluation_pictures import look_into

    first = made.matchups[0]
    others = {name: n for name, n in made.n_jets.items() if name != first.signal}
    background = first.background if first.background in others else max(others, key=lambda name: others[name])
    return look_into(tagger, sample, signal=first.signal, background=background)


def _points(
    asked: tuple[str, ...], made: Any, sample: Any, weights: Any, fractions: Any, column: str | None, n_bins: int
) -> dict[str, Any]:
    from hepnn.staging import file_name
    from hepnn.working_points import find_working_point, quantile_edges

    points: dict[str, Any] = {}
    for text in asked:
        kind, _, share = text.partition("=")
        try:
            value = float(share)
        except ValueError:
            value = float("nan")
        if kind not in ("efficiency", "mistag") or not 0 < value < 1:
            raise InputError(f"asked for the working point {text!r}; write efficiency=0.5 or mistag=0.01.")
        name, rating = next(((n, r) for n, r in sample.ratings.items() if r.classes), (None, None))
        if rating is None or len(made.matchups) != 1:
            raise InputError(
                f"asked for the working point {text!r} of {name or 'scores without classes'}; it takes a tagger with one "
                "probability a class, and one --signal with its --background."
            )
        (only,) = made.matchups
        point = find_working_point(
            sample.labels,
            rating.values,
            classes=rating.classes,
            signal=only.signal,
            background=only.background if only.background in rating.classes else None,
            fractions=fractions,
            efficiency=value if kind == "efficiency" else None,
            mistag=value if kind == "mistag" else None,
            column=column,
            values=sample.columns[column] if column else None,
            edges=quantile_edges(sample.columns[column], n_bins=n_bins) if column else None,
            weights=weights,
        )
        points[file_name(point.name)] = point
    return points


def _fractions(text: str | None) -> dict[str, float] | None:
    if text is None:
        return None
    try:
        return {name.strip(): float(number) for name, number in (part.split(":") for part in names(text))}
    except ValueError as error:
        raise InputError(
            f"asked for the fractions {text!r}; write CLASS:NUMBER,..., such as c:0.2,light:0.8."
        ) from error
