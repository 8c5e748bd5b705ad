"""The command line, ``hepnn COMMAND …``: one file a command.

Each command is a thin face of a Python function and uses its words and defaults. Results go to stdout (``--json`` for
machines), progress to stderr. An error of `hepnn.errors`, a full disk, Ctrl-C and SIGTERM become one message and an exit
code; nothing here loads TensorFlow before a command that needs it runs.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import gc
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import click

from hepnn import __version__
from hepnn.cli.bench import bench
from hepnn.cli.convert import convert
from hepnn.cli.demo import demo
from hepnn.cli.doctor import doctor
from hepnn.cli.evaluate import evaluate
from hepnn.cli.export import export
from hepnn.cli.generate import generate
from hepnn.cli.inspect import inspect
from hepnn.cli.merge import merge
from hepnn.cli.options import show
from hepnn.cli.plot import plot
from hepnn.cli.plugins import plugins
from hepnn.cli.tag import tag
from hepnn.cli.task import task
from hepnn.cli.train import train
from hepnn.errors import HepnnError, HepnnWarning, OutputError

__all__ = ["cli", "main"]

_INTERRUPTED, _TERMINATED = 130, 143
"""Exit codes after Ctrl-C and SIGTERM, as shells give them (128 + the signal's number)."""


def main() -> None:
    """Runs the command line and exits with its code."""
    # what is alive at the end goes with the process: to look through it takes a quarter of a second
    atexit.register(gc.freeze)
    usual = warnings.showwarning

    def show_ours_in_one_line(message: Any, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, HepnnWarning):
            click.secho("warning: ", fg="yellow", bold=True, nl=False, err=True)
            show(str(message), err=True)
        else:
            usual(message, category, *where, **more)

    warnings.showwarning = show_ours_in_one_line
    try:
        with _ended_by_sigterm():
            code = cli.main(prog_name="hepnn", standalone_mode=False)
    except HepnnError as error:
        code = _say_error(error, str(error), error.exit_code)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt) as error:
        code = _say("interrupted", error.__cause__ or error, _INTERRUPTED)
    except SystemExit as error:
        if error.code != _TERMINATED:
            raise
        code = _say("terminated", error, _TERMINATED)
    except OSError as error:  # of a disk that is full where no file of the user's was written
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        code = _say_error(
            error,
            f"{error.filename or 'a file'} cannot be written; {error.strerror}. Make room, and start again.",
            OutputError.exit_code,
        )
    finally:
        warnings.showwarning = usual
    sys.exit(code if isinstance(code, int) else 0)


def _say_error(error: BaseException, message: str, code: int) -> int:
    click.secho("error: ", fg="red", bold=True, nl=False, err=True)
    return _say(message, error, code)


def _say(message: str, error: BaseException, code: int) -> int:
    """Prints a message, and what else is known of an error; returns the exit code."""
    for line in (message, *getattr(error, "__notes__", ())):
        show(line, err=True)
    return code


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Lets SIGTERM end what runs as an exception does, which removes unfinished files on its way."""

    def end(*_: object) -> None:
        raise SystemExit(_TERMINATED)

    if threading.current_thread() is not threading.main_thread():  # no other may say what a signal does
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="hepnn")
def cli() -> None:
    """Tag jets from ROOT files with convolutional and recurrent networks.

    FILES are ROOT, Parquet, HDF5 or npz files: `jets.root`, `jets.root:tree`, a glob in quotes, a folder, a URL, or
    several of these.

    Exit codes: 0 done; 2 wrong arguments or jets; 3 unreadable source; 4 schema; 5 feature; 6 tagger; 7 output; 8
    missing package; 9 done, but files were skipped; 10 a task missed its target; 11 workers failed; 12 a
    self-test failed; 130 interrupted; 143 terminated.
    """


for command in (
    train,
    tag,
    merge,
    evaluate,
    plot,
    export,
    inspect,
    convert,
    bench,
    generate,
    task,
    plugins,
    demo,
    doctor,
):
    cli.add_command(command)
