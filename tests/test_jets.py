"""Records of all jets in a run, and their fields as NumPy's, against what awkward's own functions give."""

import awkward as ak
import numpy as np
import pytest

from hepnn.jets import column_of, flat_members


def one_of_each(jets):
    """Jets whose lists are of a fixed size."""
    return ak.with_field(jets, ak.to_regular(jets.particles[:, :1], axis=1), "particles")


WAYS = {
    "as they are": lambda jets: jets,
    "turned round": lambda jets: jets[::-1],
    "some": lambda jets: jets[[5, 2, 2]],
    "from the middle": lambda jets: jets[3:7],
    "none": lambda jets: jets[:0],
    "masked": lambda jets: ak.mask(jets, ak.num(jets.particles) < 10)[ak.num(jets.particles) < 10],
    "the hardest of each": lambda jets: ak.with_field(jets, jets.particles[:, :3], "particles"),
    "one of each": lambda jets: one_of_each(jets[ak.num(jets.particles) > 0]),
    "optional by type": lambda jets: ak.from_arrow(ak.to_arrow(jets[["pt", "particles"]], extensionarray=False)),
    "in another order": lambda jets: ak.with_field(jets, jets.particles[ak.argsort(jets.particles.eta)], "particles"),
}


@pytest.mark.parametrize("way", WAYS)
def test_members_are_those_of_awkward_and_so_are_their_fields(jets, way):
    jets = WAYS[way](jets)
    records, counts = flat_members(jets, "particles")
    expected = ak.flatten(jets.particles)
    np.testing.assert_array_equal(counts, ak.to_numpy(ak.num(jets.particles)))
    for name in expected.fields:
        np.testing.assert_array_equal(column_of(records, name), ak.to_numpy(expected[name]))


def test_a_field_that_allows_for_a_missing_value_is_masked():
    found = column_of(ak.Array([{"x": 1.0}, {"x": None}]), "x")
    assert isinstance(found, np.ma.MaskedArray)
    assert found.tolist() == [1.0, None]
