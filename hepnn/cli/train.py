"""``hepnn train``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from hepnn import defaults
from hepnn.cli.options import (
    Reading,
    bins_of,
    json_option,
    names,
    option_value,
    overwrite_option,
    reading_options,
    report_skipped,
    show,
)
from hepnn.errors import InputError, OutputError

__all__ = ["train"]


@click.command()
@reading_options
@click.option("-o", "--output", required=True, metavar="FOLDER", help="Where the tagger goes.")
@click.option(
    "--model",
    default=defaults.MODEL,
    show_default=True,
    metavar="NAME",
    help="gru, lstm, deepsets, cnn2d, resnet2d, cnn3d, convlstm, or package.module:function.",
)
@click.option(
    "--option",
    "model_options",
    multiple=True,
    metavar="NAME=VALUE",
    help="Option of the model, such as units=64,64 or bidirectional=true.",
)
@click.option(
    "--representation",
    default=defaults.REPRESENTATION,
    show_default=True,
    metavar="NAME",
    help="What the model sees: cloud, jet-image, calo-image; auto is what it takes of such jets.",
)
@click.option(
    "--representation-option",
    "representation_options",
    multiple=True,
    metavar="NAME=VALUE",
    help="Option of an image, such as size=25 or channels=pt,charged_pt.",
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
    default=defaults.AUGMENT,
    show_default=True,
    metavar="NAMES",
    help="How training jets are varied, by comma; auto as suits what the model sees, '' for not at all.",
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
@click.option(
    "--calibrate",
    is_flag=True,
    help="Set the temperature of the probabilities with the jets that choose the best epoch.",
)
@click.option(
    "--flatten",
    metavar="FIELD:NUMBER,...",
    help='Weight jets so that each class is flat in so many bins, such as "pt:10,mass:10".',
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
@click.option("--start-from", metavar="FOLDER", help="Tagger to start from: its layers before the head are taken over.")
@click.option("--freeze", type=click.Choice(["features"]), help="Keep the layers that were taken over as they are.")
@click.option(
    "--distribute",
    type=click.Choice(["mirrored", "multi-worker"]),
    help="Share each batch out among all GPUs of the machine, or among the processes that TF_CONFIG names, each of which "
    "is started with the same command. [default: one]",
)
@click.option("--mixed-precision", is_flag=True, help="Train with half as many bits, which GPUs do faster.")
@click.option("--resume", is_flag=True, help="Go on with a training that was interrupted.")
@overwrite_option
@json_option
def train(  # one argument an option
    reading: Reading,
    output: str,
    model: str,
    model_options: tuple[str, ...],
    representation: str,
    representation_options: tuple[str, ...],
    features: str,
    jet_features: str,
    max_particles: int,
    scaling: str,
    augment: str,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    patience: int,
    calibrate: bool,
    flatten: str | None,
    class_weight: str | None,
    weight: str | None,
    validation: tuple[str, ...],
    max_jets: int | None,
    seed: int,
    logs: str | None,
    start_from: str | None,
    freeze: str | None,
    distribute: str | None,
    mixed_precision: bool,
    resume: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Train a tagger on labelled jets; on a folder from `hepnn convert`, with a part of it in memory at a time.

    Example: hepnn train "train/*.root" --schema jetclass --model gru -o tagger/

    Example with images: hepnn train jets.root --model cnn2d --representation-option channels=pt,count -o tagger/

    Example with calorimeter cells in three dimensions: hepnn train showers.root --model cnn3d -o tagger/

    Example on two machines, on each of which TF_CONFIG is set: hepnn train jets.root --distribute multi-worker -o tagger/
    """
    import awkward as ak

    from hepnn.features import JET_FEATURES, resolve_features
    from hepnn.flattening import flat_weights
    from hepnn.history import EPOCH_TABLE
    from hepnn.models import check_model_name
    from hepnn.progress import epoch_lines, load_tensorflow, say
    from hepnn.settings import check_settings
    from hepnn.shards import Shards
    from hepnn.staging import named, refuse_existing, remove_stale
    from hepnn.storage import check_target
    from hepnn.tagger import Tagger
    from hepnn.workers import join, worker_of

    worker = worker_of() if distribute == "multi-worker" else None
    writes = worker is None or worker.is_chief
    folder = named(output)
    check_target(folder, overwrite=overwrite)
    checkpoint = folder.with_name(f".{folder.name}.checkpoint")
    if checkpoint.exists() and not (resume or overwrite):
        raise OutputError(
            f"a training of {output} was interrupted; {checkpoint} has its state. Go on with --resume, or discard it "
            "with --overwrite."
        )
    if logs is not None:
        refuse_existing(Path(logs) / EPOCH_TABLE, overwrite=overwrite or resume)
    tagger = Tagger(
        model,
        model_options=dict(map(option_value, model_options)) or None,
        representation=representation,
        representation_options=dict(map(option_value, representation_options)) or None,
        features=features if features == "auto" else names(features),
        jet_features=names(jet_features),
        max_particles=max_particles,
        scaling=scaling,
        augment=augment if augment == "auto" else names(augment),
        class_weight=class_weight,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        patience=patience,
        calibrate=calibrate,
        seed=seed,
        start_from=start_from,
        freeze=freeze,
        distribute=distribute,
        mixed_precision=mixed_precision,
    )
    check_settings(tagger.get_params(deep=False))  # all that can be seen before files are read, which takes its time
    check_model_name(model)
    if tagger.features != "auto":
        resolve_features(tagger.features)
    resolve_features(tagger.jet_features, JET_FEATURES)
    jets, schema, skipped = _jets(reading, max_jets=max_jets)
    tagger.schema = schema
    n_jets = jets.n_jets if isinstance(jets, Shards) else len(jets)
    held_out = None
    if validation:
        beside = reading._replace(files=validation).open(schema=schema)
        held_out = beside.read()
        skipped += beside.skipped
    say(f"{n_jets} jets, schema {schema.name}")
    weights: Any = weight
    if weight is not None and not isinstance(jets, Shards):
        if weight not in jets.fields:
            raise InputError(f"asked for weights in the field {weight!r}; found only {', '.join(jets.fields)}.")
        weights = ak.to_numpy(jets[weight])
    if flatten is not None:
        if isinstance(jets, Shards):
            raise InputError(
                "asked for --flatten on shards; give it where the jets are in memory, or weights as a field."
            )
        weights = flat_weights(jets, bins_of(flatten), sample_weight=weights)
    if writes and not resume:
        checkpoint.unlink(missing_ok=True)
    if worker is not None:
        say(f"{worker}: waiting for all to come")
    load_tensorflow(first=None if worker is None else join)
    from hepnn.epoch_table import log_callbacks

    try:
        with epoch_lines(epochs) as lines:
            tagger.fit(
                jets,
                sample_weight=weights,
                validation=held_out,
                checkpoint=checkpoint,
                callbacks=[lines, *log_callbacks(logs)] if writes else [],
            )
        if writes:
            tagger.save(folder, overwrite=overwrite)
    except (KeyboardInterrupt, SystemExit, OutputError) as error:
        if checkpoint.exists():
            error.add_note(f"The state after the last whole epoch is in {checkpoint}; go on with --resume.")
        raise
    if worker is not None and not writes:
        say(f"{worker} is done and writes nothing: the tagger is written by the first, at {worker.addresses[0]}")
        return
    checkpoint.unlink(missing_ok=True)
    remove_stale(checkpoint.parent, checkpoint.name)
    trained = tagger.training_
    best = {name: values[trained.best_epoch] for name, values in trained.history.items()}
    result = {
        "tagger": str(folder),
        "classes": tagger.classes_.tolist(),
        "n_jets": n_jets,
        "n_truncated": tagger.n_truncated_,
        "left_out": tagger.left_out_,
        "best_epoch": trained.best_epoch + 1,
        "epochs": len(trained.history["loss"]),
        "seconds": trained.seconds,
        "padding": trained.padding,
        "parameters": tagger.model_.count_params(),
        **best,
    }
    if as_json:
        click.echo(json.dumps(result))
        report_skipped(skipped)
        return
    show(
        f"{folder}: {model}, {result['parameters']} parameters, classes {', '.join(map(str, tagger.classes_))}\n"
        f"best of {result['epochs']} epochs: {result['best_epoch']}, validation AUC {best['val_auc']:.4f}, "
        f"accuracy {best['val_accuracy']:.4f}; {trained.seconds:.0f} s, "
        f"{trained.seconds / result['epochs']:.1f} s an epoch; {trained.padding:.0%} of what was computed was padding"
        + (f"\nstarted from {start_from}: {', '.join(tagger.origin_.layers)}" if tagger.origin_ else "")
        + (f"\n{tagger.left_out_}" if tagger.left_out_ else "")
    )
    report_skipped(skipped)


def _jets(reading: Reading, *, max_jets: int | None) -> tuple[Any, Any, list[Any]]:
    """The jets or shards to train on, their schema, and the files that were skipped."""
    from hepnn.jets import labels_of
    from hepnn.shards import Shards, is_shards

    if not is_shards(reading.files):
        source = reading.open()
        jets = source.read(max_jets=max_jets)
        if max_jets is not None and len(source.plan.tables) > 1 and len(set(labels_of(jets).tolist())) < 2:
            raise InputError(
                f"asked to train on the first {max_jets} jets of {len(source.plan.tables)} files; they are all of one class. "
                "Leave --max-jets out, or give it more than the first file has."
            )
        return jets, source.schema, list(source.skipped)
    if any(each is not None for each in (reading.schema, reading.tree, reading.select, max_jets)):
        raise InputError(
            f"asked to train on a part of the shards in {reading.files[0]}; they are taken whole. Give --schema, --tree "
            "and --select to hepnn convert, and leave --max-jets out."
        )
    shards = Shards.open(reading.files[0])
    return shards, shards.schema, []
