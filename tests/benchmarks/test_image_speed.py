"""Jet images against EnergyFlow's `pixelate`, on the same jets in one run.

tox -e benchmarks

EnergyFlow (pip install energyflow) makes one image a call; where it is not installed, its comparison is left out.
"""

import time

import awkward as ak
import numpy as np
import pytest

from hepnn import read_jets
from hepnn.bundled import bundled_jets
from hepnn.images import JetImage, pixelate

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


def seconds(action):
    """The least of some repeats: what else the machine does only adds to it."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


@pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES)
def test_images_a_second(jets, image, capsys):
    dense = len(jets) / seconds(lambda: pixelate(jets, image))
    sparse = len(jets) / seconds(lambda: image.tensors(jets))
    with capsys.disabled():
        print(f"\n33 × 33 images, {image.channels}: {dense:,.0f} jets/s dense, {sparse:,.0f} jets/s sparse")
    assert min(dense, sparse) > 50_000 or image is not IMAGES["pT"]


def test_images_against_energyflow(jets, capsys):
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
    slow = N_SLOW / seconds(theirs)
    fast = len(jets) / seconds(lambda: pixelate(jets, image))
    with capsys.disabled():
        print(f"\n33 × 33 images: {fast:,.0f} jets/s, EnergyFlow {slow:,.0f} jets/s: {fast / slow:.0f}×")
    assert fast > 6 * slow
