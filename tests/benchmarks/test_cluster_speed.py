"""Tagging on two workers of one thread each against one.

tox -e benchmarks; it needs two processors to itself.
"""

import os
import time

import pytest

from hepnn import Tagger, generate_toy, read_jets, tag
from hepnn.cluster import connected

pytest.importorskip("distributed")

N_FILES, N_JETS, STEP = 8, 5000, 2500
TARGET = 1.6
"""Times as many jets a second; 2 would be no loss at all."""


def processor_seconds():
    return sum(os.times()[:2])


def measured(files, tagger, output, client):
    """Wall time, and the processor time of each worker and of this process, in seconds."""
    before, start, own = client.run(processor_seconds), time.perf_counter(), processor_seconds()
    tag(files, tagger, output, client=client, step=STEP, overwrite=True)
    wall, own = time.perf_counter() - start, processor_seconds() - own
    after = client.run(processor_seconds)
    return wall, [after[worker] - before[worker] for worker in before], own


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="two workers need two processors")
def test_two_workers_are_nearly_twice_as_fast_as_one(tmp_path, capsys):
    files = [str(tmp_path / f"jets{number}.root") for number in range(N_FILES)]
    for number, file in enumerate(files):
        generate_toy(file, N_JETS, seed=number)
    tagger = Tagger("gru", features=["kinematics"], epochs=1, schema="jetclass").fit(read_jets(files[0], max_jets=500))
    found = {}
    for workers in (1, 2):
        with connected(workers=workers) as client:
            tag(files[:1], tagger, tmp_path / "first.root", client=client, step=500, overwrite=True)  # imports are done
            found[workers] = min(measured(files, tagger, tmp_path / "scores.root", client) for _ in range(3))
    ratio = found[1][0] / found[2][0]
    with capsys.disabled():
        for workers, (wall, of_workers, own) in found.items():
            print(
                f"\n{workers} workers: {N_FILES * N_JETS / wall:.0f} jets/s; wall {wall:.2f} s, processor time of workers "
                f"{', '.join(f'{each:.2f}' for each in of_workers)} s, of the client {own:.2f} s"
            )
        print(f"ratio {ratio:.2f}, target {TARGET}")
    assert ratio >= TARGET
