"""The doctor: what hepnn runs on, and whether it works here.

`examine` returns an `Examination`, a plain record: versions, the machine, which extras are installed, and self-tests that
do in small what a user does in large. It is what to paste into a bug report, and holds no user or host names and no
paths. This is what ``hepnn doctor`` prints.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
from packaging.requirements import Requirement
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hepnn import __version__
from hepnn.errors import HepnnError
from hepnn.generators import generate_toy, toy_jets
from hepnn.readers import read_jets
from hepnn.tagger import Tagger
from hepnn.tagging import tag
from hepnn.threads import default_threads

__all__ = ["CHECKS", "Check", "Examination", "examine", "render"]

_VARIABLES = (
    "CUDA_VISIBLE_DEVICES",
    "HEPNN_THREADS",
    "KERAS_BACKEND",
    "OMP_NUM_THREADS",
    "OPENBLAS_CORETYPE",
    "TF_ENABLE_ONEDNN_OPTS",
    "XLA_FLAGS",
)
"""Environment variables that change numbers or speed."""

_N_JETS = 300
"""Jets of a self-test."""
_TOLERANCE = 1e-5
"""Greatest difference of two ways to the same score."""


class Check(NamedTuple):
    """A self-test.

    Attributes:
        name: what was tried.
        passed: whether it did what it should.
        found: what came out, or the error.
        seconds: wall time.
    """

    name: str
    passed: bool
    found: str
    seconds: float


class Examination(NamedTuple):
    """What was found.

    Attributes:
        versions: of Python, hepnn and what it needs, by name.
        machine: facts by name: system, processor, threads, memory, GPUs, environment variables.
        extras: by extra, the packages it lacks; empty if it is installed.
        checks: the self-tests.
    """

    versions: dict[str, str]
    machine: dict[str, str]
    extras: dict[str, list[str]]
    checks: list[Check]

    @property
    def passed(self) -> bool:
        """Whether every self-test did what it should."""
        return all(check.passed for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """Returns what JSON can hold."""
        return {**self._asdict(), "checks": [check._asdict() for check in self.checks], "passed": self.passed}


def examine() -> Examination:
    """Returns what hepnn runs on and whether it works here; takes about half a minute, most of it TensorFlow's start."""
    needed, extras = _requirements()
    versions = {"python": platform.python_version(), "hepnn": __version__}
    versions |= {name: _version(name) or "missing" for name in needed}
    checks = [_tried(name, check) for name, check in CHECKS.items()]
    lacking = {extra: [name for name in names if _version(name) is None] for extra, names in extras.items()}
    return Examination(versions, _machine(), lacking, checks)


def _requirements() -> tuple[list[str], dict[str, list[str]]]:
    """What hepnn always needs, and what each of its extras needs."""
    needed: list[str] = []
    extras: dict[str, list[str]] = {name: [] for name in metadata.metadata("hepnn").get_all("Provides-Extra") or ()}
    for requirement in map(Requirement, metadata.requires("hepnn") or ()):
        if requirement.marker is None:
            needed.append(requirement.name)
            continue
        for extra, names in extras.items():
            if requirement.marker.evaluate({"extra": extra}):
                names.append(requirement.name)
    return sorted(needed), dict(sorted(extras.items()))


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _machine() -> dict[str, str]:
    facts = {
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "processor": _processor(),
        "cores": f"{os.cpu_count()}, of which hepnn scores on {default_threads()}",
        "GPUs": _gpus(),
    }
    if hasattr(os, "sysconf"):  # not on Windows
        facts["memory"] = f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB"
    return facts | {name: os.environ[name] for name in _VARIABLES if name in os.environ}


