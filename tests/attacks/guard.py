"""A process that runs attacks, watched by an audit hook, with little memory and time.

``python -m tests.attacks.guard FOLDER MODULES...`` runs each `Case` of each ``MODULE.CASES`` in FOLDER and prints a line
of JSON for each, before (its name) and after (its `Outcome`), so that whoever started it knows which one killed it.

What a case may not do while it runs is in `_forbidden`: start programs, talk to the network, unpickle, compile or run
text of the input, import what the input names, or write elsewhere than to its own folder ``out`` (and temporary files).
"""

import ast
import contextlib
import importlib
import io
import json
import os
import re
import resource
import signal
import socket
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

MARKER = "hostile_module"
"""Name of the module that attacks try to have imported, and what texts that must not be compiled contain."""

MEMORY = 4 * 2**30
"""Bytes of address space beyond what the process has when the attacks begin."""
SECONDS = 20
"""Of each case, after which it counts as a hang; of processor time, three times that kills the process."""
N_MOST = 40
"""Lines of a traceback that are kept."""


class Case(NamedTuple):
    """An attack.

    Attributes:
        name: its own, and that of its folder.
        make: called with the folder of intact files and one of its own, writes the hostile input and returns what it is
            fed to: arguments of hepnn's command line, or a function.
        expected: kinds of outcome that are right.
        says: what the message, or what is shown, has to match.
        may_change: whether it may change its input.
        seconds: after which it counts as a hang.
    """

    name: str
    make: Callable[[Path, Path], Any]
    expected: tuple[str, ...] = ("refused",)
    says: str = ""
    may_change: bool = False
    seconds: int = SECONDS


class Outcome(NamedTuple):
    """What came of a case.

    Attributes:
        name: of the case.
        kind: "refused" with an error of hepnn's, "done" without one, or "crashed" with another error.
        code: exit code of the command; None for a function.
        message: of the error.
        shown: what was printed.
        violations: forbidden acts.
        seconds: it took.
    """

    name: str
    kind: str
    code: int | None
    message: str
    shown: str
    violations: list[str]
    seconds: float


class Hang(BaseException):
    """A case took too long."""


class _Watch:
    """The audit hook; it cannot be taken away again, so it is told when to look."""

    def __init__(self):
        self.armed = False
        self.violations = []
        self.allowed = ()

    def __call__(self, event, arguments):
        if not self.armed:
            return
        self.armed = False  # what follows may raise events of its own
        try:
            what = self._forbidden(event, arguments)
        finally:
            self.armed = True
        if what:
            self.violations.append(what)
            raise RuntimeError(f"caught: {what}")

    def _forbidden(self, event, arguments):
        if event.startswith(("os.exec", "os.posix_spawn", "os.spawn", "os.fork", "pty.")) or event in (
            "os.system",
            "subprocess.Popen",
            "os.startfile",
        ):
            return f"starts a program: {event} {arguments!r:.200}"
        if event == "socket.__new__" and arguments[1] == socket.AF_UNIX:
            return None  # both ends in this process: asyncio, which reads files for uproot, makes a pair
        if event.startswith(("socket.", "urllib.", "http.client.", "ftplib.", "smtplib.")):
            return f"talks to the network: {event} {arguments!r:.200}"
        if event == "pickle.find_class":
            return f"unpickles: {arguments!r:.200}"
        if event == "import" and arguments[0].partition(".")[0] == MARKER:
            return f"imports {arguments[0]}"
        if event == "compile":
            return _compiled(*arguments[:2])
        if event == "exec" and _names(arguments[0]):
            return f"runs code that names {MARKER}"
        return self._written(event, arguments)

    def _written(self, event, arguments):
        paths = []
        if event == "open" and arguments[0] is not None and not isinstance(arguments[0], int):
            flags = arguments[2] or 0
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND):
                paths = [arguments[0]]
        elif event in ("os.rename", "os.link", "os.symlink"):
            paths = arguments[:2]
        elif event in ("os.remove", "os.rmdir", "os.mkdir", "os.chmod", "os.truncate", "shutil.rmtree", "os.utime"):
            paths = arguments[:1]
        within = (
            arguments[1] if event in ("os.remove", "os.rmdir") else -1
        )  # shutil.rmtree names its folder by a number
        folder = os.getcwd() if within in (-1, None) else os.readlink(f"/proc/self/fd/{within}")  # noqa: PTH115, PTH109
        for path in paths:
            where = os.path.realpath(os.path.join(folder, os.fsdecode(path)))  # noqa: PTH118  # bytes and numbers too
            if where != os.devnull and not where.startswith(self.allowed):
                return f"writes elsewhere: {event} {where}"
        return None


