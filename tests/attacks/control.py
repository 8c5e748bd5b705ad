"""What the guard has to catch: were it blind, the attacks would prove nothing."""

import contextlib
import os
import pickle
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.attacks.guard import MARKER, Case
from tests.attacks.sources import ESCAPES, Bomb


def caught(name, act, what, *, seconds=5):
    return Case(f"control-{name}", lambda _, own: lambda: act(own), ("crashed",), what, seconds=seconds)


def connect(_):
    with socket.socket() as made:
        made.connect(("127.0.0.1", 9))


def hang(_):
    while True:
        time.sleep(0.01)


def fill_memory(_):
    bytearray(2**40)


def hide(own):
    """An act whose error is not let through is told all the same."""
    with contextlib.suppress(Exception):
        os.system("true")


def show(_):
    sys.stdout.write(ESCAPES)


CASES = [
    caught("system", lambda _: os.system("true"), "starts a program: os.system"),
    caught("subprocess", lambda _: subprocess.run([sys.executable, "-c", "1"], check=False), "starts a program"),
    caught("fork", lambda _: os.fork(), "starts a program: os.fork"),
    caught("socket", connect, "talks to the network: socket"),
    caught("name", lambda _: socket.getaddrinfo("localhost", 80), "talks to the network"),
    caught("pickle", lambda _: pickle.loads(pickle.dumps(Bomb())), "unpickles"),
    caught("exec", lambda _: exec(f"import {MARKER}"), "compiles text of the input"),  # noqa: S102  # what has to be caught
    caught("eval", lambda _: eval(f"__import__('{MARKER}') or {MARKER}"), "compiles text of the input"),
    caught("import", lambda _: __import__(MARKER), f"imports {MARKER}"),
    caught("write", lambda own: (own / "elsewhere").write_text("x"), "writes elsewhere: open"),
    caught("home", lambda _: (Path.home() / ".hepnn-attack").write_text("x"), "writes elsewhere: open"),
    caught("rename", lambda own: (own / "out").rename(own / "elsewhere"), "writes elsewhere: os.rename"),
    caught("remove", lambda own: (own.parent / "given" / "jets.root").unlink(), "writes elsewhere: os.remove"),
    caught("memory", fill_memory, "MemoryError"),
    caught("hang", hang, "Hang", seconds=1),
    Case("control-hidden", lambda _, own: lambda: hide(own), ("done",)),
    Case("control-shown", lambda _, own: lambda: show(own), ("done",)),
]


def prepare():
    """Nothing to import."""
