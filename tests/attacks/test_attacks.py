"""Nothing in an input runs code: a corpus of attacks, each of which ends in an error of hepnn's or does no harm."""

import re

import pytest

from tests.attacks import control, guard, products, schemas, sources, taggers
from tests.attacks.sources import SCRIPT

ATTACKS = [*sources.CASES, *schemas.CASES, *taggers.CASES, *products.CASES]

CODES = {None, 2, 3, 4, 5, 6, 7}
"""Of errors about what is read or written; functions have none."""


def check(found, case):
    """Holds an outcome against what is right."""
    assert not found.violations, found
    assert found.kind in case.expected, found.message or found.shown
    assert re.search(case.says, found.message + found.shown), found
    assert not guard.control_characters(found.shown + found.message), "control characters were printed"
    if found.kind == "refused":
        assert found.message, found.shown
        assert "Traceback" not in found.shown
        assert "\n" not in found.message, "a message is one paragraph"
        assert found.code in CODES


@pytest.fixture(scope="module")
def outcomes(watched):
    return watched(control, sources, schemas, taggers, products)


@pytest.mark.parametrize("case", ATTACKS, ids=lambda case: case.name)
def test_an_attack_is_refused_or_does_no_harm(outcomes, case):
    check(outcomes[case.name], case)


@pytest.mark.parametrize("case", control.CASES, ids=lambda case: case.name)
def test_the_guard_catches_what_is_forbidden(outcomes, case):
    found = outcomes[case.name]
    assert found.kind in case.expected
    assert re.search(case.says, found.message)
    with pytest.raises(AssertionError):
        check(found, case._replace(says="", expected=("done", "refused")))


def test_names_out_of_files_are_text_in_a_page(outcomes, folder):
    page = (folder / "evaluate-names" / "out" / "report" / "report.html").read_text()
    assert SCRIPT not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<h1> b" not in page
    assert not re.search(r"href=.?javascript", page)


def test_names_out_of_files_are_text_in_a_schema(outcomes):
    lines = outcomes["write-schema"].shown.splitlines()
    assert lines.count("[labels]") == 1
    assert any(r"x1b]0;owned" in line for line in lines)