def _compiled(source, filename):
    """What is wrong with a text that is compiled. ``ast.parse`` runs nothing; uproot quotes names of a file's classes."""
    text = source.decode(errors="replace") if isinstance(source, bytes) else source
    if not isinstance(text, str) or MARKER not in text or filename == "<unknown>":
        return None
    quoted = sum(
        MARKER in node.value
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    without = ast.unparse(_Blanked().visit(ast.parse(text)))
    return None if quoted and MARKER not in without else f"compiles text of the input: {text!r:.200}"


class _Blanked(ast.NodeTransformer):
    def visit_Constant(self, node):  # the name that ast looks for
        return ast.Constant("") if isinstance(node.value, str) else node


def _names(code):
    inner = [each for each in code.co_consts if hasattr(each, "co_names")]
    return any(MARKER in name for name in code.co_names) or any(map(_names, inner))


def control_characters(text):
    """Returns the control characters in a text, but for new lines and tabs."""
    return re.findall(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)


def _tree(folder, besides):
    """Every file and folder there, but for those in ``besides``, with its size and time of change."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_relative_to(besides):
            about = path.lstat()
            found[str(path)] = (about.st_size, about.st_mtime_ns if not path.is_dir() else 0)
    return found


def run(case, folder, watch):
    """Returns what came of a case, run in a folder of its own."""
    from hepnn.errors import HepnnError

    own = folder / case.name
    out = own / "out"
    out.mkdir(parents=True)
    temporary = own / "tmp"
    temporary.mkdir()
    tempfile.tempdir = str(temporary)
    action = case.make(folder / "given", own)
    before = _tree(own, out)
    watch.violations, watch.allowed = [], (str(out), str(temporary))
    shown = io.StringIO()
    kind, code, message = "done", None, ""
    signal.alarm(case.seconds)
    begin = time.perf_counter()
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        watch.armed = True
        try:
            if callable(action):
                action()
            else:
                code = _command(action)
        except HepnnError as error:
            kind, message = "refused", str(error)
        except BaseException:  # noqa: BLE001  # whatever it is, it is told
            kind, message = "crashed", "\n".join(traceback.format_exc().splitlines()[-N_MOST:])
        finally:
            watch.armed = False
            signal.alarm(0)
    seconds = time.perf_counter() - begin
    text = shown.getvalue()
    if code:
        kind, message = "refused", text[text.rfind("error: ") :].rstrip("\n") if "error: " in text else ""
    after = _tree(own, out)
    changed = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    changed = [path for path in changed if not path.startswith(str(temporary))]
    if changed and not case.may_change:
        watch.violations.append(f"changes {', '.join(changed)[:300]}")
    return Outcome(case.name, kind, code, message, text[-20_000:], watch.violations, seconds)


def _command(arguments):
    from hepnn.cli import main

    sys.argv = ["hepnn", *map(str, arguments)]
    try:
        main()
    except SystemExit as stopped:
        return stopped.code
    return None


def _ring(*_):
    raise Hang("took too long")


def _limit(*, memory):
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _tell(what):
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def main(folder, *modules):
    """Runs all cases of some modules."""
    found = [importlib.import_module(module) for module in modules]
    for module in found:
        module.prepare()
    signal.signal(signal.SIGALRM, _ring)
    watch = _Watch()
    sys.addaudithook(watch)
    _limit(memory=MEMORY)
    for case in (case for module in found for case in module.CASES):
        _tell({"begins": case.name})
        spent = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        resource.setrlimit(resource.RLIMIT_CPU, (int(spent) + 3 * SECONDS, resource.RLIM_INFINITY))
        _tell(run(case, Path(folder), watch)._asdict())


if __name__ == "__main__":
    main(*sys.argv[1:])
