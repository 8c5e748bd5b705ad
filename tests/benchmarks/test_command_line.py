"""How long it takes until the command line answers.

tox -e benchmarks
"""

import subprocess
import sys
from pathlib import Path

from tests.benchmarks import racing

TARGET = 0.4
"""Seconds."""


def test_help_is_there_at_once(record):
    command = [Path(sys.executable).parent / "hepnn", "--help"]
    (time,) = racing.in_turn(lambda: subprocess.run(command, capture_output=True, check=True), repeats=5)
    record(racing.Row("`hepnn --help`", "seconds", f"{time.wall:.2f} s", "", time.wall, TARGET, at_most=True))
