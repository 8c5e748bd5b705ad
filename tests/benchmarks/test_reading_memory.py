"""Peak memory while iterating must not grow with the file, nor by much with one huge basket.

tox -e benchmarks
"""

import subprocess
import sys

import pytest

from hepnn import trees
from hepnn.generators import toy_columns

STEP = 5_000
PROGRAM = """
import re, sys, hepnn
n_jets = sum(len(jets) for jets in hepnn.iterate_jets(sys.argv[1], step=int(sys.argv[2])))
# not ru_maxrss, which begins with what the parent process had
print(n_jets, int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) // 1024)
"""


def peak(path):
    """MB at most while the file is read in steps, in a process of its own."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, path, str(STEP)], capture_output=True, text=True, check=True)
    return tuple(map(int, done.stdout.split()))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("memory")
    columns = toy_columns(20_000, seed=1)
    made = {}
    for name, repeats, entries in (("small", 1, STEP), ("large", 6, STEP), ("one huge basket", 6, 120_000)):
        path = folder / f"{name}.root"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(trees, "BASKET_BYTES", 2**31)  # the writer itself would not make so large a basket
            with trees.TreeWriter(path, level=1, basket_entries=entries) as out:
                for _ in range(repeats):
                    out.extend(columns)
        made[name] = str(path)
    return made


def test_memory_does_not_grow_with_the_file(files, capsys):
    found = {name: peak(path) for name, path in files.items()}
    with capsys.disabled():
        for name, (n_jets, megabytes) in found.items():
            print(f"\niterating {name}: {n_jets} jets in steps of {STEP}, at most {megabytes} MB")
    assert [n_jets for n_jets, _ in found.values()] == [20_000, 120_000, 120_000]
    assert found["large"][1] < 1.2 * found["small"][1]
