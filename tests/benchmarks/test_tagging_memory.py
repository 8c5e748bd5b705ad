"""Peak memory while tagging must not grow with what is tagged, though reading and scoring go on at the same time.

tox -e benchmarks
"""

import subprocess
import sys

import pytest

from hepnn import Tagger, toy_jets
from tests.benchmarks import racing
from tests.benchmarks.conftest import N_FILE

FACTOR = 10
TARGET = 1.2

PROGRAM = """
import re, sys, hepnn
from hepnn.tagging import tag
(done,) = tag(sys.argv[3:], hepnn.Tagger.load(sys.argv[1]), sys.argv[2])
# not ru_maxrss, which begins with what the parent process had
print(done.n_jets, int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) // 1024)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    tagger = Tagger("deepsets", epochs=1, features="jetclass").fit(toy_jets(1000, seed=1))
    return tagger.save(tmp_path_factory.mktemp("tagger") / "tagger")


def tagged(folder, output, paths):
    """Jets, and MB at most, in a process of its own."""
    command = [sys.executable, "-c", PROGRAM, str(folder), str(output), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return tuple(map(int, done.stdout.split()))


def test_memory_does_not_grow_with_the_jets(folder, toy_file, tmp_path, record):
    paths = [tmp_path / f"{number}.root" for number in range(FACTOR)]
    for path in paths:
        path.symlink_to(toy_file)
    few = tagged(folder, tmp_path / "few-scores.root", paths[:1])
    many = tagged(folder, tmp_path / "many-scores.root", paths)
    assert (few[0], many[0]) == (N_FILE, FACTOR * N_FILE)
    record(
        racing.Row(
            f"peak memory, tagging {FACTOR * N_FILE:,} jets",
            f"tagging {N_FILE:,}",
            f"{many[1]} MB",
            f"{few[1]} MB",
            many[1] / few[1],
            TARGET,
            at_most=True,
        )
    )
