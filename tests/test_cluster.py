"""Tagging on many processors: the same scores to the last bit, whoever works them out and whatever dies on the way."""

import os
import pickle
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import uproot

from hepnn import Tagger, open_jets, read_jets
from hepnn.errors import ClusterError, InputError, OutputError, SourceError
from hepnn.jobs import TaggingJob, tagging_job
from hepnn.ranges import until_damage
from hepnn.runtime import Session
from hepnn.score_rows import ScoreRows
from hepnn.tagging import merge, tag
from tests.clusters import local
from tests.damaging import damage
from tests.readers.test_reading import columns, write

pytest.importorskip("distributed")
pytest.importorskip("pyarrow")
from hepnn import cluster  # after what it needs is known to be there

N_FILES, STEP = 20, 15
SMALL = {"encoder": (6,), "units": (6,), "head_units": (6,)}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """20 files of 25 jets, so two ranges each."""
    folder = tmp_path_factory.mktemp("jets")
    for number in range(N_FILES):
        write(folder / f"jets{number}.root", columns(25, seed=number))
    return [str(folder / f"jets{number}.root") for number in range(N_FILES)]


@pytest.fixture(scope="module")
def tagger(files):
    return Tagger(model_options=SMALL, features=["log_pt"], epochs=1, schema="hepnn").fit(read_jets(files[:4]))


@pytest.fixture(scope="module")
def plain(files, tagger, tmp_path_factory):
    """What one process writes, as Parquet, which holds no date."""
    (done,) = tag(files, tagger, tmp_path_factory.mktemp("plain") / "scores.parquet", step=STEP)
    return done.path.read_bytes()


@pytest.fixture(scope="module")
def client():
    with local(4) as made:
        yield made


def arrays(path):
    with uproot.open(path) as file:
        return {name: branch.array(library="np") for name, branch in file["hepnn"].items()}


@pytest.mark.parametrize("n_workers", [1, 2, 4])
def test_any_number_of_workers_gives_the_file_of_one_process(files, tagger, plain, tmp_path, n_workers):
    with local(n_workers) as client:
        (done,) = tag(files, tagger, tmp_path / "scores.parquet", step=STEP, client=client)
    assert (done.n_entries, done.n_jets) == (500, 500)
    assert done.path.read_bytes() == plain


def test_a_client_of_ones_own_stays_open_and_event_trees_of_scores_are_the_same(files, tagger, client, tmp_path):
    told = []
    (one,) = tag(files, tagger, tmp_path / "one.root", step=STEP)
    (many,) = tag(files, tagger, tmp_path / "many.root", step=STEP, client=client, progress=told.append)
    expected, found = arrays(one.path), arrays(many.path)
    assert many[1:] == one[1:]
    assert expected.keys() == found.keys()
    assert all(expected[name].tobytes() == found[name].tobytes() for name in expected)
    assert told == sorted(told)
    assert told[-1] == 500
    assert client.submit(lambda: 1).result() == 1


