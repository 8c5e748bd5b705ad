"""Whatever ends a command, and wherever: no half-written file, no lost earlier output, and a second run is as the first."""

import contextlib
import os
import shutil
import signal
import subprocess

import pytest

from hepnn import Tagger, generate_toy, read_jets
from tests.crashes import (
    at_step,
    command,
    content,
    crashed_at,
    ended,
    interrupt,
    kill,
    limited,
    no_room,
    start,
    terminate,
    unfinished,
)

SMALL = {"encoder": (4,), "units": (4,), "head_units": (4,)}


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    """Two files of jets and a tagger."""
    folder = tmp_path_factory.mktemp("there")
    for seed in (1, 2):
        generate_toy(folder / f"jets{seed}.root", 120, seed=seed, classes=["Hbb", "QCD"])
    jets = read_jets(folder / "jets1.root")
    Tagger("gru", model_options=SMALL, epochs=1, features=["log_pt"], schema="jetclass").fit(jets).save(
        folder / "tagger"
    )
    return folder


def jets(there, seed):
    return there / f"jets{seed}.root"


def tag(there, out, seed, suffix, *options):
    return "tag", jets(there, seed), "--tagger", there / "tagger", "-o", out / f"scores{suffix}", *options


def evaluate(there, out, seed, *options):
    return (
        "evaluate",
        jets(there, seed),
        "--tagger",
        there / "tagger",
        "--signal",
        "Hbb",
        "--background",
        "QCD",
        *options,
    )


COMMANDS = {
    "generate toy": lambda there, out, seed: [("generate", "toy", "--jets", 9, "--seed", seed, "-o", out / "toy.root")],
    "convert": lambda there, out, seed: [("convert", jets(there, seed), "-o", out / "shards")],
    "tag": lambda there, out, seed: [tag(there, out, seed, ".root")],
    "tag, as RNTuple": lambda there, out, seed: [tag(there, out, seed, ".root", "--format", "rntuple")],
    "tag, as Parquet": lambda there, out, seed: [tag(there, out, seed, ".parquet")],
    "tag, in shares": lambda there, out, seed: [
        tag(there, out, seed, ".root", "--part", "1/1"),
        ("merge", out / "scores.root.parts"),
    ],
    "export": lambda there, out, seed: [("export", there / "tagger", "--onnx", out / "tagger.onnx")],
    "evaluate, a picture": lambda there, out, seed: [evaluate(there, out, seed, "-o", out / "roc.png")],
}
"""Commands that make the same thing, by what it is."""

ENDS = {
    "Ctrl-C": (interrupt, 130, "interrupted\n"),
    "SIGTERM": (terminate, 143, "terminated\n"),
    "full disk": (no_room, 7, "the disk is full"),
}


class Trial:
    """A command with an earlier output that it may overwrite, and what is there before and after it."""

    def __init__(self, name, there, folder):
        self.there, self.make = there, COMMANDS[name]
        self.earlier, self.out = folder / "earlier", folder / "out"
        self.earlier.mkdir()
        assert self.run(self.earlier, 2)[0] == 0
        self.before = content(self.earlier)
        (folder / "whole").mkdir()
        assert self.run(folder / "whole", 1)[0] == 0
        self.after = content(folder / "whole")

    def run(self, out, seed):
        for arguments in self.make(self.there, out, seed):
            code, said = command(*arguments, "--overwrite")
            if code != 0:
                break
        return code, said

    def begin(self):
        shutil.rmtree(self.out, ignore_errors=True)
        shutil.copytree(self.earlier, self.out)

    def check(self):
        """What is there is the earlier or the new output; running the command again makes the new one, and tidies up."""
        assert content(self.out) in (self.before, self.after)
        code, said = self.run(self.out, 1)
        assert code == 0, said
        assert content(self.out) == self.after
        assert unfinished(self.out) == []


@pytest.fixture(scope="module")
def trial(request, there, tmp_path_factory):
    return Trial(request.param, there, tmp_path_factory.mktemp("trial"))


def commands_but(*names):
    """Parametrises a test with all commands but those, which take too long for it and do there what others do."""
    return pytest.mark.parametrize(
        "trial", [each for each in COMMANDS if each not in names], indirect=True, scope="module"
    )


