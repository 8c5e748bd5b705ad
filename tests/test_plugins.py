"""What other packages add: found without being imported, used by name like what is built in."""

import json
import shutil
import sys
import tomllib
from pathlib import Path

import awkward as ak
import numpy as np
import pytest

from hepnn import Tagger, load_schema, read_jets
from hepnn.cli import cli
from hepnn.errors import DependencyError, FeatureError, HepnnWarning, InputError, SchemaError, TaggerError
from hepnn.models import resolve_model
from hepnn.plugins import check_plugins, plugin_names
from hepnn.schema import known_schemas
from hepnn.tasks import find_task
from hepnn.trees import TreeWriter
from tests.conftest import make_jets

EXAMPLE = Path(__file__).parent.parent / "examples" / "plugin_package"
MODULE = "hepnn_example_plugin"


def install(site, project, folder=None):
    """What pip does with a package of Python files and entry points."""
    name, version = project["name"], project["version"]
    about = site / f"{name.replace('-', '_')}-{version}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{key} = {value}" for key, value in points.items())]
    (about / "entry_points.txt").write_text("\n".join(lines))
    if folder is not None:
        shutil.copytree(folder, site / folder.name)


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder on Python's path, for packages; what is imported from it is forgotten at the end."""
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == MODULE]:
        del sys.modules[name]


@pytest.fixture
def example(site):
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    install(site, project, EXAMPLE / MODULE)
    return site


BROKEN = {
    "name": "broken-package",
    "version": "2.0",
    "entry-points": {f"hepnn.{kind}": {"broken": "no_such_module:thing"} for kind in
                     ("schemas", "features", "models", "tasks")},
}  # fmt: skip


def test_a_name_is_known_without_importing_the_package(example):
    assert plugin_names("models") == ("mean-of-particles",)
    assert plugin_names("features") == ("log_kt",)
    assert MODULE not in sys.modules


def test_a_schema_is_found_by_name_and_from_the_branches(example):
    jets = make_jets(20)
    of_particles = {"trkPt": jets.particles.pt * 1000, "trkEta": jets.particles.eta, "trkPhi": jets.particles.phi}
    content = {"jetPt": jets.pt.to_numpy() * 1000, "jetEta": jets.eta.to_numpy(), "jetPhi": jets.phi.to_numpy(),
               "jetM": np.full(20, 5000.0), "flavour": np.full(20, 5), **of_particles}  # fmt: skip
    with TreeWriter(example / "ntuple.root", tree="events") as out:
        out.extend(content)
    found = read_jets(example / "ntuple.root")
    np.testing.assert_allclose(found.pt, jets.pt)
    assert found.label.tolist() == ["bottom"] * 20
    assert load_schema("example-ntuple").name == "example-ntuple"


def test_a_feature_and_a_network_train_and_load_by_name(example, tmp_path):
    jets = make_jets(100)
    tagger = Tagger("mean-of-particles", features=["log_pt", "log_kt"], epochs=1, model_options={"width": 4}).fit(jets)
    folder = tagger.save(tmp_path / "tagger")
    loaded = Tagger.load(folder)
    np.testing.assert_array_equal(loaded.predict_proba(jets), tagger.predict_proba(jets))
    assert loaded.model_.count_params() == tagger.model_.count_params()
    sys.path.remove(str(example))
    with pytest.raises(TaggerError, match=r"has the model 'mean-of-particles', which is not hepnn's"):
        Tagger.load(folder)


def test_a_task_runs_and_is_measured(example):
    assert find_task("sum-of-numbers").run(quick=True).passed


def test_a_broken_one_is_named_and_does_not_stop_the_others(example):
    install(example, BROKEN)
    problems = {each.name: each.problem for each in check_plugins() if each.problem}
    assert list(problems) == ["broken"]
    assert "'broken' of tasks, which the package broken-package 2.0 adds" in problems["broken"]
    assert len([each for each in check_plugins() if not each.problem]) == 4
    with pytest.warns(HepnnWarning, match=r"schema 'broken' of a plug-in is left out: .*broken-package 2.0"):
        assert "example-ntuple" in [schema.name for schema in known_schemas()]
    for ask in (
        lambda: load_schema("broken"),
        lambda: resolve_model("broken"),
        lambda: find_task("broken"),
        lambda: Tagger(features=["broken"]).fit(make_jets(20)),
    ):
        with pytest.raises(
            DependencyError, match=r"No module named 'no_such_module'\). Update the package, or remove it"
        ):
            ask()


def test_names_that_nobody_adds_are_refused_with_those_that_are_near(example):
    with pytest.raises(InputError, match="closest: 'mean-of-particles'"):
        resolve_model("mean-of-particle")
    with pytest.raises(FeatureError, match=r"closest: .*'log_kt'"):
        Tagger(features=["log_ktt"]).fit(make_jets(20))
    with pytest.raises(SchemaError, match="closest: 'example-ntuple'"):
        load_schema("example-ntupl")
    with pytest.raises(InputError, match="closest: 'sum-of-numbers'"):
        find_task("sum-of-number")


def test_what_is_built_in_comes_first(site):
    install(site, {**BROKEN, "entry-points": {"hepnn.models": {"gru": "no_such_module:gru"},
                                              "hepnn.schemas": {"jetclass": "no_such_module:x"}}})  # fmt: skip
    assert resolve_model("gru").func.__module__ == "hepnn.models.recurrent"
    assert load_schema("jetclass").name == "jetclass"


def test_the_command_lists_them_with_what_is_wrong(example, capsys):
    install(example, BROKEN)
    cli.main(["plugins"], standalone_mode=False)
    out = capsys.readouterr().out
    assert (
        "model mean-of-particles: hepnn_example_plugin.networks:mean_of_particles, of hepnn-example-plugin 0.1.0" in out
    )
    assert "broken: asked for 'broken' of schemas" in out
    cli.main(["plugins", "--json"], standalone_mode=False)
    assert len(json.loads(capsys.readouterr().out)) == 8
    sys.path.remove(str(example))
    cli.main(["plugins"], standalone_mode=False)
    out = capsys.readouterr().out
    assert out.startswith("No installed package adds anything.")
    for word in ("hepnn.schemas, hepnn.features, hepnn.models, hepnn.tasks", "pip install ./examples/plugin_package"):
        assert word in out


def test_the_feature_of_the_example_is_the_transverse_momentum_to_the_axis(example):
    from hepnn_example_plugin.features import log_kt

    jets = make_jets(5)
    found = log_kt(jets.particles, jets)
    np.testing.assert_allclose(
        ak.flatten(found),
        np.log(np.maximum(ak.flatten(jets.particles.pt * jets.particles.deltaR(jets)), 1e-3)),
        rtol=1e-6,
    )
