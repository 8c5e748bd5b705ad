"""Files of Keras run no code: hepnn opens none, and the Keras that it asks for refuses what would."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.attacks import keras_models
from tests.attacks.test_attacks import check

KERAS = "3.15.1"
"""The first release whose safe mode refuses all of `keras_models`."""


@pytest.fixture(scope="module")
def outcomes(watched):
    return watched(keras_models)


@pytest.mark.parametrize("case", keras_models.CASES, ids=lambda case: case.name)
def test_an_attack_with_a_file_of_keras_is_refused(outcomes, case):
    check(outcomes[case.name], case)


def test_the_releases_that_hepnn_asks_for_are_those_that_refuse_code():
    lines = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    required = {r.name: r.specifier for r in map(Requirement, tomllib.loads(lines)["project"]["dependencies"])}
    for name, first, before in (
        ("keras", KERAS, "3.15.0"),
        ("uproot", "5.7.5", "5.7.4"),
        ("onnxruntime", "1.24", "1.23.2"),
    ):
        assert required[name].contains(first), name
        assert not required[name].contains(before), name
        assert re.search(rf'"{name}>=.*#.*(older|release)', lines), f"why {name} has its pin"
