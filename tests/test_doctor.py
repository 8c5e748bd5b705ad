"""The doctor says what is there, tries the product in small, and names what is broken."""

import json
import os
import socket
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

import hepnn
from hepnn import doctor
from hepnn.cli import cli
from hepnn.doctor import examine, render
from hepnn.errors import HepnnError


@pytest.fixture(scope="module")
def found():
    return examine()


def shown(found):
    console = Console(width=200, record=True, file=open(os.devnull, "w"))  # noqa: PTH123, SIM115
    console.print(render(found))
    console.file.close()
    return console.export_text()


def test_every_self_test_passes_here(found):
    assert found.passed, found.checks
    assert [check.name for check in found.checks] == list(doctor.CHECKS)


def test_versions_and_extras_are_those_that_are_installed(found):
    assert found.versions["numpy"] == np.__version__
    assert found.versions["python"] == sys.version.split()[0]
    assert {"parquet", "xrootd", "pythia"} <= set(found.extras)
    installed = {each.metadata["Name"].lower() for each in metadata.distributions()}
    assert ("fsspec-xrootd" in installed) == (found.extras["xrootd"] == [])


def test_what_is_to_be_pasted_names_no_user_host_or_path(found):
    text = shown(found) + json.dumps(found.to_dict())
    for private in (str(Path.home()), str(Path.cwd()), socket.gethostname()):
        assert len(private) < 3 or private not in text


def test_the_tables_show_extras_and_checks(found):
    text = shown(found)
    assert "hepnn[parquet]" in text
    assert all(check.name in text and check.found in text for check in found.checks)


def test_variables_that_change_numbers_are_told(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert doctor._machine()["OMP_NUM_THREADS"] == "3"
    assert "scores on 3" in doctor._machine()["cores"]


def broken():
    raise HepnnError("asked for [this]; found that.")


def test_a_broken_part_is_named_and_the_command_fails(monkeypatch):
    monkeypatch.setattr(doctor, "CHECKS", {"matrix product": doctor._matrix_product, "scoring": broken})
    result = CliRunner().invoke(cli, ["doctor", "--json"])
    assert result.exit_code == 12
    checks = {check["name"]: check for check in json.loads(result.stdout)["checks"]}
    assert checks["matrix product"]["passed"]
    assert not checks["scoring"]["passed"]
    assert checks["scoring"]["found"] == "HepnnError: asked for [this]; found that."
    assert "asked for [this]" in CliRunner().invoke(cli, ["doctor"]).stdout


@pytest.mark.parametrize("off", [1e6, np.nan])
def test_a_wrong_product_is_refused(off):
    with pytest.raises(HepnnError, match="is right"):
        doctor._within(off, 1_000, "greatest difference {:.0f} ε")


def test_python_m_hepnn_is_the_command_line():
    done = subprocess.run([sys.executable, "-m", "hepnn", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"hepnn, version {hepnn.__version__}\n"
