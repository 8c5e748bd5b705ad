"""The command line: ``hepnn train | tag | evaluate | generate | demo``.

Each command is a thin face of a Python function and uses its words and defaults. Results go to stdout (``--json`` for
machines), progress to stderr. An error of `hepnn.errors` becomes one message and its class's exit code; nothing here
loads TensorFlow before a command that needs it runs.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from hepnn import __version__, defaults
from hepnn.errors import HepnnError, InputError, OutputError

__all__ = ["cli", "main"]

F = Callable[..., Any]

_SKIPPED = 9
"""Exit code of a job that is done but for files that were skipped."""

_INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells give it (128 + SIGINT)."""


def main() -> None:
    """Runs the command line and exits with its code."""
    try:
        code = cli.main(prog_name="hepnn", standalone_mode=False)
    except HepnnError as error:
        click.secho("error: ", fg="red", bold=True, nl=False, err=True)
        click.echo(str(error), err=True)
        for note in getattr(error, "__notes__", ()):
            click.echo(note, err=True)
        code = error.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        code = _INTERRUPTED
    sys.exit(code if isinstance(code, int) else 0)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="hepnn")
def cli() -> None:
    """Tag jets from ROOT files with convolutional and recurrent networks.

    FILES are ROOT, Parquet, HDF5 or npz files: `jets.root`, `jets.root:tree`, a glob in quotes, a folder, a URL, or
    several of these.

    Exit codes: 0 done; 2 wrong arguments or jets; 3 unreadable source; 4 schema; 5 feature; 6 tagger; 7 output; 8
    missing package; 9 done, but files were skipped; 130 interrupted.
    """


def _report_skipped(skipped: Sequence[Any]) -> None:
    """Lists the files that were left out and ends the program with the code for that; does nothing if there are none."""
    if not skipped:
        return
    click.echo(f"{len(skipped)} files were skipped:", err=True)
    for each in skipped:
        click.echo(f"  {each.file}: {each.reason}", err=True)
    raise click.exceptions.Exit(_SKIPPED)


def _files(command: F) -> F:
    command = click.argument("files", nargs=-1, required=True, metavar="FILES...")(command)
    command = click.option(
        "--bad-files",
        type=click.Choice(["fail", "skip"]),
        default="fail",
        show_default=True,
        help="Stop at a damaged file, or leave it out, list it at the end and exit with code 9.",
    )(command)
    command = click.option(
        "--select", metavar="FORMULA", help='Only jets that pass, such as "pt > 500 & abs(eta) < 2".'
    )(command)
    command = click.option("--tree", metavar="NAME", help="Tree to read, where a file has several.")(command)
    return click.option(
        "--schema",
        metavar="NAME|TOML",
        help="How the files spell jets: a built-in schema or your own file. [default: the tagger's, else found "
        "from the branches]",
    )(command)


def _tagger_option(command: F) -> F:
    command = click.option(
        "--custom",
        multiple=True,
        metavar="MODULE:FUNCTION",
        help="Function of your own that the tagger was made with, for a feature or the model.",
    )(command)
    return click.option(
        "--tagger", "tagger_folder", required=True, metavar="FOLDER", help="Tagger written by `hepnn train`."
    )(command)


def _force(command: F) -> F:
    return click.option("--force", is_flag=True, help="Overwrite the output if it exists.")(command)


