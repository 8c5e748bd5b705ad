"""``hepnn export``."""

from __future__ import annotations

import json

import click

from hepnn.cli.options import json_option, load_tagger, overwrite_option, show

__all__ = ["export"]


@click.command()
@click.argument("tagger_folder", metavar="TAGGER")
@click.option("--onnx", "path", required=True, metavar="FILE", help="Where the ONNX model goes.")
@click.option(
    "--custom",
    multiple=True,
    metavar="MODULE:FUNCTION",
    help="Function of your own that the tagger was made with, for a feature or the model.",
)
@click.option(
    "--float-masks", is_flag=True, help="Take masks as float32, for programs such as CMSSW that feed no other type."
)
@overwrite_option
@json_option
def export(
    tagger_folder: str, path: str, custom: tuple[str, ...], float_masks: bool, overwrite: bool, as_json: bool
) -> None:
    """Write a tagger's network as an ONNX model, for CMSSW, Athena, Triton and the like.

    preprocess.json, beside it, says what to fill into its inputs. Scaling is inside the model.

    Example: hepnn export tagger/ --onnx tagger.onnx
    """
    from hepnn.onnx_export import PREPROCESS, write_onnx

    written = write_onnx(load_tagger(tagger_folder, custom), path, float_masks=float_masks, overwrite=overwrite)
    beside = written.with_name(PREPROCESS)
    about = json.loads(beside.read_text())
    if as_json:
        click.echo(json.dumps({"onnx": str(written), "preprocess": str(beside), **about}))
    else:
        show(
            f"{written}: inputs {', '.join(about['input_names'])}, output {', '.join(about['output_names'])} of "
            f"{', '.join(map(str, about['classes']))}\n{beside}: what the inputs hold"
        )
