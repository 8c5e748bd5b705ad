"""Peak memory while training on shards must not grow with them.

tox -e benchmarks
"""

import subprocess
import sys

import pytest

from hepnn import convert
from hepnn.errors import HepnnWarning
from tests.benchmarks import racing
from tests.benchmarks.conftest import N_FILE

FACTOR = 4
TARGET = 1.2

PROGRAM = """
import re, sys, hepnn
small = {"encoder": (8,), "head_units": (8,)}
tagger = hepnn.Tagger("deepsets", model_options=small, features="jetclass", epochs=1, validation_fraction=0.02, augment=())
tagger.fit(hepnn.Shards.open(sys.argv[1]))
# not ru_maxrss, which begins with what the parent process had
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) // 1024)
"""


def peak(shards):
    """MB at most while an epoch is trained, in a process of its own."""
    command = [sys.executable, "-c", PROGRAM, str(shards.folder)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def test_memory_does_not_grow_with_the_shards(toy_file, tmp_path, record):
    paths = [tmp_path / f"{number}.root" for number in range(FACTOR)]
    for path in paths:
        path.symlink_to(toy_file)
    few = peak(convert(paths[:1], tmp_path / "few"))
    with pytest.warns(HepnnWarning, match="more than once"):  # the same file, so as not to make four
        shards = convert(paths, tmp_path / "many")
    many = peak(shards)
    record(
        racing.Row(
            f"peak memory, training on {FACTOR * N_FILE:,} jets in shards",
            f"training on {N_FILE:,}",
            f"{many} MB",
            f"{few} MB",
            many / few,
            TARGET,
            at_most=True,
        )
    )