@pytest.mark.parametrize(
    ("sent", "code", "said"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_signal_to_all_processes_ends_them_with_one_word(files, tagger, tmp_path, sent, code, said):
    """As a terminal and a batch system send it, while the workers start."""
    folder, output = tagger.save(tmp_path / "tagger"), tmp_path / "scores.root"
    command = [sys.executable, "-m", "hepnn", "tag", *files, "--tagger", folder, "-o", output, "--workers", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        while not (tmp_path / "scores.root.parts").exists():
            time.sleep(0.05)
        time.sleep(0.7)
        os.killpg(process.pid, sent)
        written = process.communicate()[1]
    assert process.returncode == code
    assert "Traceback" not in written
    assert written.splitlines()[-1] == said


def test_an_address_and_a_folder_of_outputs(files, tagger, client, tmp_path):
    address = client.scheduler.address
    done = tag(files[:2], tagger, f"{tmp_path}/scores/", step=STEP, client=address)
    assert [each.path.name for each in done] == ["jets0_scores.root", "jets1_scores.root"]
    (alone,) = tag(files[1], tagger, tmp_path / "alone.root", step=STEP)
    assert all(arrays(done[1].path)[name].tobytes() == array.tobytes() for name, array in arrays(alone.path).items())


def test_a_job_that_was_interrupted_does_only_the_rest(files, tagger, plain, client, tmp_path):
    def stop(n_jets):
        if n_jets >= 200:
            raise KeyboardInterrupt

    output = tmp_path / "scores.parquet"
    with pytest.raises(KeyboardInterrupt):
        tag(files, tagger, output, step=STEP, client=client, progress=stop)
    assert not output.exists()
    n_done = len(list((tmp_path / "scores.parquet.parts").glob("*.npz")))
    assert n_done >= 14
    told = []
    (done,) = tag(files, tagger, output, step=STEP, client=client, progress=told.append)
    assert len(told) == 2 * N_FILES - n_done
    assert done.n_reused >= 200
    assert output.read_bytes() == plain


SLOW_COMMAND = """
import time
from hepnn import jobs
from hepnn.cli import main
rows_of = jobs.rows_of
jobs.rows_of = lambda *given, **more: time.sleep(0.1) or rows_of(*given, **more)
main()
"""


def test_a_command_that_is_killed_is_finished_by_workers_that_do_the_rest(files, tagger, plain, client, tmp_path):
    folder = tagger.save(tmp_path / "tagger")
    output, parts = tmp_path / "scores.parquet", tmp_path / "scores.parquet.parts"
    options = ["tag", *files, "--tagger", str(folder), "-o", str(output), "--step", str(STEP), "--part", "1/1"]
    running = subprocess.Popen([sys.executable, "-c", SLOW_COMMAND, *options], stderr=subprocess.DEVNULL)
    while len(list(parts.glob("[!.]*.npz"))) < 5:
        time.sleep(0.02)
        assert running.poll() is None
    running.kill()
    running.wait()
    n_done = len(list(parts.glob("[!.]*.npz")))
    assert 5 <= n_done < 2 * N_FILES
    (done,) = tag(files, tagger, output, step=STEP, client=client)
    assert (n_done - 1) * 10 <= done.n_reused < 500
    assert output.read_bytes() == plain
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scores.parquet", "tagger"]


def test_shares_without_dask_are_merged_into_the_same_file(files, tagger, plain, tmp_path):
    output = tmp_path / "scores.parquet"
    parts = tmp_path / "scores.parquet.parts"
    shares = [tag(files, tagger, output, step=STEP, part=(share, 3))[0] for share in (1, 3)]
    assert [each.path for each in shares] == [parts, parts]
    with pytest.raises(
        InputError, match=r"1\d of 40 parts are missing, the first of the entries \d+ to \d+ of .*jets6"
    ):
        merge(parts)
    shares += tag(files, tagger, output, step=STEP, part=(2, 3))
    assert sum(each.n_entries for each in shares) == 500
    (done,), tree, skipped = merge(parts)
    assert (done.n_entries, tree, skipped) == (500, "hepnn", [])
    assert output.read_bytes() == plain
    assert not parts.exists()


def test_more_shares_than_work_leave_some_empty(files, tagger, tmp_path):
    job = tagging_job(open_jets(files[0]), tagger, prefix="", step=STEP)
    shares = [job.ranges.share((share, 7)) for share in range(1, 8)]
    assert sorted(index for share in shares for index in share) == [0, 1]
    with pytest.raises(InputError, match=r"asked for the share 8/7; shares are counted from 1/n to n/n"):
        job.ranges.share((8, 7))


@pytest.fixture
def parts(files, tagger, tmp_path):
    """The parts of two files, complete but not merged."""
    (done,) = tag(files[:2], tagger, tmp_path / "scores.root", step=STEP, part=(1, 1))
    return done.path


def done_again(files, tagger, parts, **settings):
    """How many entries are worked out when the same is asked again with other settings."""
    (done,) = tag(files, tagger, parts.with_suffix(""), part=(1, 1), **{"step": STEP, **settings})
    return done.n_entries - done.n_reused


def test_nothing_is_done_twice_unless_what_it_follows_from_changes(files, tagger, parts):
    assert done_again(files[:2], tagger, parts) == 0
    assert done_again(files[:3], tagger, parts) == 25
    assert done_again(files[:2], tagger, parts, prefix="mine_") == 50
    assert done_again(files[:2], tagger, parts, step=10) == 50
    assert done_again(open_jets(files[:2], select="pt > 1.5"), tagger, parts) == 50
    other = pickle.loads(pickle.dumps(tagger))
    name = next(iter(other.weights_))
    other.weights_[name] = other.weights_[name] + np.float32(1e-7)
    job, same = (tagging_job(open_jets(files[0]), each, prefix="", step=STEP) for each in (tagger, other))
    assert not set(job.keys) & set(same.keys)


def test_a_file_that_was_written_again_is_done_again(tagger, tmp_path):
    path = write(tmp_path / "jets.root", columns(25, seed=1))
    tag(path, tagger, tmp_path / "scores.root", part=(1, 1))
    write(path, columns(25, seed=2))
    (done,) = tag(path, tagger, tmp_path / "scores.root", part=(1, 1))
    assert done.n_reused == 0


def test_a_damaged_part_is_named_and_nothing_is_written(parts):
    part = sorted(parts.glob("*.npz"))[0]
    data = bytearray(part.read_bytes())
    at = data.rindex(b"NUMPY") + 130
    data[at] ^= 1
    part.write_bytes(data)
    with pytest.raises(InputError, match=rf"{part.name}; it cannot be read .*Bad CRC-32.*Delete it, and start"):
        merge(parts)
    assert not parts.with_suffix("").exists()


def test_what_is_no_folder_of_parts_is_refused(parts, tmp_path):
    with pytest.raises(InputError, match=r"job.json cannot be read: .*Name the folder that `hepnn tag --part"):
        merge(tmp_path)
    (parts / "thesis.tex").write_text("years of work")
    other = parts.rename(tmp_path / "other")
    with pytest.raises(InputError, match="whose name does not say where to"):
        merge(other)
    merge(other, output=tmp_path / "here.root")
    assert [path.name for path in other.iterdir()] == ["thesis.tex"]


def test_damage_is_skipped_and_named_as_in_one_process(files, tagger, client, tmp_path):
    bad = damage(files[0], tmp_path / "bad.root")
    with pytest.raises(SourceError, match=r"bad.root; branch .* is damaged"):
        tag([files[1], bad], tagger, tmp_path / "scores.root", client=client)
    one, many = (open_jets([bad, files[1]], bad_files="skip") for _ in range(2))
    (expected,) = tag(one, tagger, tmp_path / "one.root", step=STEP)
    (found,) = tag(many, tagger, tmp_path / "many.root", step=STEP, client=client)
    assert found[1:] == expected[1:]
    assert [each.file for each in many.skipped] == [each.file for each in one.skipped] == [bad]
    with pytest.raises(SourceError, match="none of the 1 files could be read"):
        tag(open_jets(bad, bad_files="skip"), tagger, tmp_path / "none.root", client=client)


def test_what_comes_after_damage_is_left_out_until_the_next_table():
    found = [ScoreRows("a", start, start + 5, 5, {}, damage) for start, damage in
             [(0, ""), (5, "torn"), (10, ""), (15, "torn too"), (0, ""), (5, ""), (0, "gone"), (0, "")]]  # fmt: skip
    skipped = []
    assert list(until_damage(found, skipped)) == [found[i] for i in (0, 4, 5, 7)]
    assert skipped == [("a", "torn", 5), ("a", "gone", 0)]


def test_a_model_is_sent_small_and_opened_once_a_worker(files, tagger, client, tmp_path, monkeypatch):
    tagger.predict_proba(next(iter(open_jets(files[0]).iterate())))  # opens a session here
    n_bytes = sum(array.nbytes for array in tagger.weights_.values()) + len(tagger.onnx_)
    assert len(pickle.dumps(tagger)) < n_bytes + 10_000
    opened, original = [], Session.__init__
    monkeypatch.setattr(Session, "__init__", lambda *given, **more: opened.append(1) or original(*given, **more))
    tag(files, tagger, tmp_path / "scores.root", step=STEP, client=client)
    assert 1 <= len(opened) <= 4


def test_wrong_clusters_are_refused(files, tagger, tmp_path, monkeypatch):
    output = tmp_path / "scores.root"
    with pytest.raises(InputError, match="asked for 0 workers; it takes at least 1"):
        tag(files[0], tagger, output, workers=0)
    with pytest.raises(InputError, match=r"client='tcp://127.0.0.1:1' and workers=2; give one of them"):
        tag(files[0], tagger, output, workers=2, client="tcp://127.0.0.1:1")
    monkeypatch.setattr(cluster, "_CONNECT", "1 s")
    with pytest.raises(ClusterError, match=r"asked for the Dask scheduler at tcp://127.0.0.1:1; .*"):
        tag(files[0], tagger, output, client="tcp://127.0.0.1:1")
    with pytest.raises(ClusterError, match=r"at 'nonsense', which is no address. Its address looks like tcp://"):
        tag(files[0], tagger, output, client="nonsense")
    output.write_text("precious")
    with pytest.raises(OutputError, match="exists already"):
        tag(files[0], tagger, output, workers=1)


def test_a_scheduler_that_goes_away_is_named(files, tagger, tmp_path):
    settings = {"step": STEP, "progress": lambda _: client.cluster.close()}
    with (
        local(1) as client,
        pytest.raises(ClusterError, match=r"scheduler at inproc://.* for results; .*once it is back"),
    ):
        tag(files, tagger, tmp_path / "scores.root", client=client, **settings)
    assert list((tmp_path / "scores.root.parts").glob("*.npz"))


# processes, which share a cluster in the order of these tests: the last leaves it with a worker that kills itself


@pytest.fixture(scope="module")
def processes():
    before = os.environ.get("OMP_NUM_THREADS")
    with cluster.connected(workers=2) as made:
        yield made
    assert os.environ.get("OMP_NUM_THREADS") == before  # else this process would score with one thread from now on


def slow(job, index):
    """Rows that take their time, so that there is a midway."""
    time.sleep(0.03)
    return _rows(job, index)


_rows = TaggingJob.rows


def patched(job_class):
    job_class.rows = slow


def test_a_worker_that_is_killed_midway_changes_nothing(files, tagger, plain, processes, tmp_path):
    processes.run(patched, TaggingJob)
    ids = list(processes.run(os.getpid).values())
    done = []

    def kill(n_jets):
        done.append(n_jets)
        if len(done) == 10:
            os.kill(ids[0], signal.SIGKILL)

    (result,) = tag(files, tagger, tmp_path / "scores.parquet", step=STEP, client=processes, progress=kill)
    assert len(done) == 2 * N_FILES
    assert ids[0] not in processes.run(os.getpid).values()
    assert result.path.read_bytes() == plain


def die(job, index):
    os.kill(os.getpid(), signal.SIGKILL)


def deadly(job_class):
    job_class.rows = die


def test_work_that_kills_every_worker_ends_with_its_name(files, tagger, processes, tmp_path):
    processes.run_on_scheduler(lambda dask_scheduler: setattr(dask_scheduler, "allowed_failures", 0))
    processes.run(deadly, TaggingJob)
    with pytest.raises(ClusterError, match=r"the workers that took it died, the last at tcp://"):
        tag(files[0], tagger, tmp_path / "scores.root", client=processes)
