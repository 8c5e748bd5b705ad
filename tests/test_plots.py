"""Plots show what they were given, with labels, and reach the disk whole."""

import awkward as ak
import matplotlib as mpl
import numpy as np
import pytest

from hepnn.errors import InputError, OutputError
from hepnn.evaluation import score_histograms
from hepnn.history import Trained
from hepnn.multiclass import confusion_matrix
from hepnn.plots import event_display, plot_confusion, plot_history, plot_roc, plot_scores, save
from hepnn.roc import rejection_curve, roc

RNG = np.random.default_rng(0)
TRUTH = RNG.random(500) < 0.5
CURVE = roc(TRUTH, RNG.normal(TRUTH, 1.0))
TRAINED = Trained({"loss": [0.7, 0.6], "val_loss": [0.65, 0.62], "val_auc": [0.7, 0.8]}, 1, 3.0, 0.1, {})


def test_roc_shows_rejection_against_efficiency_with_labels_and_bands():
    axes = plot_roc({"GRU": CURVE, "trees": CURVE})
    assert axes.get_yscale() == "log"
    assert "signal efficiency" in axes.get_xlabel()
    assert "background rejection" in axes.get_ylabel()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["GRU", "trees", "random guess"]
    line = axes.lines[0]
    np.testing.assert_allclose(
        np.interp(0.5, line.get_xdata(), 1 / line.get_ydata()),
        np.interp(0.5, CURVE.signal_efficiency, CURVE.background_efficiency),
        rtol=0.05,
    )
    assert len(axes.collections) == 2


def test_history_shows_losses_and_auc_with_labels():
    axes = plot_history(TRAINED)
    below = axes.figure.axes[1]
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), TRAINED.history["loss"])
    np.testing.assert_array_equal(below.lines[0].get_ydata(), TRAINED.history["val_auc"])
    assert axes.get_ylabel() == "cross-entropy [nats]"
    assert below.get_xlabel() == "epoch"


def test_roc_draws_the_curve_it_was_given():
    line = plot_roc({"GRU": CURVE}).lines[0]
    curve = rejection_curve(CURVE)
    shown = curve.signal_efficiency >= 0.1
    np.testing.assert_array_equal(line.get_xdata(), curve.signal_efficiency[shown])
    np.testing.assert_array_equal(line.get_ydata(), curve.rejection[shown])


@pytest.mark.parametrize("n_curves", [1, 9])
def test_the_legend_covers_no_data(n_curves):
    axes = plot_roc({f"class {i} against QCD": CURVE for i in range(n_curves)})
    axes.figure.draw_without_rendering()
    assert axes.get_legend().get_window_extent().y0 >= axes.get_window_extent().y1


def test_perfect_scores_can_be_drawn():
    axes = plot_roc({"perfect": roc(TRUTH, TRUTH.astype(float))})
    axes.figure.draw_without_rendering()


def test_history_shows_the_learning_rate_when_asked():
    more = TRAINED._replace(history={**TRAINED.history, "val_accuracy": [0.6, 0.7], "learning_rate": [1e-3, 1e-4]})
    labels = [axes.get_ylabel() for axes in plot_history(more, learning_rate=True).figure.axes]
    assert labels == ["cross-entropy [nats]", "AUC", "accuracy", "learning rate"]
    with pytest.raises(InputError, match="the history has only loss, val_loss, val_auc"):
        plot_history(TRAINED, learning_rate=True)


def test_scores_are_drawn_by_class():
    histograms = score_histograms(np.where(TRUTH, "quark", "gluon"), RNG.random(500), n_bins=8)
    axes = plot_scores(histograms, xlabel="quark score")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["gluon", "quark"]
    np.testing.assert_array_equal(axes.patches[1].get_data().values, histograms.share["quark"])
    assert axes.get_xlabel() == "quark score"


def test_confusion_shows_each_share_in_its_row_and_column():
    confusion = confusion_matrix(["a", "a", "a", "b"], ["a", "b", "b", "b"], classes=("a", "b", "absent"))
    axes = plot_confusion(confusion, ("a", "b", "absent"))
    texts = {text.get_position(): text.get_text() for text in axes.texts}
    assert (texts[0, 0], texts[1, 0], texts[1, 1], texts[0, 2]) == ("33.3", "66.7", "100.0", "–")
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("taken for", "true class")


def test_event_display_shows_every_particle_around_the_axis_with_areas_as_pt(jets):
    jet = jets[7]
    axes = event_display(jet, radius=0.4)
    points = np.concatenate([dots.get_offsets() for dots in axes.collections[:-1]])  # the last marks the axis
    expected_eta = np.sort(ak.to_numpy(jet.particles.eta) - jet.eta)
    np.testing.assert_allclose(np.sort(points[:, 0]), expected_eta)
    turned = np.exp(1j * (ak.to_numpy(jet.particles.phi) - jet.phi))  # its angle is wrapped
    np.testing.assert_allclose(np.sort(points[:, 1]), np.sort(np.angle(turned)), atol=1e-12)
    areas = np.concatenate([dots.get_sizes() for dots in axes.collections[:-1]])
    ratio = np.sort(areas) / np.sort(ak.to_numpy(jet.particles.pt))
    large = np.sort(areas) > 6
    np.testing.assert_allclose(ratio[large], ratio[-1])
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    pid = np.abs(ak.to_numpy(jet.particles.pid))
    kinds = {"photon": pid == 22, "electron": pid == 11, "muon": pid == 13, "neutral hadron": np.isin(pid, [130, 2112])}
    assert {name for name in kinds if name in names} == {name for name, chosen in kinds.items() if chosen.any()}
    assert "other particle" not in names


def test_a_jet_without_particles_is_drawn_as_such(jets):
    assert [text.get_text() for text in event_display(jets[0]).texts] == ["no particles"]


def test_plots_leave_no_global_state():
    before = dict(mpl.rcParams)
    plot_roc({"GRU": CURVE})
    plot_history(TRAINED)
    assert dict(mpl.rcParams) == before


def test_the_same_figure_gives_the_same_file(tmp_path):
    for suffix in (".png", ".pdf", ".svg"):
        first, second = (save(plot_roc({"a": CURVE}).figure, tmp_path / f"{i}{suffix}") for i in range(2))
        assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(("suffix", "magic"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")])
def test_a_picture_is_written_whole(tmp_path, suffix, magic):
    path = save(plot_roc({"GRU": CURVE}).figure, tmp_path / f"roc{suffix}")
    assert path.read_bytes().startswith(magic)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_what_cannot_be_drawn_or_written_is_refused(tmp_path):
    with pytest.raises(InputError, match="asked to draw ROC curves; found none"):
        plot_roc({})
    with pytest.raises(InputError, match=r"Take one of the array: event_display\(jets\[0\]\)"):
        event_display(ak.Array([1, 2]))
    with pytest.raises(InputError, match="found no epoch"):
        plot_history(Trained({}, -1, 0.0, 0.0, {}))
    figure = plot_roc({"GRU": CURVE}).figure
    with pytest.raises(OutputError, match=r"name it \*.png, \*.pdf, \*.svg"):
        save(figure, tmp_path / "roc.jpeg")
    with pytest.raises(OutputError, match="No such file or directory"):
        save(figure, tmp_path / "nowhere" / "roc.png")