def _as_json(command: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")(command)


def _import(path: str) -> Callable[..., Any]:
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(
            f"asked for the function {path!r}; {error}. Write package.module:function, and set PYTHONPATH to its "
            "folder if it is not installed."
        ) from error


def _load(folder: str, custom: tuple[str, ...]) -> Any:
    from hepnn.progress import load_tensorflow
    from hepnn.tagger import Tagger

    tagger = Tagger.load(folder, custom=[_import(path) for path in custom])
    load_tensorflow()
    return tagger


def _option_value(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"asked for the model option {text!r}; write name=value, such as units=[64,64].")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


@cli.command()
@_files
@click.option("-o", "--output", required=True, metavar="FOLDER", help="Where the tagger goes.")
@click.option(
    "--model",
    default=defaults.MODEL,
    show_default=True,
    metavar="NAME",
    help="gru, lstm, deepsets, or package.module:function.",
)
@click.option(
    "--option",
    "model_options",
    multiple=True,
    metavar="NAME=VALUE",
    help="Option of the model, such as units=[64,64] or bidirectional=true.",
)
@click.option(
    "--features",
    default=defaults.FEATURES,
    show_default=True,
    metavar="NAMES",
    help="Particle features or sets of them, by comma; auto takes all the files provide.",
)
@click.option("--jet-features", default="", metavar="NAMES", help="Jet features, by comma.")
@click.option(
    "--max-particles",
    default=defaults.MAX_PARTICLES,
    show_default=True,
    help="Particles kept a jet, the hardest.",
)
@click.option(
    "--scaling",
    type=click.Choice(["fixed", "fitted"]),
    default=defaults.SCALING,
    show_default=True,
    help="Published scaling of the features, or medians and widths of the training jets.",
)
@click.option(
    "--augment",
    default=",".join(defaults.AUGMENT),
    show_default=True,
    metavar="NAMES",
    help="How training jets are varied, by comma; '' for not at all.",
)
@click.option("--epochs", default=defaults.EPOCHS, show_default=True, help="Most epochs.")
@click.option("--batch-size", default=defaults.BATCH_SIZE, show_default=True, help="Jets a batch.")
@click.option("--learning-rate", default=defaults.LEARNING_RATE, show_default=True, help="Its peak.")
@click.option(
    "--patience",
    default=defaults.PATIENCE,
    show_default=True,
    help="Stop after so many epochs without a better validation AUC.",
)
@click.option("--class-weight", type=click.Choice(["balanced"]), help="Let each class count the same.")
@click.option("--weight", metavar="FIELD", help="Jet field that holds sample weights.")
@click.option(
    "--validation",
    multiple=True,
    metavar="FILES",
    help="Files that choose the best epoch. [default: a tenth of FILES]",
)
@click.option("--max-jets", type=int, help="Read only so many jets.")
@click.option("--seed", default=defaults.SEED, show_default=True, help="The same seed gives the same tagger.")
@click.option(
    "--logs",
    metavar="FOLDER",
    help="Write epochs.csv there, and TensorBoard events if hepnn[tensorboard] is installed.",
)
@click.option("--resume", is_flag=True, help="Go on with a training that was interrupted.")
@_force
@_as_json
def train(  # one argument an option
    files: tuple[str, ...],
    schema: str | None,
    tree: str | None,
    select: str | None,
    bad_files: Any,
    output: str,
    model: str,
    model_options: tuple[str, ...],
    features: str,
    jet_features: str,
    max_particles: int,
    scaling: str,
    augment: str,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    patience: int,
    class_weight: str | None,
    weight: str | None,
    validation: tuple[str, ...],
    max_jets: int | None,
    seed: int,
    logs: str | None,
    resume: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Train a tagger on labelled jets.

    Example: hepnn train "train/*.root" --schema jetclass --model gru -o tagger/
    """
    import awkward as ak

    from hepnn.progress import console, epoch_lines, load_tensorflow
    from hepnn.readers import read_jets, schema_of
    from hepnn.tagger import Tagger

    folder = Path(output)
    if folder.exists() and not force:
        raise OutputError(f"asked to write a tagger to {output}, which exists. Choose another name, or add --force.")
    checkpoint = folder.with_name(f"{folder.name}.checkpoint.npz")
    if checkpoint.exists() and not resume:
        checkpoint.unlink()
    used = schema_of(list(files), schema=schema or "auto", tree=tree)
    skipped: list[Any] = []
    reading: dict[str, Any] = {
        "schema": used,
        "tree": tree,
        "select": select,
        "bad_files": bad_files,
        "skipped": skipped,
    }
    jets = read_jets(list(files), max_jets=max_jets, **reading)
    held_out = read_jets(list(validation), **reading) if validation else None
    console.print(f"{len(jets)} jets, schema {used.name}", highlight=False)
    if weight is not None and weight not in jets.fields:
        raise InputError(f"asked for weights in the field {weight!r}; found only {', '.join(jets.fields)}.")
    tagger = Tagger(
        model,
        model_options=dict(map(_option_value, model_options)) or None,
        features=features if features == "auto" else _names(features),
        jet_features=_names(jet_features),
        max_particles=max_particles,
        scaling=scaling,
        augment=_names(augment),
        class_weight=class_weight,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        patience=patience,
        seed=seed,
        schema=used,
    )
    load_tensorflow()
    from hepnn.training import log_callbacks

    tagger.fit(
        jets,
        sample_weight=None if weight is None else ak.to_numpy(jets[weight]),
        validation=held_out,
        checkpoint=checkpoint,
        callbacks=[epoch_lines(epochs), *log_callbacks(logs)],
    )
    tagger.save(folder, overwrite=force)
    checkpoint.unlink(missing_ok=True)
    trained = tagger.training_
    best = {name: values[trained.best_epoch] for name, values in trained.history.items()}
    result = {
        "tagger": str(folder),
        "classes": tagger.classes_.tolist(),
        "n_jets": len(jets),
        "n_truncated": tagger.n_truncated_,
        "best_epoch": trained.best_epoch + 1,
        "epochs": len(trained.history["loss"]),
        "seconds": trained.seconds,
        "padding": trained.padding,
        "parameters": tagger.model_.count_params(),
        **best,
    }
    if as_json:
        click.echo(json.dumps(result))
        _report_skipped(skipped)
        return
    cut = sum(tagger.n_truncated_.values())
    click.echo(
        f"{folder}: {model}, {result['parameters']} parameters, classes {', '.join(map(str, tagger.classes_))}\n"
        f"best of {result['epochs']} epochs: {result['best_epoch']}, validation AUC {best['val_auc']:.4f}, "
        f"accuracy {best['val_accuracy']:.4f}; {trained.seconds:.0f} s"
        + (f"\n{cut} of {len(jets)} jets were cut to {max_particles} particles" if cut else "")
    )
    _report_skipped(skipped)


@cli.command()
@_files
@_tagger_option
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE|FOLDER/",
    help="One *.root or *.parquet file for all scores, or a folder for one file an input.",
)
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["ttree", "rntuple", "parquet"]),
    help="What to write. [default: what the output's name says, a TTree for *.root]",
)
@click.option("--output-tree", default=defaults.SCORE_TREE, show_default=True, help="Tree to write.")
@click.option("--prefix", help="Of the columns' names. [default: hepnn_, and Jet_hepnn_ for jets in events]")
@click.option("--observers", default="", metavar="NAMES", help="Branches to copy beside the scores, by comma.")
@_force
@_as_json
def tag(
    files: tuple[str, ...],
    schema: str | None,
    tree: str | None,
    select: str | None,
    bad_files: Any,
    tagger_folder: str,
    custom: tuple[str, ...],
    output: str,
    file_format: str | None,
    output_tree: str,
    prefix: str | None,
    observers: str,
    force: bool,
    as_json: bool,
) -> None:
    """Write the scores of jets to a file, one row an entry, in order: a friend of the input.

    Where an entry is an event, each row has a list. Jets that fail --select have NaN.

    Example: hepnn tag "data/*.root" --tagger tagger/ -o scores.root
    """
    from hepnn import tagging
    from hepnn.progress import counting

    tagger = _load(tagger_folder, custom)
    skipped: list[Any] = []
    with counting("tagging") as progress:
        done = tagging.tag(
            list(files),
            tagger,
            output,
            schema=schema,
            input_tree=tree,
            select=select,
            observers=_names(observers),
            tree=output_tree,
            prefix=prefix,
            file_format=file_format,
            overwrite=force,
            bad_files=bad_files,
            skipped=skipped,
            progress=progress,
        )
    if as_json:
        click.echo(json.dumps([{**each._asdict(), "path": str(each.path), "tree": output_tree} for each in done]))
    else:
        for each in done:
            click.echo(
                f"{each.path}:{output_tree}: {each.n_jets} jets in {each.n_entries} entries, {', '.join(each.columns)}"
            )
    _report_skipped(skipped)


@cli.command()
@_files
@_tagger_option
@click.option("--signal", metavar="CLASS", help="The class to find. [default: each but the background]")
@click.option("--background", metavar="CLASS", help="The class to reject. [default: the schema's]")
@click.option("--weight", metavar="FIELD", help="Jet field that holds event weights.")
@click.option("--max-jets", type=int, help="Read only so many jets.")
@click.option("-o", "--output", metavar="FILE", help="Write the ROC curves to this PNG, PDF or SVG.")
@_force
@_as_json
def evaluate(
    files: tuple[str, ...],
    schema: str | None,
    tree: str | None,
    select: str | None,
    bad_files: Any,
    tagger_folder: str,
    custom: tuple[str, ...],
    signal: str | None,
    background: str | None,
    weight: str | None,
    max_jets: int | None,
    output: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Judge a tagger on labelled jets: AUC and background rejection with statistical errors, ROC curves.

    Example: hepnn evaluate "test/*.root" --tagger tagger/ -o roc.png
    """
    from hepnn import evaluation, plots, tagging
    from hepnn.progress import counting
    from hepnn.report import evaluation_table, print_result

    if output and Path(output).exists() and not force:
        raise OutputError(f"asked to write {output}, which exists. Choose another name, or add --force.")
    tagger = _load(tagger_folder, custom)
    skipped: list[Any] = []
    with counting("scoring") as progress:
        scored = tagging.score(
            list(files),
            tagger,
            schema=schema,
            input_tree=tree,
            select=select,
            bad_files=bad_files,
            skipped=skipped,
            columns=[weight] if weight else [],
            max_jets=max_jets,
            progress=progress,
        )
    used = tagger.read_schema()
    if background is None and used is not None and used.background in tagger.classes_:
        background = used.background
    result = evaluation.evaluate(
        scored.labels,
        scored.probabilities,
        tuple(map(str, tagger.classes_)),
        signal=signal,
        background=background,
        weights=scored.columns[weight] if weight else None,
    )
    if output:
        curves = {f"{part.signal} against {part.background}": part.roc for part in result.separations}
        plots.save(plots.plot_roc(curves).figure, output)
    if as_json:
        click.echo(json.dumps(result.to_dict()))
    else:
        print_result(evaluation_table({tagger_folder: result}))
    _report_skipped(skipped)


@cli.group()
def generate() -> None:
    """Make jets: toys in seconds, or quark and gluon jets with Pythia."""


def _generator(command: F) -> F:
    command = click.option("--jets", "n_jets", default=100_000, show_default=True, help="How many.")(command)
    command = click.option("-o", "--output", required=True, metavar="FILE", help="ROOT file to write.")(command)
    return _force(command)


@generate.command("toy")
@_generator
@click.option("--seed", default=defaults.SEED, show_default=True, help="The same seed gives the same jets.")
@click.option("--classes", default="", metavar="NAMES", help="Classes to make, by comma. [default: all ten]")
def generate_toy_command(n_jets: int, output: str, force: bool, seed: int, classes: str) -> None:
    """Toy jets of ten classes, with the branches of the JetClass set. No physics simulation.

    Example: hepnn generate toy --jets 100000 -o toys.root
    """
    from hepnn.generators import generate_toy
    from hepnn.progress import counting

    with counting("generating") as progress:
        generate_toy(output, n_jets, seed=seed, classes=_names(classes) or None, overwrite=force, progress=progress)
    click.echo(f"{output}:tree: {n_jets} jets")


@generate.command("quark-gluon")
@_generator
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same jets.")
@click.option("--processes", type=int, help="Worker processes. [default: one a core]")
@click.option("--mantissa-bits", type=click.IntRange(1, 23), help="Round floats to so many bits, for small files.")
def generate_quark_gluon_command(
    n_jets: int, output: str, force: bool, seed: int, processes: int | None, mantissa_bits: int | None
) -> None:
    """Quark and gluon jets of 500 to 550 GeV, half and half, simulated with Pythia 8; needs hepnn[pythia].

    Example: hepnn generate quark-gluon --jets 10000 -o quark_gluon.root
    """
    from hepnn.generators import generate_quark_gluon
    from hepnn.progress import counting

    with counting("generating") as progress:
        generate_quark_gluon(
            output,
            n_jets,
            seed=seed,
            processes=processes,
            mantissa_bits=mantissa_bits,
            overwrite=force,
            progress=progress,
        )
    click.echo(f"{output}:tree: {n_jets} jets")


@cli.command()
@click.option("-o", "--output", default="hepnn-demo", show_default=True, metavar="FOLDER", help="Where results go.")
@click.option("--seed", default=defaults.SEED, show_default=True, help="Of the training.")
@_as_json
def demo(output: str, seed: int, as_json: bool) -> None:
    """Train, evaluate and apply a quark–gluon tagger on the bundled jets, beside boosted trees.

    Takes about two minutes. Files of an earlier demo in the folder are replaced.
    """
    from hepnn.demo import run_demo
    from hepnn.report import print_result

    result = run_demo(Path(output), seed=seed)
    if as_json:
        click.echo(json.dumps(result.to_dict()))
    else:
        print_result(result.table())
        click.echo(result.closing())
