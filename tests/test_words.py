"""The command line and Python use the same words for the same things, with the same defaults."""

import inspect

import click
import pytest

import hepnn
from hepnn import (
    converting,
    demo,
    evaluation,
    generators,
    image_plots,
    inspection,
    plugins,
    readers,
    tagging,
    throughput,
)
from hepnn.cli import cli
from hepnn.cli.options import names
from hepnn.doctor import examine
from hepnn.onnx_export import write_onnx
from hepnn.tasks import Task

READING = {"files", "schema", "tree", "select", "bad_files"}
"""What `hepnn.open_jets` takes; tests hold these options against it once."""

PAIRS = {
    "train": (
        hepnn.Tagger,
        READING | {"output", "overwrite", "weight", "flatten", "validation", "max_jets", "logs", "resume"},
    ),
    "tag": (tagging.tag, READING | {"tagger_folder", "custom", "observers", "precision"}),
    "merge": (tagging.merge, set()),
    "evaluate": (
        evaluation.evaluate,
        READING
        | {
            "taggers",
            "precision",
            "friends",
            "custom",
            "fractions",
            "weight",
            "against",
            "mass",
            "working_points",
            "bins",
            "insight",
            "others",
            "correctionlib",
            "workers",
            "client",
        }
        | {"max_jets", "output", "overwrite"},
    ),
    "export": (write_onnx, {"tagger_folder", "custom"}),
    "bench": (throughput.bench, READING | {"tagger_folder", "custom"}),
    "convert": (converting.convert, READING | {"observers"}),
    "inspect": (inspection.inspect, {"file", "write_schema"}),
    "plugins": (plugins.check_plugins, set()),
    "demo": (demo.run_demo, {"output"}),
    "doctor": (examine, set()),
    "plot images": (
        image_plots.plot_overview,
        READING | {"output", "overwrite", "representation", "representation_options", "max_jets"},
    ),
    "generate toy": (generators.generate_toy, {"output"}),
    "generate quark-gluon": (generators.generate_quark_gluon, {"output"}),
    "generate showers": (generators.generate_showers, {"output"}),
    "task run": (Task.run, {"names", "output"}),
    "task report": (Task.run, {"output"}),
}
"""The function behind each command, and the options that are not among its arguments: what is read, where it goes."""

EVERYWHERE = {"as_json", "help"}


def leaves(command, path=""):
    """The commands that do something, by the words that call them."""
    if not isinstance(command, click.Group):
        return {path: command}
    found = {}
    for name, part in command.commands.items():
        found |= leaves(part, f"{path} {name}".strip())
    return found


COMMANDS = leaves(cli)


def options_of(path):
    return {option.name: option for option in COMMANDS[path].params if option.name not in EVERYWHERE}


def same(default, of_function):
    """Whether an option's default means the same as an argument's: lists are texts with commas on the command line."""
    if of_function is inspect.Parameter.empty or default in (None, (), False):
        return of_function in (inspect.Parameter.empty, None, (), False)
    if isinstance(of_function, tuple):
        return (names(default) if isinstance(default, str) else tuple(default)) == of_function
    return default == of_function


def test_every_command_is_compared():
    assert set(COMMANDS) == {*PAIRS, "task list"}


@pytest.mark.parametrize("path", PAIRS)
def test_an_option_is_an_argument_of_the_same_name_and_default(path):
    function, others = PAIRS[path]
    arguments = inspect.signature(function).parameters
    for name, option in options_of(path).items():
        if name in others:
            continue
        assert name in arguments, f"{name} of {path} is no argument of {function.__name__}"
        default = None if option.required else option.to_info_dict()["default"]
        assert same(default, arguments[name].default), f"{path} --{name}: {default!r}, {arguments[name].default!r}"


def test_what_is_read_is_said_as_in_python():
    arguments = inspect.signature(readers.open_jets).parameters
    for path in ("train", "tag", "evaluate", "convert", "bench"):
        options = options_of(path)
        assert options.keys() >= READING
        for name in READING - {"files", "schema"}:
            assert same(options[name].to_info_dict()["default"], arguments[name].default)


def test_precision_is_an_argument_of_load():
    default = inspect.signature(hepnn.Tagger.load).parameters["precision"].default
    for path in ("tag", "evaluate"):
        assert same(options_of(path)["precision"].to_info_dict()["default"], default)


def test_every_option_has_a_help():
    for path, command in COMMANDS.items():
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.help, f"{path} {option.name}"
                assert option.help.endswith((".", "]")), f"{path} {option.name}: {option.help}"
