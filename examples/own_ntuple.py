"""Train on an ntuple of your own: python own_ntuple.py. It makes one first, so that there is something to read."""

from pathlib import Path

import awkward as ak
import numpy as np
import uproot

import hepnn

SCHEMA = """
name = "mine"
trees = ["events"]
background = "light"

[jets]
pt = { value = "jetPt", unit = "MeV" }
eta = "jetEta"
phi = "jetPhi"
energy = "energy_from_mass(jetPt * 0.001, jetEta, jetM * 0.001)"

[collections.particles]
pt = { value = "trkPt", unit = "MeV" }
eta = "trkEta"
phi = "trkPhi"
energy = "trkPt * cosh(trkEta) * 0.001"
d0 = { value = "trkD0", unit = "cm", sentinel = -1 }

[labels]
bottom = "flavour == 5"
light = "flavour == 0"
"""

rng = np.random.default_rng(1)
flavour = rng.choice([0, 5], 400)
counts = rng.poisson(8, 400)
d0 = rng.normal(0, np.repeat(np.where(flavour == 5, 0.05, 0.005), counts))
tracks = {
    "Pt": rng.exponential(5e3, counts.sum()) + 500,
    "Eta": rng.normal(0, 0.1, counts.sum()),
    "Phi": rng.normal(0, 0.1, counts.sum()),
    "D0": np.where(rng.random(counts.sum()) < 0.1, -1, d0),  # -1: no track
}
with uproot.recreate("mine.root") as file:
    file["events"] = {
        "jetPt": rng.uniform(3e4, 1e5, 400),
        "jetEta": rng.uniform(-1, 1, 400),
        "jetPhi": np.zeros(400),
        "jetM": np.full(400, 5e3),
        "flavour": flavour,
        **{f"trk{name}": ak.unflatten(values, counts) for name, values in tracks.items()},
    }
Path("mine.toml").write_text(SCHEMA)

jets = hepnn.read_jets("mine.root", schema="mine.toml")
tagger = hepnn.Tagger("deepsets", features=["kinematics", "tanh_d0"], epochs=5, schema="mine.toml").fit(jets)
print("accuracy:", round(tagger.score(jets), 3))
(done,) = hepnn.tag("mine.root", tagger, "mine_scores.root")
print(f"{done.n_entries} rows in {done.path}")