@commands_but("tag, in shares")
@pytest.mark.parametrize("end", ["signal", "full disk"])
def test_a_command_that_is_stopped_at_any_step_leaves_the_old_output_or_the_new(trial, end):
    for n in range(1, 100):
        name = end if end != "signal" else ("Ctrl-C", "SIGTERM")[n % 2]  # which take the same way
        act, expected, message = ENDS[name]
        trial.begin()
        with at_step(trial.out, n, act, stays=end == "full disk") as steps:
            code, said = trial.run(trial.out, 1)
        assert "Traceback" not in said
        if code == 0:
            break
        assert (code, message in said) == (expected, True), said
        trial.check()
    assert not steps.reached or end == "full disk"  # which does not hinder what is moved
    assert n > 2


@commands_but("evaluate, a picture")
def test_a_command_that_is_killed_at_any_step_leaves_the_old_output_or_the_new(trial):
    for n in range(1, 100):
        trial.begin()
        code = ended(start(crashed_at, trial.out, n, kill, trial.make(trial.there, trial.out, 1)))
        if code == 0:
            break
        assert code == -signal.SIGKILL
        trial.check()
    assert n > 3


@commands_but("evaluate, a picture", "tag, in shares")
@pytest.mark.parametrize("killed", [False, True], ids=["full disk", "killed"])
def test_a_command_that_stops_in_the_middle_of_a_write_leaves_the_old_output(trial, killed, tmp_path):
    """Its files cannot grow beyond a limit, which is an error, or kills it."""
    trial.begin()
    largest = max(path.stat().st_size for path in trial.out.rglob("*") if path.is_file())
    for n_bytes in (1, largest // 2):
        told = tmp_path / "told"
        code = ended(start(limited, n_bytes, trial.make(trial.there, trial.out, 1), told, killed))
        assert code == (-signal.SIGXFSZ if killed else 7)
        if not killed:
            said = told.read_text()
            assert "Traceback" not in said
            assert "Exception ignored" not in said
            assert "the disk is full" in said
            assert "MB are free in" in said
        trial.check()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root can make a file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@commands_but("evaluate, a picture")
def test_a_command_on_a_full_disk_says_so_and_leaves_the_old_output(trial, small_disk):
    out = small_disk / "out"
    shutil.copytree(trial.earlier, out)
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    code, said = trial.run(out, 1)
    assert (code, "the disk is full" in said, "Traceback" in said) == (7, True, False), said
    assert "Exception ignored" not in said
    assert content(out) == trial.before
    ballast.unlink()
    assert trial.run(out, 1)[0] == 0
    assert content(out) == trial.after
    assert unfinished(out) == []


def tag_again(jets, tagger, output, overwrite):
    """Tags a file twice; for a process of its own."""
    arguments = ("tag", jets, "--tagger", tagger, "-o", output)
    codes = [command(*arguments, *["--overwrite"] * overwrite)[0] for _ in range(2)]
    os._exit(0 if set(codes) == {0} else 1)


def test_eight_processes_that_write_into_one_folder_do_not_meet(there, tmp_path):
    for seed in range(8):
        shutil.copy(there / f"jets{1 + seed % 2}.root", tmp_path / f"jets{seed}.root")
    out = tmp_path / "scores/"
    many = [start(tag_again, tmp_path / f"jets{seed}.root", there / "tagger", f"{out}/", True) for seed in range(8)]
    assert list(map(ended, many)) == [0] * 8
    alone = {}
    for seed in (0, 1):
        command("tag", tmp_path / f"jets{seed}.root", "--tagger", there / "tagger", "-o", f"{tmp_path / 'alone'}/")
        alone[seed] = content(tmp_path / "alone")[f"jets{seed}_scores.root"]
    assert content(out) == {f"jets{seed}_scores.root": alone[seed % 2] for seed in range(8)}
    assert unfinished(out) == []


@pytest.mark.parametrize("overwrite", [False, True], ids=["refused", "overwritten"])
def test_of_eight_processes_that_write_one_file_one_wins_whole(there, tmp_path, overwrite):
    out = tmp_path / "scores.root"
    many = [start(tag_again, jets(there, 1 + i % 2), there / "tagger", out, overwrite) for i in range(8)]
    codes = list(map(ended, many))
    assert codes == [0 if overwrite else 1] * 8  # each is refused at the latest when it comes again
    whole = []
    for seed in (1, 2):
        command(*tag(there, tmp_path, seed, f"{seed}.root"))
        whole.append(content(tmp_path)[f"scores{seed}.root"])
    assert content(tmp_path)["scores.root"] in whole
    assert unfinished(tmp_path) == []
