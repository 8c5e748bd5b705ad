"""Jet images against EnergyFlow's `pixelate`, on the same jets in one run.

tox -e benchmarks

EnergyFlow (pip install energyflow) makes one image a call; where it is not installed, its comparison is left out.
"""

import awkward as ak
import numpy as np
import pytest

from hepnn import read_jets
from hepnn.bundled import bundled_jets
from hepnn.images import JetImage, pixelate
from tests.benchmarks import racing

REPEATS = 5
N_SLOW = 3000
"""Jets that the comparison is given."""

IMAGES = {
    "pT": JetImage(),
    "charged, neutral, counts": JetImage(channels=("charged_pt", "neutral_pt", "charged_count")),
    "Macaluso, Shih": JetImage(center="centroid", rotate="principal_axis", flip="upper_right", normalize="sum"),
    "de Oliveira et al.": JetImage(center="subjet", rotate="second_subjet", flip="right", normalize="norm"),
}


@pytest.fixture(scope="module")
def jets():
    return read_jets(bundled_jets(), schema="hepnn")


@pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES)
def test_images_a_second(jets, image, capsys):
    times = racing.in_turn(lambda: pixelate(jets, image), lambda: image.tensors(jets), repeats=REPEATS)
    dense, sparse = (len(jets) / time.wall for time in times)
    with capsys.disabled():
        print(f"\n33 × 33 images, {image.channels}: {dense:,.0f} jets/s dense, {sparse:,.0f} jets/s sparse")
    assert min(dense, sparse) > 50_000 or image is not IMAGES["pT"]


def test_images_against_energyflow(jets, record):
    energyflow = pytest.importorskip("energyflow")
    fields = [ak.to_numpy(ak.flatten(jets.particles[name])).astype(float) for name in ("pt", "eta", "phi")]
    arrays = np.split(np.stack(fields, axis=1), np.cumsum(ak.to_numpy(ak.num(jets.particles)))[:-1])

    def theirs():
        return np.stack([energyflow.utils.pixelate(jet, norm=False) for jet in arrays[:N_SLOW]])

    # they neither wrap φ nor turn η into rapidity; what is summed up is the same where φ does not wrap
    image = JetImage(center="centroid")
    np.testing.assert_allclose(
        theirs().sum(axis=(1, 2, 3)).mean(), pixelate(jets[:N_SLOW], image).sum() / N_SLOW, rtol=0.05
    )
    ours, slow = racing.in_turn(lambda: pixelate(jets, image), theirs, repeats=REPEATS)
    as_many = racing.Time(*(len(jets) / N_SLOW * seconds for seconds in slow))
    record(racing.rates("jet images, 33 × 33", "EnergyFlow's `pixelate`", len(jets), ours, as_many, target=6))
