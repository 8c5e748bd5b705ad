import functools
import multiprocessing
import os
import time
from pathlib import Path

import numpy as np
import pytest

from hepnn.errors import HepnnError, InputError
from hepnn.generators.blocks import blocks_of, in_order, prepared


def draws(block):
    (stream,) = block.streams(1)
    return block.number, os.getpid(), np.random.default_rng(stream).random(block.n_jets).tolist()


def die(block):
    os._exit(1)


def fail(block):
    raise ValueError(f"block {block.number} is bad")


@pytest.mark.parametrize(
    ("n_jets", "sizes"), [(0, []), (1, [1]), (10, [10]), (11, [10, 1]), (np.int64(30), [10, 10, 10])]
)
def test_blocks_add_up(n_jets, sizes):
    assert [block.n_jets for block in blocks_of(n_jets, size=10, seed=1)] == sizes


def test_streams_differ_between_blocks_seeds_and_purposes():
    blocks = blocks_of(20, size=10, seed=1) + blocks_of(10, size=10, seed=2)
    firsts = {np.random.default_rng(stream).random() for block in blocks for stream in block.streams(3)}
    assert len(firsts) == 9


def test_the_number_of_processes_changes_nothing_but_who_works():
    blocks = blocks_of(55, size=10, seed=3)
    alone = list(in_order(draws, blocks, processes=1))
    together = list(in_order(draws, blocks, processes=2))
    assert [(number, values) for number, _, values in alone] == [(number, values) for number, _, values in together]
    assert {pid for _, pid, _ in alone} == {os.getpid()}
    assert os.getpid() not in {pid for _, pid, _ in together}


def test_an_error_in_another_process_arrives():
    with pytest.raises(ValueError, match="block 0 is bad"):
        list(in_order(fail, blocks_of(20, size=10, seed=1), processes=2))


def test_a_process_that_dies_is_named():
    with pytest.raises(HepnnError, match=r"a worker process of 2 ended without an answer.*processes=1"):
        list(in_order(die, blocks_of(20, size=10, seed=1), processes=2))


def work_for_ever(folder):
    for _ in in_order(functools.partial(leave_id, folder=folder), blocks_of(1000, size=1, seed=0), processes=2):
        pass


def leave_id(block, *, folder):
    (folder / str(os.getpid())).touch()
    time.sleep(0.01)


def is_alive(process):
    status = Path(f"/proc/{process}/status")
    try:
        return "(zombie)" not in status.read_text()
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="processes are looked up in /proc")
def test_processes_end_when_the_one_that_started_them_is_killed(tmp_path):
    parent = multiprocessing.get_context("spawn").Process(target=work_for_ever, args=(tmp_path,))
    parent.start()
    while len(list(tmp_path.iterdir())) < 2:
        assert parent.is_alive()
        time.sleep(0.05)
    parent.kill()
    parent.join()
    workers = [int(path.name) for path in tmp_path.iterdir()]
    end = time.monotonic() + 30
    while any(map(is_alive, workers)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(is_alive, workers))


def test_results_prepared_by_a_thread_come_in_order():
    assert list(prepared(iter(range(5)))) == [0, 1, 2, 3, 4]
    assert list(prepared(iter([]))) == []


def test_an_error_of_the_thread_arrives():
    with pytest.raises(ZeroDivisionError, match="division"):
        list(prepared(1 // number for number in (1, 0)))


@pytest.mark.parametrize(("n_jets", "seed"), [(-1, 1), (1.5, 1), (True, 1), (1, -1), (1, 0.5)])
def test_numbers_and_seeds_without_sense_are_refused(n_jets, seed):
    with pytest.raises(InputError, match="give a whole number from 0 on"):
        blocks_of(n_jets, size=10, seed=seed)


def test_no_process_is_refused():
    with pytest.raises(InputError, match="asked for 0 processes; give at least 1"):
        list(in_order(draws, blocks_of(20, size=10, seed=1), processes=0))
