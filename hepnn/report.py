"""Results as tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hepnn.assessment import Assessment
from hepnn.evaluation import EFFICIENCIES, Evaluation, Separation
from hepnn.guarded import printable

__all__ = ["assessment_table", "evaluation_table", "print_result"]

_WIDTH_OF_A_FILE = 150
"""Columns where stdout is no terminal, so that no table is folded in a pipe."""


def evaluation_table(results: Mapping[str, Evaluation]) -> Table:
    """Returns a table with a row for each tagger and signal.

    Args:
        results: evaluations by the tagger's name.
    """
    return _table((name, str(each.accuracy), part) for name, each in results.items() for part in each.separations)


def assessment_table(assessment: Assessment) -> Table:
    """Returns the same table for any number of taggers on the same jets, with those that give no probabilities."""
    accuracies = {name: str(each.accuracy) for name, each in assessment.evaluations.items()}
    return _table(
        (name, accuracies.get(name, ""), part)
        for matchup in assessment.matchups
        for name, part in matchup.separations.items()
    )


def _table(rows: Iterable[tuple[str, str, Separation]]) -> Table:
    table = Table(
        "tagger",
        "signal",
        "background",
        caption="± one standard deviation, statistical; rejection at so much signal efficiency",
        caption_justify="left",
    )
    for name in ("accuracy", "AUC", *(f"rej. {at:.0%}" for at in EFFICIENCIES)):
        table.add_column(name, justify="right", no_wrap=True)
    for name, accuracy, part in rows:
        table.add_row(
            name,
            part.signal,
            part.background,
            accuracy,
            str(part.auc),
            *(str(part.rejection[at]) for at in EFFICIENCIES),
        )
    return table


class _Plain(Console):
    """A console on which names are shown as they are, whatever is in them: brackets mean nothing, nor do control codes."""

    def render_str(self, text: str, **style: Any) -> Text:
        """Returns the text as it is to be shown."""
        return super().render_str(printable(text), **style)


def print_result(result: Any) -> None:
    """Prints a table, or whatever else rich can show, to stdout; texts are shown as they are."""
    console = _Plain(markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH_OF_A_FILE
    console.print(result)
