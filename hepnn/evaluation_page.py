"""The evaluation as a folder: one self-contained HTML page, the numbers as JSON, every picture for talks and papers.

The page begins with what to beware of. It works offline, on a phone, in the dark and on paper, as `hepnn.page` makes it.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import hepnn
from hepnn.assessment import CUT, Assessment
from hepnn.cautions import warnings_of, warnings_of_others
from hepnn.errors import OutputError
from hepnn.evaluation import EFFICIENCIES
from hepnn.evaluation_pictures import About, pictures_of
from hepnn.judging import Sample
from hepnn.page import Page, PageTable, Section, write_page
from hepnn.plots import save
from hepnn.staging import staged_contents
from hepnn.working_points import WorkingPoint, write_working_point

__all__ = ["PAGE", "RESULTS", "write_evaluation"]

PAGE, RESULTS, PICTURES = "report.html", "results.json", "pictures"
"""What the folder holds."""

_PACKAGES = ("awkward", "keras", "numpy", "onnxruntime", "scikit-learn", "tensorflow", "uproot")

_MANY_CLASSES = 2
"""Number of classes above which pairs of classes have a table of their own."""

_N_DRIFTS = 8
"""Features that are listed with how they differ from the training."""


def write_evaluation(
    assessment: Assessment,
    sample: Sample,
    folder: Path,
    *,
    about: About,
    weights: Any = None,
    working_points: Mapping[str, WorkingPoint] | None = None,
    beside: Callable[[Path], object] | None = None,
    overwrite: bool = False,
) -> Path:
    """Returns the HTML page; ``results.json`` and the folder ``pictures`` (PNG and PDF) are beside it.

    An earlier evaluation stays as it is until everything of the new one is there; what else is in the folder stays.

    Args:
        assessment: the numbers.
        sample: the jets and what taggers say of them.
        folder: where all goes.
        about: what was evaluated.
        weights: (jet,) event weights, or None.
        working_points: to be written as ``NAME.json`` beside the page.
        beside: writes what else belongs to the evaluation into the folder that it is given.
        overwrite: replace an earlier evaluation.

    Raises:
        OutputError: the folder holds an evaluation and ``overwrite`` is not set, or it cannot be written.
    """
    if (folder / PAGE).exists() and not overwrite:
        raise OutputError(f"asked to write {folder / PAGE}, which exists. Choose another folder, or add --overwrite.")
    with staged_contents(folder, last=PAGE) as part:
        _write(assessment, sample, part, about=about, weights=weights, points=working_points or {})
        if beside is not None:
            beside(part)
    return folder / PAGE


def _write(
    assessment: Assessment,
    sample: Sample,
    folder: Path,
    *,
    about: About,
    weights: Any,
    points: Mapping[str, WorkingPoint],
) -> None:
    (folder / PICTURES).mkdir()
    cautions = [
        *about.warnings,
        *warnings_of_others(about.others),
        *warnings_of(assessment, sample, weights=weights),
    ]
    drawn: dict[str, Path] = {}
    for name, axes in pictures_of(assessment, sample, about):
        stem = "".join(letter if letter.isalnum() else "_" for letter in name)
        drawn[name] = save(axes.figure, folder / PICTURES / f"{stem}.png")
        save(axes.figure, folder / PICTURES / f"{stem}.pdf")
    versions = {"hepnn": hepnn.__version__, "Python": platform.python_version()}
    versions |= {name: importlib.metadata.version(name) for name in _PACKAGES}
    for name, point in points.items():
        write_working_point(point, folder / f"{name}.json", overwrite=True)
    results = {
        "versions": versions,
        "data": {**about.data, "n_entries": sample.n_entries},
        "warnings": cautions,
        **assessment.to_dict(),
        "others": {name: [each.to_dict() for each in rows] for name, rows in about.others.items()},
        "robustness": {
            name: [
                {**each._asdict(), "auc": each.auc.to_dict(), "difference": each.difference.to_dict()}
                for each in insight.varied
            ]
            for name, insight in about.insights.items()
        },
        "importance": {
            name: [{**each._asdict(), "log_loss": each.log_loss.to_dict()} for each in insight.importances]
            for name, insight in about.insights.items()
        },
        "inputs": {
            name: [
                {**each._asdict(), "expected_outside": each.expected_outside, "p_value": each.p_value}
                for each in drifted
            ]
            for name, drifted in sample.drifts.items()
        },
        "working_points": {name: point._asdict() for name, point in points.items()},
    }
    text = json.dumps(results, indent=1, allow_nan=False) + "\n"
    (folder / RESULTS).write_text(text, encoding="utf-8")
    write_page(_page(assessment, sample, about, cautions, drawn, versions, points), folder / PAGE)


def _page(
    assessment: Assessment,
    sample: Sample,
    about: About,
    cautions: list[str],
    drawn: Mapping[str, Path],
    versions: Mapping[str, str],
    points: Mapping[str, WorkingPoint],
) -> Page:
    n_jets = sum(assessment.n_jets.values())
    taggers = next(iter(assessment.matchups)).separations

    def drawn_of(title: str) -> dict[str, Path]:
        return {name.removeprefix(f"{title}: "): path for name, path in drawn.items() if name.split(": ")[0] == title}

    sections = [
        Section(
            "Beware",
            "\n".join(f"- {_escaped(text)}" for text in cautions) or "Nothing that hepnn knows to look for.",
        ),
        Section(
            "Numbers",
            "± one standard deviation, that of a finite number of jets; another training would scatter on top of it. "
            "Rejection is 1/(share of the background that passes) at the signal efficiency named.",
            [_numbers(assessment), *_comparisons(assessment), *_general(assessment), *_pairs(assessment)],
        ),
        Section("ROC", "", (), drawn_of("ROC")),
        Section("Scores", "", (), drawn_of("Scores")),
        Section(
            "Efficiency",
            f"Of a cut that {CUT:.0%} of all signal jets pass.",
            (),
            drawn_of("Efficiency"),
        ),
        Section(
            "Mass",
            f"Of background jets, before and after the cut that {CUT:.0%} of the signal passes. JSD is the Jensen–Shannon "
            "divergence, in bits, between jets that pass and jets that fail.",
            _masses(assessment),
            drawn_of("Mass"),
        ),
        Section("Confusion", "", (), drawn_of("Confusion")),
        Section("Calibration", "", _calibrations(assessment), drawn_of("Calibration")),
        Section("Working points", "Apply one with `hepnn tag --working-point FILE.json`.", _points(points)),
        Section(
            "Inputs",
            "How the features of these jets differ from those that the tagger was trained on, the most different first: the "
            "Kolmogorov–Smirnov distance, and the share of values beyond the least or greatest that it saw.",
            _drifts(sample),
        ),
        Section(
            "Other jets",
            "The same taggers on other jets. Where those are the ones of the training, a larger AUC is what was learned by "
            "heart.",
            _others(about),
        ),
        Section(
            "Robustness",
            "On the same jets, with energies smeared by a relative spread, a share of the particles lost, or all energies "
            "shifted by a share.",
            _robustness(about),
        ),
        Section(
            "Insight",
            "What a feature is worth: the growth of the log loss when it is shuffled; features that say the same thing share "
            "it. What a particle does: the score of the jet less that of the jet without it.",
            (),
            drawn_of("Insight"),
        ),
        Section("Training", "", _recipes(about), drawn_of("Training")),
        Section(
            "The jets",
            "",
            [_data(assessment, about), PageTable("Versions", ("", ""), list(versions.items()))],
            drawn_of("The jets"),
        ),
    ]
    return Page(
        f"Evaluation of {', '.join(taggers)}",
        f"{n_jets:,} jets: {', '.join(f'{n:,} {name}' for name, n in assessment.n_jets.items())}. hepnn "
        f"{hepnn.__version__}.",
        [],
        [each for each in sections if each.tables or each.pictures or each.title == "Beware"],
    )


def _escaped(text: str) -> str:
    """A text as Markdown shows it unchanged."""
    return "".join(f"\\{letter}" if letter in r"\`*_[]<>#|" else letter for letter in text)


def _numbers(assessment: Assessment) -> PageTable:
    return PageTable(
        "",
        ("tagger", "signal", "background", "AUC", *(f"rejection at {at:.0%}" for at in EFFICIENCIES)),
        [
            (name, part.signal, part.background, str(part.auc), *(str(part.rejection[at]) for at in EFFICIENCIES))
            for matchup in assessment.matchups
            for name, part in matchup.separations.items()
        ],
    )


def _comparisons(assessment: Assessment) -> list[PageTable]:
    rows = [
        (
            name,
            matchup.signal,
            matchup.background,
            str(each.auc),
            *(str(each.rejections.difference[at]) for at in EFFICIENCIES),
        )
        for matchup in assessment.matchups
        for name, each in matchup.comparisons.items()
    ]
    first = next(iter(next(iter(assessment.matchups)).separations))
    columns = ("tagger", "signal", "background", "ΔAUC", *(f"Δ rejection at {at:.0%}" for at in EFFICIENCIES))
    return [PageTable(f"Less those of {first}, on the same jets", columns, rows)] if rows else []


def _general(assessment: Assessment) -> list[PageTable]:
    rows = [(name, str(each.accuracy), str(each.log_loss)) for name, each in assessment.evaluations.items()]
    return [PageTable("All classes", ("tagger", "accuracy", "log loss [nats]"), rows)] if rows else []


def _pairs(assessment: Assessment) -> list[PageTable]:
    return [
        PageTable(
            f"AUC of each class (row) against each (column): {name}",
            ("", *each.classes),
            [
                (row, *("" if i == j else "–" if np.isnan(x) else f"{x:.4f}" for j, x in enumerate(values)))
                for i, (row, values) in enumerate(zip(each.classes, each.auc_matrix.value, strict=True))
            ],
        )
        for name, each in assessment.evaluations.items()
        if len(each.classes) > _MANY_CLASSES
    ]


def _masses(assessment: Assessment) -> list[PageTable]:
    rows = [
        (name, matchup.signal, matchup.background, str(value), f"{matchup.sculpting.floor[name]:.2g}")
        for matchup in assessment.matchups
        if matchup.sculpting is not None
        for name, value in matchup.sculpting.divergence.items()
    ]
    return [PageTable("", ("tagger", "signal", "background", "JSD [bits]", "by chance"), rows)] if rows else []


def _calibrations(assessment: Assessment) -> list[PageTable]:
    rows = [(name, str(each.ece), f"{each.ece_floor:.2g}") for name, each in assessment.reliabilities.items()]
    columns = ("tagger", "expected calibration error", "of a calibrated tagger")
    return [PageTable("", columns, rows)] if rows else []


def _points(points: Mapping[str, WorkingPoint]) -> list[PageTable]:
    rows = [
        (
            f"{file}.json",
            point.signal,
            point.background or "rest",
            f"{point.kind} {point.value:g}",
            f"{point.column} in {len(point.edges) - 1} bins" if point.column else "all jets",
            ", ".join(f"{x:.4g}" for x in point.thresholds),
        )
        for file, point in points.items()
    ]
    return [PageTable("", ("file", "signal", "background", "at", "of", "thresholds"), rows)] if rows else []


def _drifts(sample: Sample) -> list[PageTable]:
    return [
        PageTable(
            name,
            ("tensor", "feature", "distance", "outside"),
            [
                (each.tensor, each.feature, f"{each.distance:.3f}", f"{each.outside:.2%}")
                for each in drifted[:_N_DRIFTS]
            ],
        )
        for name, drifted in sample.drifts.items()
        if drifted
    ]


def _others(about: About) -> list[PageTable]:
    rows = [
        (jets, each.tagger, each.signal, each.background, str(each.auc), str(each.more))
        for jets, found in about.others.items()
        for each in found
    ]
    columns = ("jets", "tagger", "signal", "background", "AUC there", "more than here")
    return [PageTable("", columns, rows)] if rows else []


def _robustness(about: About) -> list[PageTable]:
    rows = [
        (
            name,
            each.variation,
            f"{each.amount:+.0%}" if each.variation == "shift" else f"{each.amount:.0%}",
            str(each.auc),
            str(each.difference),
        )
        for name, insight in about.insights.items()
        for each in insight.varied
    ]
    return [PageTable("", ("tagger", "variation", "amount", "AUC", "change"), rows)] if rows else []


def _recipes(about: About) -> list[PageTable]:
    tables = []
    for name, tagger in about.taggers.items():
        trained = tagger.training_
        settings = {key: value for key, value in tagger.get_params(deep=False).items() if key not in ("schema",)}
        rows: list[tuple[Any, ...]] = [
            ("classes", ", ".join(map(str, tagger.classes_))),
            ("parameters", int(sum(array.size for array in tagger.weights_.values()))),
            ("trained for", f"{len(trained.history['loss'])} epochs, {trained.seconds:.0f} s"),
            ("kept", f"epoch {trained.best_epoch + 1}"),
            *((key, _setting(value)) for key, value in settings.items()),
        ]
        tables.append(PageTable(name, ("setting", "value"), rows))
    return tables


def _setting(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_setting, value)) or "none"
    return str(getattr(value, "__name__", value))


def _data(assessment: Assessment, about: About) -> PageTable:
    rows = [(key, _setting(value)) for key, value in about.data.items() if value not in (None, "", ())]
    rows += [(f"jets of {name}", f"{n:,}") for name, n in assessment.n_jets.items()]
    return PageTable("", ("", ""), rows)