def _processor() -> str:
    """The processor's name; on Linux Python itself does not tell it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def _gpus() -> str:
    try:
        import tensorflow
    except ImportError as error:
        return f"unknown: TensorFlow cannot be imported ({error})"
    found = [
        tensorflow.config.experimental.get_device_details(device).get("device_name", device.name)
        for device in tensorflow.config.list_physical_devices("GPU")
    ]
    return ", ".join(found) or "none that TensorFlow can use"


def _tried(name: str, check: Callable[[], str]) -> Check:
    start = time.perf_counter()
    try:
        found, passed = check(), True
    except Exception as error:  # noqa: BLE001 whatever goes wrong is the finding
        found, passed = f"{type(error).__name__}: {error}", False
    return Check(name, passed, found, time.perf_counter() - start)


def _matrix_product() -> str:
    """Products by the linear algebra library against sums without it: some builds compute wrong on some processors."""
    rng = np.random.default_rng(0)
    worst = 0.0
    for dtype in (np.float32, np.float64):
        left: Any = rng.normal(size=(150, 200)).astype(dtype)
        right: Any = rng.normal(size=(200, 130)).astype(dtype)
        expected = (left[:, :, None].astype(np.float64) * right[None]).sum(axis=1)
        worst = max(worst, float(np.abs(left @ right - expected).max() / np.finfo(dtype).eps))
    # rounding: √200 additions of products of size 1 are off by some 30 ε, one wrong element by 10⁶ ε or more
    return _within(worst, 1_000, "float32 and float64, greatest difference {:.0f} ε")


def _reading_and_writing() -> str:
    """Jets written to ROOT and read back, beside the same jets in memory."""
    with tempfile.TemporaryDirectory() as folder:
        path = generate_toy(Path(folder) / "toy.root", _N_JETS, seed=1)
        read, made = read_jets(path), toy_jets(_N_JETS, seed=1)
    if ak.any(ak.num(read.particles) != ak.num(made.particles)):
        raise HepnnError("asked for the jets that were written; found other numbers of particles.")
    off = float(ak.max(abs(read.particles.pt - made.particles.pt) / made.particles.pt))
    return _within(off, 1e-6, f"{_N_JETS} jets, greatest relative difference in pt {{:.1e}}")


def _training_and_tagging() -> str:
    """A network trained, saved, loaded and scored by ONNX Runtime into a file, beside Keras' own scores."""
    import uproot

    with tempfile.TemporaryDirectory() as folder:
        path = generate_toy(Path(folder) / "toy.root", _N_JETS, seed=1)
        jets = read_jets(path)
        tagger = Tagger("lstm", features=["kinematics"], epochs=1, augment=(), schema="jetclass").fit(jets)
        tag(path, Tagger.load(tagger.save(Path(folder) / "tagger")), Path(folder) / "scores.root")
        with uproot.open(Path(folder) / "scores.root") as file:
            (tree,) = (file[name] for name in file.keys(cycle=False, filter_classname="TTree"))
            columns = tree.arrays(library="np")
    from hepnn import training

    by_keras = training.predict(tagger.model_, tagger.tensors(jets))
    written = np.stack([_column(columns, str(name)) for name in tagger.classes_], axis=1)
    off = float(np.abs(written - by_keras).max())
    return _within(off, _TOLERANCE, "scores in a ROOT file, greatest difference from Keras {:.1e}")


def _column(columns: dict[str, Any], name: str) -> Any:
    (found,) = (values for column, values in columns.items() if column.endswith(f"_{name}") or column == name)
    return found


def _within(value: float, bound: float, said: str) -> str:
    if not value <= bound:  # NaN is not
        raise HepnnError(f"{said.format(value)}; at most {bound:g} is right.")
    return said.format(value)


CHECKS: dict[str, Callable[[], str]] = {
    "matrix product": _matrix_product,
    "write and read ROOT": _reading_and_writing,
    "train, save, load, tag": _training_and_tagging,
}
"""The self-tests: each returns what it found, or raises."""


def render(found: Examination) -> RenderableType:
    """Returns what was found as tables for the terminal."""
    about = Table(
        "what", "found", title=f"hepnn {__version__} on Python {sys.version.split()[0]}", title_justify="left"
    )
    for name, value in found.machine.items():
        about.add_row(name, value)
    about.add_section()
    for name, version in found.versions.items():
        about.add_row(name, version)
    about.add_section()
    for extra, lacking in found.extras.items():
        about.add_row(Text(f"hepnn[{extra}]"), f"lacks {', '.join(lacking)}" if lacking else "installed")
    checks = Table("self-test", "passed", "found", "time")
    for check in found.checks:
        passed = "yes" if check.passed else Text("NO", style="bold red")
        checks.add_row(check.name, passed, Text(check.found), f"{check.seconds:.1f} s")
    return Group(about, checks)
