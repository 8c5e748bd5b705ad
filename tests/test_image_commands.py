"""Networks of images by commands: from a ROOT file of the generator to a file of scores, as for particles."""

import json

import numpy as np
import pytest
import uproot

from hepnn import Tagger, read_jets
from hepnn.cli import cli
from hepnn.errors import InputError, OutputError

SMALL = "--option filters=3, --option head_units=4, --epochs 1 --batch-size 32"
PIXELS = "--representation-option size=7,7 --representation-option n_layers=3"
NETWORKS = {"cnn2d": "layers", "cnn3d": "volume", "convlstm": "time"}


@pytest.fixture
def run(capsys):
    """Runs a command in this process and returns its stdout."""

    def call(text):
        cli.main(text.split(), standalone_mode=False)
        return capsys.readouterr().out

    return call


@pytest.fixture(scope="module")
def showers(tmp_path_factory):
    path = tmp_path_factory.mktemp("showers") / "showers.root"
    cli.main(
        f"generate showers --showers 160 --classes electron,pion --seed 1 -o {path}".split(), standalone_mode=False
    )
    return path


@pytest.mark.filterwarnings("ignore:this tagger is scored by Keras")  # ConvLSTM has no translation to ONNX
@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_of_cells_goes_from_a_generated_file_to_a_file_of_scores(run, showers, network, tmp_path):
    folder = tmp_path / "tagger"
    out = run(f"train {showers} --model {network} {SMALL} {PIXELS} -o {folder}")
    assert f"{folder}: {network}, " in out
    assert " % of the energy lies outside of the images, on average" in out
    tagger = Tagger.load(folder)
    assert tagger.representation_.layout == NETWORKS[network]
    assert tagger.representation_.size == (7, 7)
    result = json.loads(run(f"evaluate {showers} --tagger {folder} --json"))
    assert 0 <= result["separations"][0]["auc"]["value"] <= 1
    scores = tmp_path / "scores.root"
    assert "160 jets in 160 entries, hepnn_electron, hepnn_pion" in run(f"tag {showers} --tagger {folder} -o {scores}")
    with uproot.open(scores) as file:
        pion = file["hepnn"]["hepnn_pion"].array(library="np")
    np.testing.assert_allclose(pion, tagger.predict_proba(read_jets(showers))[:, 1], atol=1e-6)


def test_a_tagger_of_images_starts_from_another_one_by_commands(run, showers, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    run(f"train {showers} --model cnn3d {SMALL} {PIXELS} -o {first}")
    sizes = "--representation-option size=9,9"
    out = run(f"train {showers} --model cnn3d --epochs 1 {sizes} --start-from {first} --freeze features -o {second}")
    assert f"started from {first}: image_conv_0" in out
    there, tagger = Tagger.load(first), Tagger.load(second)
    assert (tagger.representation_.size, tagger.representation_.n_layers) == ((9, 9), 3)
    for path in ("image_conv_0/kernel", "image_conv_0/bias"):
        np.testing.assert_array_equal(tagger.weights_[path], there.weights_[path])


def test_options_of_images_are_read_as_lists(run, tmp_path):
    toys = tmp_path / "toys.root"
    run(f"generate toy --jets 80 --classes QCD,Tbqq --seed 1 -o {toys}")
    options = "--representation jet-image --representation-option size=9 --representation-option channels=pt,charged_pt"
    out = run(f"train {toys} --model cnn2d {SMALL} {options} --augment flip,shift -o {tmp_path / 'tagger'}")
    assert " % of the pT lies outside of the images, on average" in out
    assert "particles" not in out
    assert Tagger.load(tmp_path / "tagger").representation_.channels == ("pt", "charged_pt")


def test_pictures_of_images_are_drawn_by_a_command(run, showers, tmp_path):
    picture = tmp_path / "showers.png"
    out = run(f"plot images {showers} --representation-option size=9,9 --representation-option n_layers=2 -o {picture}")
    assert out.startswith(f"{picture}: 160 images; ")
    assert picture.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(OutputError, match="exists already"):
        run(f"plot images {showers} -o {picture}")


def test_a_cloud_network_refuses_images(run, showers, tmp_path):
    with pytest.raises(InputError, match=r"'image' has the shape .* of an image. Choose the representation 'cloud'"):
        run(f"train {showers} --model gru --representation calo-image {PIXELS} -o {tmp_path / 'tagger'}")


def test_an_onnx_model_is_named_so(run, tmp_path, trained):
    folder = trained.save(tmp_path / "tagger")
    with pytest.raises(OutputError, match=r"model to .*tagger.txt; give a name that ends in .onnx"):
        run(f"export {folder} --onnx {tmp_path / 'tagger.txt'}")


def test_a_negative_number_of_showers_is_one_of_showers(run, tmp_path):
    with pytest.raises(InputError, match="asked to generate with showers=-1"):
        run(f"generate showers --showers -1 -o {tmp_path / 'showers.root'}")
