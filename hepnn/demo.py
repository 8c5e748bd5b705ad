"""The demo: the whole way on the bundled jets, from a ROOT file to a trained, judged tagger and a file of scores.

It does by Python calls what ``hepnn train``, ``evaluate`` and ``tag`` do, and stands boosted trees beside the network.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hepnn import defaults, evaluation, plots
from hepnn.baseline import BoostedTrees
from hepnn.bundled import bundled_jets
from hepnn.errors import OutputError
from hepnn.evaluation import Evaluation
from hepnn.progress import counting, epoch_lines, load_tensorflow, say
from hepnn.readers import read_jets
from hepnn.report import evaluation_table
from hepnn.tagger import Tagger
from hepnn.tagging import Tagged, tag

__all__ = ["Demo", "run_demo"]

TEST_FRACTION = 0.25
EPOCHS = 10
"""Enough for 12,000 training jets, and within three minutes on two cores."""


@dataclass(frozen=True)
class Demo:
    """What the demo made.

    Attributes:
        folder: where everything is.
        results: evaluation on the held-out jets by name of the tagger.
        tagged: the file of scores.
        seconds: wall time.
    """

    folder: Path
    results: dict[str, Evaluation]
    tagged: Tagged
    seconds: float

    def table(self) -> Any:
        """Returns the comparison as a table for the terminal."""
        return evaluation_table(self.results)

    def to_dict(self) -> dict[str, Any]:
        """Returns what JSON can hold."""
        return {
            "folder": str(self.folder),
            "results": {name: result.to_dict() for name, result in self.results.items()},
            "scores": str(self.tagged.path),
            "n_entries": self.tagged.n_entries,
            "seconds": self.seconds,
        }

    def closing(self) -> str:
        """Returns what was written, and what to try next."""
        return (
            f"In {self.seconds:.0f} s: {self.folder}/tagger (the tagger), {self.tagged.path} ({self.tagged.n_entries} "
            f"rows of scores), {self.folder}/roc.png, {self.folder}/training.png.\n"
            f"Next: hepnn tag YOUR_FILES.root --tagger {self.folder}/tagger -o scores.root, or train on your own jets: "
            "hepnn train YOUR_FILES.root -o tagger"
        )


def run_demo(folder: Path, *, seed: int = defaults.SEED, epochs: int = EPOCHS, max_jets: int | None = None) -> Demo:
    """Trains, judges and applies taggers on the bundled jets.

    Args:
        folder: where everything is written; results of an earlier demo are replaced.
        seed: of the training.
        epochs: of the network.
        max_jets: take only so many of the jets.

    Raises:
        OutputError: the folder cannot be written to.
    """
    start = time.perf_counter()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"asked to write to the folder {folder}; {error}. Choose another with -o.") from error
    source = bundled_jets()
    jets = read_jets(source, schema="hepnn", max_jets=max_jets)
    n_test = round(TEST_FRACTION * len(jets))
    train, test = jets[:-n_test], jets[-n_test:]
    say(f"{len(jets)} jets from {source}: {len(train)} to train on, {n_test} held out")

    say("boosted trees on jet observables")
    trees = BoostedTrees(seed=seed).fit(train)
    say("masked GRU on particles")
    load_tensorflow()
    gru = Tagger("gru", epochs=epochs, seed=seed, schema="hepnn")
    with epoch_lines(epochs) as lines:
        gru.fit(train, callbacks=[lines])

    taggers: dict[str, Any] = {"boosted trees": trees, "masked GRU": gru}
    results = {
        name: evaluation.evaluate(
            test.label.to_numpy(),
            tagger.predict_proba(test),
            tuple(map(str, tagger.classes_)),
            signal="quark",
            background="gluon",
        )
        for name, tagger in taggers.items()
    }
    gru.save(folder / "tagger", overwrite=True)
    with counting("tagging") as progress:
        (tagged,) = tag(source, gru, folder / "scores.root", overwrite=True, progress=progress)
    curves = {name: result.separations[0].roc for name, result in results.items()}
    plots.save(plots.plot_roc(curves).figure, folder / "roc.png")
    plots.save(plots.plot_history(gru.training_).figure, folder / "training.png")
    return Demo(folder, results, tagged, time.perf_counter() - start)
