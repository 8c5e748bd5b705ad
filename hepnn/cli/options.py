"""What several commands share: options, and what becomes of them."""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import click

from hepnn import defaults
from hepnn.errors import InputError
from hepnn.guarded import printable

__all__ = [
    "Reading",
    "bins_of",
    "cluster_options",
    "custom_option",
    "import_function",
    "json_option",
    "load_tagger",
    "names",
    "on_cluster",
    "option_value",
    "overwrite_option",
    "precision_option",
    "reading_options",
    "report_skipped",
    "report_tagged",
    "say_time",
    "show",
    "tagger_options",
]

F = Callable[..., Any]


_SKIPPED = 9
"""Exit code of a job that is done but for files that were skipped."""


class Reading(NamedTuple):
    """What the options say about what is read.

    Attributes:
        files: FILES.
        schema: --schema, or None.
        tree: --tree, or None.
        select: --select, or None.
        bad_files: --bad-files.
    """

    files: tuple[str, ...]
    schema: str | None
    tree: str | None
    select: str | None
    bad_files: Any

    def open(self, *, schema: Any = None, observers: Sequence[str] = ()) -> Any:
        """Returns the files, checked; with the schema given here if the options name none."""
        from hepnn.readers import open_jets

        return open_jets(
            self.files,
            schema=self.schema or schema or "auto",
            tree=self.tree,
            select=self.select,
            observers=observers,
            bad_files=self.bad_files,
        )


def reading_options(command: F) -> F:
    """Returns the command with what says what is read; it gets all of it as ``reading``, a `Reading`."""

    @functools.wraps(command)
    def with_reading(**options: Any) -> Any:
        return command(reading=Reading(*(options.pop(name) for name in Reading._fields)), **options)

    for parameter in (
        click.option(
            "--bad-files",
            type=click.Choice(["fail", "skip"]),
            default="fail",
            show_default=True,
            help="Stop at a damaged file, or leave it out, list it at the end and exit with code 9.",
        ),
        click.option("--select", metavar="FORMULA", help='Only jets that pass, such as "pt > 500 & abs(eta) < 2".'),
        click.option("--tree", metavar="NAME", help="Tree to read, where a file has several."),
        click.option(
            "--schema",
            metavar="NAME|TOML",
            help="How the files spell jets: a built-in schema or your own file. [default: the tagger's, else found "
            "from the branches]",
        ),
        click.argument("files", nargs=-1, required=True, metavar="FILES..."),
    ):
        with_reading = parameter(with_reading)
    return with_reading


def tagger_options(command: F) -> F:
    """Returns the command with --tagger and --custom."""
    return click.option(
        "--tagger", "tagger_folder", required=True, metavar="FOLDER", help="Tagger written by `hepnn train`."
    )(custom_option(command))


def custom_option(command: F) -> F:
    """Returns the command with --custom."""
    return click.option(
        "--custom",
        multiple=True,
        metavar="MODULE:FUNCTION",
        help="Function of your own that the tagger was made with, for a feature or the model.",
    )(command)


def cluster_options(command: F) -> F:
    """Returns the command with --workers and --dask."""
    for parameter in (
        click.option("--dask", "client", metavar="ADDRESS", help="Scheduler to give the work to, tcp://host:8786."),
        click.option("--workers", type=int, metavar="N", help="Start so many processes, each with one thread."),
    ):
        command = parameter(command)
    return command


@contextlib.contextmanager
def on_cluster(client: str | None, *, workers: int | None) -> Iterator[Any]:
    """Yields a client of Dask for what --dask and --workers say, closed at the end; None where they say nothing."""
    if client is None and workers is None:
        yield None
        return
    from hepnn.cluster import connected

    with connected(client, workers=workers) as opened:
        yield opened


def say_time(what: str, done: int, *, before: int, seconds: float) -> None:
    """Says how long something took, and how much of it was there before."""
    from hepnn.progress import say

    say(f"{done - before} {what} in {seconds:.1f} s" + (f"; {before} were done before" if before else ""))


