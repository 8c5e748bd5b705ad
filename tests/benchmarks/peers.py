"""The same network in PyTorch, and the same features for weaver.

Weaver takes the network from this file (``-n peers.py``), so it imports nothing of the tests or of hepnn.
"""

import os

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

CELLS = {"lstm": nn.LSTM, "gru": nn.GRU}
GATES = {"lstm": 4, "gru": 3}
NETWORK = "HEPNN_BENCHMARK_NETWORK"
"""Environment variable that tells weaver's process the cell, the widths and the classes."""

BRANCHES = {
    "log_pt": ("part_pt_log", "np.log(np.hypot(part_px, part_py))"),
    "log_energy": ("part_e_log", "np.log(part_energy)"),
    "log_pt_rel": ("part_logptrel", "np.log(np.hypot(part_px, part_py)/jet_pt)"),
    "log_energy_rel": ("part_logerel", "np.log(part_energy/jet_energy)"),
    "delta_r": ("part_deltaR", "np.hypot(part_deta, part_dphi)"),
    "charge": ("part_charge", None),
    "is_charged_hadron": ("part_isChargedHadron", None),
    "is_neutral_hadron": ("part_isNeutralHadron", None),
    "is_photon": ("part_isPhoton", None),
    "is_electron": ("part_isElectron", None),
    "is_muon": ("part_isMuon", None),
    "tanh_d0": ("part_d0", "np.tanh(part_d0val)"),
    "d0_error": ("part_d0err", None),
    "tanh_dz": ("part_dz", "np.tanh(part_dzval)"),
    "dz_error": ("part_dzerr", None),
    "delta_eta": ("part_deta", None),
    "delta_phi": ("part_dphi", None),
}
"""Weaver's name and formula of each feature, those of the public JetClass_full.yaml."""


class Scaled(nn.Module):
    def __init__(self, n_features):
        super().__init__()
        for name in ("center", "scale", "lower", "upper"):
            self.register_buffer(name, torch.zeros(n_features))

    def forward(self, values):
        return torch.minimum(torch.maximum((values - self.center) * self.scale, self.lower), self.upper)


class Recurrent(nn.Module):
    """Scaling, 1×1 convolutions, one recurrent layer, dense layers; padding is never computed.

    The jets are packed first, so the convolutions, which are dense layers on each particle, see the real ones only.
    """

    def __init__(self, cell, n_features, *, encoder, units, head, n_classes, scaled):
        super().__init__()
        widths = [n_features, *encoder]
        self.scaled = Scaled(n_features) if scaled else nn.Identity()
        self.encoder = nn.ModuleList(map(nn.Linear, widths, encoder))
        self.cell = CELLS[cell](widths[-1], units)
        heads = [units, *head]
        self.head = nn.ModuleList(map(nn.Linear, heads, head))
        self.output = nn.Linear(heads[-1], n_classes)

    def forward(self, values, lengths):
        """Logits, (jet, class), from values (jet, particle, feature) and the number of particles of each jet."""
        packed = pack_padded_sequence(values, lengths, batch_first=True, enforce_sorted=False)
        data = self.scaled(packed.data)
        for layer in self.encoder:
            data = torch.relu(layer(data))
        _, last = self.cell(PackedSequence(data, *packed[1:]))
        state = (last[0] if isinstance(last, tuple) else last)[-1]
        for layer in self.head:
            state = torch.relu(layer(state))
        return self.output(state)

    def take(self, weights):
        """Takes the weights of the Keras model, in the order of its variables, scaling left out."""
        weights = [torch.tensor(array) for array in weights]

        def dense(layer):
            kernel, bias = weights.pop(0), weights.pop(0)
            layer.weight.data, layer.bias.data = kernel.reshape(kernel.shape[-2:]).T.contiguous(), bias

        for layer in self.encoder:
            dense(layer)
        kernel, recurrent, bias = (weights.pop(0) for _ in range(3))
        units = recurrent.shape[0]
        if isinstance(self.cell, nn.GRU):  # Keras: z, r, h; PyTorch: r, z, n; both with a bias for each product
            order = torch.cat([torch.arange(units, 2 * units), torch.arange(units), torch.arange(2 * units, 3 * units)])
            biases = bias[:, order]
        else:  # i, f, c, o in both; one bias in Keras
            order = torch.arange(4 * units)
            biases = torch.stack([bias, torch.zeros_like(bias)])
        for name, value in {
            "weight_ih_l0": kernel.T[order],
            "weight_hh_l0": recurrent.T[order],
            "bias_ih_l0": biases[0],
            "bias_hh_l0": biases[1],
        }.items():
            getattr(self.cell, name).data = value.contiguous()
        for layer in [*self.head, self.output]:
            dense(layer)
        assert not weights
        return self


class ForWeaver(nn.Module):
    """The network as weaver calls it: features first, with a mask."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, features, mask):
        return self.network(features.transpose(1, 2), mask.sum(dim=(1, 2)).long().cpu())


def get_model(data_config, **settings):
    cell, encoder, units, head = os.environ[NETWORK].split()
    widths = [tuple(map(int, text.split(","))) for text in (encoder, head)]
    n_features, n_classes = len(data_config.input_dicts["pf_features"]), len(data_config.label_value)
    network = Recurrent(
        cell, n_features, encoder=widths[0], units=int(units), head=widths[1], n_classes=n_classes, scaled=False
    )
    return ForWeaver(network), {"output_names": ["softmax"]}


def get_loss(data_config, **settings):
    return nn.CrossEntropyLoss()


def data_config(path, features, *, length, classes, scaled):
    """Writes weaver's description of the inputs, scaled as the features say or not at all, and returns its path."""
    formulas = [f"   {name}: {formula}" for name, formula in (BRANCHES[f.name] for f in features) if formula]
    inputs = [
        f"         - [{BRANCHES[f.name][0]}, {f.center}, {f.scale}, {f.lower}, {f.upper}]"
        if scaled
        else f"         - [{BRANCHES[f.name][0]}, null]"
        for f in features
    ]
    lines = [
        "selection:",
        "new_variables:",
        "   part_mask: ak.ones_like(part_energy)",
        *formulas,
        "preprocess:",
        "  method: manual",
        "inputs:",
        "   pf_features:",
        f"      length: {length}",
        "      vars:",
        *inputs,
        "   pf_mask:",
        f"      length: {length}",
        "      vars:",
        "         - [part_mask, null]",
        "labels:",
        "   type: simple",
        f"   value: [{', '.join(f'label_{name}' for name in classes)}]",
        "observers:",
        "weights:",
    ]
    path.write_text("\n".join(lines) + "\n")
    return path
