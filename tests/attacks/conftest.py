"""What attacks are made from, and the process that runs them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.attacks import guard, taggers
from tests.conftest import make_jets
from tests.readers.test_reading import columns, write

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def folder(tmp_path_factory, trained):
    """A folder whose ``given`` has what is intact: jets, a tagger, boosted trees, parts of a tagging, shards."""
    folder = tmp_path_factory.mktemp("attacks")
    (folder / "given").mkdir()
    write(folder / "given" / "jets.root", columns(60, seed=1))
    taggers.make_given(folder / "given", trained, make_jets(200))
    (folder / "path").mkdir()
    (folder / "path" / f"{guard.MARKER}.py").write_text(f'raise SystemExit("{guard.MARKER} was imported")\n')
    return folder


@pytest.fixture(scope="session")
def watched(folder):
    """Runs modules of cases in a process of their own; returns the outcomes by name."""

    def run(*modules):
        done = subprocess.run(
            [sys.executable, "-m", "tests.attacks.guard", str(folder), *(module.__name__ for module in modules)],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env={
                **os.environ,
                "PYTHONPATH": f"{ROOT}{os.pathsep}{folder / 'path'}",
                "PYTHONDONTWRITEBYTECODE": "1",
                "MALLOC_ARENA_MAX": "2",  # glibc reserves address space for every thread, which is limited
                "HEPNN_THREADS": "1",
            },
        )
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        outcomes = {line["name"]: guard.Outcome(**line) for line in lines if "name" in line}
        last = next((line["begins"] for line in lines if line.get("begins", "") not in {"", *outcomes}), "none")
        assert not done.returncode, f"died of code {done.returncode} in the case {last}: {done.stderr[-2000:]}"
        return outcomes

    return run
