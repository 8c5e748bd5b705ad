"""The shape of the package: nothing imports upward, public names exist, TensorFlow stays out until it is needed."""

import ast
import importlib
from pathlib import Path

import pytest

import hepnn

PACKAGE = Path(hepnn.__file__).parent

ORDER = [
    "errors",
    "plugins",
    "bundled cluster defaults graphs guarded history prefetch settings staging targets threads workers",
    "parts",
    "boxes kinematics pdg jets",
    "observables oddities",
    "expressions",
    "schema",
    "readers",
    "ranges shards",
    "converting",
    "columns",
    "trees",
    "writers",
    "generators",
    "formulas",
    "features",
    "scaling",
    "augmentation image_augmentation tensors",
    "batches checkpoints drift epoch_table",
    "clouds",
    "pixels",
    "image_representation",
    "alignment",
    "images",
    "calo_images",
    "representations",
    "layers recurrent_layers",
    "models",
    "detection",
    "transfer",
    "roc",
    "discriminants multiclass paired",
    "calibration",
    "training streaming",
    "temperature",
    "forests storage",
    "translation",
    "precision runtime",
    "onnx_export",
    "lessons",
    "trained",
    "tagger baseline",
    "evaluation working_points",
    "sculpting insight robustness",
    "plots friends inspection page",
    "image_plots evaluation_plots judging",
    "assessment flattening",
    "report cautions evaluation_pictures corrections",
    "evaluation_page",
    "score_rows",
    "score_files",
    "jobs coffea_tools",
    "tagging throughput",
    "progress",
    "tasks",
    "demo doctor",
    "cli",
    "__main__",
]
"""Modules of one line may not import each other; a module may import those of earlier lines."""

LEVEL = {module: level for level, line in enumerate(ORDER) for module in line.split()}


def module_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path):
    """Names of the modules directly under hepnn that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "hepnn":
            names = [f"hepnn.{alias.name}" for alias in node.names if not alias.name.startswith("__")]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        yield from (name.split(".")[1] for name in names if name.startswith("hepnn."))


FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py" or path.parent != PACKAGE)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_imports_upward(path):
    own = module_of(path)
    assert own in LEVEL, f"give {own} its place in ORDER"
    for name in imports(path):
        assert name == own or LEVEL[name] < LEVEL[own], f"{own} imports {name}"


def test_the_public_names_are_these():
    assert sorted(hepnn.__all__) == [
        "BoostedTrees",
        "HepnnError",
        "Schema",
        "Shards",
        "Tagger",
        "bench",
        "convert",
        "evaluate",
        "flat_weights",
        "generate_quark_gluon",
        "generate_showers",
        "generate_toy",
        "iterate_jets",
        "jets_of",
        "load_schema",
        "open_jets",
        "read_jets",
        "tag",
        "toy_jets",
        "write_scores",
    ]


@pytest.mark.parametrize("name", hepnn.__all__)
def test_every_public_name_is_there_and_documented(name):
    assert getattr(hepnn, name).__doc__


def test_an_unknown_public_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'read_jet'"):
        hepnn.read_jet  # noqa: B018


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_what_a_module_exports_is_there(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    module = importlib.import_module(".".join(part for part in parts if part != "__init__"))
    assert module.__doc__
    for name in module.__all__:
        assert hasattr(module, name), name