def overwrite_option(command: F) -> F:
    """Returns the command with --overwrite."""
    return click.option("--overwrite", "--force", is_flag=True, help="Replace the output if it exists.")(command)


def json_option(command: F) -> F:
    """Returns the command with --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")(command)


def show(text: str, *, err: bool = False) -> None:
    """Prints a text in which there can be names out of files, whose control characters are spelled out."""
    click.echo(printable(text), err=err)


def report_tagged(tagged: Sequence[Any], *, tree: str, as_json: bool) -> None:
    """Prints what was written, each a `hepnn.tagging.Tagged`."""
    if as_json:
        click.echo(json.dumps([{**each._asdict(), "path": str(each.path), "tree": tree} for each in tagged]))
        return
    for each in tagged:
        where = each.path if each.path.is_dir() else f"{each.path}:{tree}"
        show(", ".join((f"{where}: {each.n_jets} jets in {each.n_entries} entries", *each.columns)))


def report_skipped(skipped: Sequence[Any]) -> None:
    """Lists the files that were left out, if any, and ends the program with the code for that."""
    if not skipped:
        return
    click.echo(f"{len(skipped)} files were skipped:", err=True)
    for each in skipped:
        show(f"  {each.file}: {each.reason}", err=True)
    raise click.exceptions.Exit(_SKIPPED)


def import_function(path: str) -> Callable[..., Any]:
    """Returns the function that ``package.module:function`` names.

    Raises:
        InputError: there is none.
    """
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(
            f"asked for the function {path!r}; {error}. Write package.module:function, and set PYTHONPATH to its "
            "folder if it is not installed."
        ) from error


def precision_option(command: F) -> F:
    """Returns the command with --precision."""
    return click.option(
        "--precision",
        type=click.Choice(["float32", "int8"]),
        default=defaults.PRECISION,
        show_default=True,
        help="int8 scores faster and not quite as exactly.",
    )(command)


def load_tagger(
    folder: str, custom: tuple[str, ...], *, precision: str = defaults.PRECISION, settings: bool = False
) -> Any:
    """Returns the tagger kept in ``folder``, with TensorFlow loaded only if scoring needs it.

    Args:
        folder: what ``hepnn train`` wrote.
        custom: functions of the user's own, ``package.module:function``.
        precision: of the scores.
        settings: whether it is to be a `hepnn.Tagger`, which knows the settings of its training, and takes longer to import.
    """
    from hepnn.progress import load_tensorflow

    if settings:
        from hepnn.tagger import Tagger as Kind
    else:
        from hepnn.trained import TrainedTagger as Kind  # type: ignore[assignment]
    tagger = Kind.load(folder, custom=[import_function(path) for path in custom], precision=precision)
    if tagger.needs_keras_:
        load_tensorflow()
    return tagger


def option_value(text: str) -> tuple[str, Any]:
    """Returns name and value of ``name=value``; the value is JSON if it is that, with commas a list, else a text.

    Raises:
        InputError: no equals sign.

    >>> option_value("units=[64,64]"), option_value("size=21,21"), option_value("channels=pt,")
    (('units', [64, 64]), ('size', [21, 21]), ('channels', ['pt']))
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"asked for the option {text!r}; write name=value, such as units=64,64.")
    found = _json_or_text(value)
    if isinstance(found, str) and "," in found:
        return name, [_json_or_text(part) for part in names(found)]
    return name, found


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def names(text: str) -> tuple[str, ...]:
    """Returns the names in a list with commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def bins_of(text: str) -> dict[str, int]:
    """Returns the number of bins of each field in ``FIELD:NUMBER,...``.

    Raises:
        InputError: it is written differently.
    """
    parts = [part.partition(":") for part in names(text)]
    if not parts or any(not name or not number.isdecimal() or int(number) < 1 for name, _, number in parts):
        raise InputError(f"asked for the bins {text!r}; write FIELD:NUMBER,..., such as pt:10,mass:10.")
    return {name.strip(): int(number) for name, _, number in parts}
