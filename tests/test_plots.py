"""Plots show what they were given, with labels, and reach the disk whole."""

import numpy as np
import pytest

from hepnn.errors import InputError, OutputError
from hepnn.evaluation import roc
from hepnn.history import Trained
from hepnn.plots import plot_history, plot_roc, save

RNG = np.random.default_rng(0)
TRUTH = RNG.random(500) < 0.5
CURVE = roc(TRUTH, RNG.normal(TRUTH, 1.0))
TRAINED = Trained({"loss": [0.7, 0.6], "val_loss": [0.65, 0.62], "val_auc": [0.7, 0.8]}, 1, 3.0, 0.1)


def test_roc_shows_rejection_against_efficiency_with_labels_and_bands():
    axes = plot_roc({"GRU": CURVE, "trees": CURVE})
    assert axes.get_yscale() == "log"
    assert "signal efficiency" in axes.get_xlabel()
    assert "background rejection" in axes.get_ylabel()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["GRU", "trees", "random choice"]
    line = axes.lines[0]
    np.testing.assert_allclose(np.interp(0.5, line.get_xdata(), 1 / line.get_ydata()),
                               np.interp(0.5, CURVE.signal_efficiency, CURVE.background_efficiency), rtol=0.05)
    assert len(axes.collections) == 2


def test_history_shows_losses_and_auc_with_labels():
    axes = plot_history(TRAINED)
    below = axes.figure.axes[1]
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), TRAINED.history["loss"])
    np.testing.assert_array_equal(below.lines[0].get_ydata(), TRAINED.history["val_auc"])
    assert axes.get_ylabel() == "cross-entropy [nats]"
    assert below.get_xlabel() == "epoch"


@pytest.mark.parametrize(("suffix", "magic"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")])
def test_a_picture_is_written_whole(tmp_path, suffix, magic):
    path = save(plot_roc({"GRU": CURVE}).figure, tmp_path / f"roc{suffix}")
    assert path.read_bytes().startswith(magic)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_what_cannot_be_drawn_or_written_is_refused(tmp_path):
    with pytest.raises(InputError, match="asked to draw ROC curves; found none"):
        plot_roc({})
    figure = plot_roc({"GRU": CURVE}).figure
    with pytest.raises(OutputError, match=r"name it \*.png, \*.pdf, \*.svg"):
        save(figure, tmp_path / "roc.jpeg")
    with pytest.raises(OutputError, match="No such file or directory"):
        save(figure, tmp_path / "nowhere" / "roc.png")
