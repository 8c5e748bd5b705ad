"""Files and networks that several benchmarks share, and the table printed at the end.

tox -e benchmarks -- --table table.md
"""

from pathlib import Path

import pytest

from hepnn.generators import generate_toy
from tests.benchmarks import racing

N_FILE = 100_000
"""Jets in the file."""

ROWS = pytest.StashKey()


def pytest_addoption(parser):
    parser.addoption("--table", help="Markdown file to write the table to.")


@pytest.fixture(scope="session")
def record(request):
    """Keeps a row for the table, and fails where it misses its target by far."""
    rows = request.config.stash.setdefault(ROWS, [])

    reporter = request.config.pluginmanager.get_plugin("terminalreporter")

    def keep(row):
        rows.append(row)
        reporter.write_line(f"\n{row.what} against {row.against}: {row.ours}, {row.theirs}: {row.ratio:.3g}")
        assert not row.broken, row

    return keep


def pytest_terminal_summary(terminalreporter, config):
    rows = config.stash.get(ROWS, [])
    if not rows:
        return
    text = f"{racing.table(rows)}\n\n{racing.machine()}"
    terminalreporter.section("benchmarks")
    terminalreporter.write_line(text)
    if path := config.getoption("--table"):
        Path(path).write_text(text + "\n")


@pytest.fixture(scope="session")
def toy_file(pytestconfig):
    """100,000 toy jets in JetClass's own layout, made once and kept."""
    path = Path(pytestconfig.cache.mkdir("hepnn-benchmarks")) / f"toy-{N_FILE}.root"
    if not path.exists():
        generate_toy(path, N_FILE, seed=1)
    return path
