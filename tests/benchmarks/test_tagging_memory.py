"""Peak memory while tagging must not grow with the file, though reading and scoring go on at the same time.

tox -e benchmarks
"""

import subprocess
import sys

import pytest

from hepnn import Tagger, toy_jets
from hepnn.generators import toy_columns
from hepnn.trees import TreeWriter

PROGRAM = """
import re, sys, time, hepnn
from hepnn.tagging import tag
start = time.perf_counter()
(done,) = tag(sys.argv[1], hepnn.Tagger.load(sys.argv[2]), sys.argv[3])
# not ru_maxrss, which begins with what the parent process had
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) // 1024
print(done.n_jets, peak, round(1000 * (time.perf_counter() - start)))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    tagger = Tagger(epochs=1, features="jetclass").fit(toy_jets(1000, seed=1))
    return tagger.save(tmp_path_factory.mktemp("tagger") / "tagger")


def tagged(folder, path, n_repeats):
    """Jets, MB at most and milliseconds, in a process of its own."""
    columns = toy_columns(50_000, seed=1)
    with TreeWriter(path, level=1) as out:
        for _ in range(n_repeats):
            out.extend(columns)
    command = [sys.executable, "-c", PROGRAM, str(path), str(folder), str(path.with_name(f"scores-{path.name}"))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return tuple(map(int, done.stdout.split()))


def test_memory_does_not_grow_with_the_file(folder, tmp_path, capsys):
    small, large = (tagged(folder, tmp_path / f"{repeats}.root", repeats) for repeats in (2, 6))
    with capsys.disabled():
        for n_jets, megabytes, milliseconds in (small, large):
            print(f"\ntagging {n_jets} jets: at most {megabytes} MB, {n_jets / milliseconds:.1f} jets/ms")
    assert (small[0], large[0]) == (100_000, 300_000)
    assert large[1] < 1.2 * small[1]
