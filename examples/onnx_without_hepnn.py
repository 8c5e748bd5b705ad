"""Score jets with onnxruntime alone, without hepnn: python onnx_without_hepnn.py TAGGER.onnx JETS.root SCORES.npz.

The model says in its metadata what its input is, feature by feature. The tree has one jet an entry, with the branches
jet_pt, jet_eta, jet_phi, jet_energy and, for its particles, part_px, part_py, part_pz, part_energy.
"""

import json
import sys

import awkward as ak
import numpy as np
import onnxruntime
import uproot

model, source, output = sys.argv[1:]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
about = {name: json.loads(text) for name, text in session.get_modelmeta().custom_metadata_map.items()}

with uproot.open(source) as file:
    tree = file["tree"].arrays(filter_name=["jet_*", "part_*"])
px, py, pz, energy = (tree[f"part_{name}"] for name in ("px", "py", "pz", "energy"))
pt = np.hypot(px, py)
eta, phi = np.arcsinh(pz / pt), np.arctan2(py, px)
delta_eta = (eta - tree.jet_eta) * np.where(tree.jet_eta < 0, -1, 1)
delta_phi = (phi - tree.jet_phi + np.pi) % (2 * np.pi) - np.pi
known = {
    "log_pt": np.log(pt),
    "log_energy": np.log(energy),
    "log_pt_rel": np.log(pt / tree.jet_pt),
    "log_energy_rel": np.log(energy / tree.jet_energy),
    "delta_r": np.hypot(delta_eta, delta_phi),
    "delta_eta": delta_eta,
    "delta_phi": delta_phi,
}
falling = ak.argsort(pt, ascending=False, stable=True)
length = min(about["lengths"]["particles"], int(ak.max(ak.num(pt))))


def padded(values):
    """Lists as a table, (jet, particle), with zeros on the right."""
    return ak.to_numpy(ak.fill_none(ak.pad_none(values[falling], length, clip=True), 0))


particles = np.stack([padded(known[name]) for name in about["features"]["particles"]], axis=-1).astype(np.float32)
mask = np.arange(length) < ak.to_numpy(ak.num(pt))[:, None]
(probabilities,) = session.run(None, {"particles": particles, "particles_mask": mask})
np.savez(output, **{str(name): probabilities[:, i] for i, name in enumerate(about["classes"])})
print(f"{len(probabilities)} jets scored without hepnn")
