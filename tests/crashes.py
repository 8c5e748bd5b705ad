"""Crashes at every step: each change to files below a folder is a step, and at the n-th one something happens.

An audit hook of Python sees every file that is opened for writing, moved, removed or made. So that C code counts as well,
a limit on the size of files stops a write in its middle.
"""

import errno
import gc
import io
import multiprocessing
import os
import resource
import signal
import sys
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import uproot

from hepnn.cli import main
from hepnn.parts import SUFFIX

_EVENTS = {"os.rename", "os.remove", "os.rmdir", "os.mkdir"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_PRELOADED = ["pytest", "tests.crashes", "hepnn.tagging", "hepnn.shards", "hepnn.judging", "hepnn.evaluation_plots"]


class Steps:
    """Counts the changes below a folder; at the n-th and, if ``stays``, at each after it that needs room, ``act``s."""

    def __init__(self, folder, n, act, *, stays=False):
        self.folder, self.n, self.act, self.stays = os.fspath(folder), n, act, stays
        self.count = 0

    def see(self, event, arguments):
        path = arguments[0]
        if event == "open" and (isinstance(path, int) or not arguments[2] & _WRITES):
            return
        is_within_an_open_folder = event in ("os.remove", "os.rmdir", "os.mkdir") and arguments[-1] != -1
        if not is_within_an_open_folder and not os.fsdecode(path).startswith(self.folder):
            return
        self.count += 1
        is_due = self.count >= self.n and event in ("open", "os.mkdir") if self.stays else self.count == self.n
        if is_due:
            self.act()

    @property
    def reached(self):
        return self.count >= self.n


_watching: list[Steps] = []


def _hook(event, arguments):
    if _watching and (event == "open" or event in _EVENTS):
        _watching[-1].see(event, arguments)


sys.addaudithook(_hook)


@contextmanager
def at_step(folder, n, act, *, stays=False):
    """Lets ``act`` happen at the n-th change below ``folder``."""
    steps = Steps(folder, n, act, stays=stays)
    _watching.append(steps)
    try:
        yield steps
    finally:
        _watching.pop()


def interrupt():
    raise KeyboardInterrupt


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def no_room():
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def command(*arguments):
    """Runs a command in this process; returns its exit code and what it wrote to stderr."""
    sys.argv = ["hepnn", *map(str, arguments)]
    said = io.StringIO()
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(said):
            main()
    except SystemExit as stopped:
        return stopped.code, said.getvalue()
    raise AssertionError("main came back")


_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(_PRELOADED)


def start(work, *arguments):
    """Starts a function in a process that is forked from one that has everything imported but TensorFlow."""
    process = _context.Process(target=work, args=arguments)
    process.start()
    return process


def ended(process):
    """Returns the exit code of a process, minus the signal that ended it."""
    process.join(60)
    assert process.exitcode is not None
    return process.exitcode


def crashed_at(folder, n, act, commands):
    """Runs commands, with what ``act`` does at the n-th step; for a process of its own."""
    with at_step(folder, n, act):
        codes = [command(*arguments, "--overwrite")[0] for arguments in commands]
    os._exit(max(codes))


def called_at(folder, n, act, function, arguments, keywords=None):
    """Calls a function, with what ``act`` does at the n-th step; for a process of its own."""
    with at_step(folder, n, act):
        function(*arguments, **(keywords or {}))


def called_within(n_bytes, function, arguments, keywords):
    """Calls a function, which is killed where a file grows beyond so many bytes; for a process of its own."""
    _limit(n_bytes, killed=True)
    function(*arguments, **keywords)


def _limit(n_bytes, *, killed):
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL if killed else signal.SIG_IGN)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    return hard


def limited(n_bytes, commands, told, killed):
    """Runs commands whose files cannot grow beyond so many bytes, which kills them or is an error; writes what they said.

    For a process of its own.
    """
    hard = _limit(n_bytes, killed=killed)
    for arguments in commands:
        code, said = command(*arguments, "--overwrite")
        if code != 0:
            break
    gc.collect()  # what is left open is closed, and may complain
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    told.write_text(said)
    os._exit(code)


def content(folder):
    """The finished files of a folder by name, each as what does not change from one run to the next."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and not any(part.startswith(".") or part.endswith(SUFFIX) for part in Path(name).parts):
            found[name] = _arrays(path) if path.suffix == ".root" else path.read_bytes()
    return found


def _arrays(path):
    with uproot.open(path) as file:
        return repr({name: file[name].arrays(library="ak").tolist() for name in file.keys(cycle=False)})


def unfinished(folder):
    """Names of what is hidden, and of parts that wait for others."""
    return sorted(path.name for path in Path(folder).rglob("*") if path.name.startswith(".") or path.suffix == SUFFIX)
