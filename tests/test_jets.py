"""Records of all jets in a run, and their fields as NumPy's, against what awkward's own functions give."""

import awkward as ak
import numpy as np
import pytest

from hepnn import toy_jets
from hepnn.errors import InputError
from hepnn.jets import check_jets, column_of, flat_members, labels_of


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


WRONG = {
    "text": np.array(["hard", "soft"] * 2),
    "truth": np.ones(4, bool),
    "complex numbers": np.ones(4, complex),
    "times": np.zeros(4, "M8[s]"),
    "lists": ak.Array([[1.0], [2.0, 3.0], [], [4.0]]),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_momentum_that_is_no_number_is_refused(kind):
    jets = toy_jets(4, seed=1)
    with pytest.raises(InputError, match=r"the jet field 'phi' as one number a jet; found the type"):
        check_jets(ak.with_field(jets, WRONG[kind], "phi"))
    particles = ak.zip(
        {name: ak.singletons(ak.Array(WRONG[kind])) for name in ("pt", "eta", "phi", "energy")}, depth_limit=2
    )
    with pytest.raises(InputError, match=r"the field 'pt' of particles as a list of numbers a jet; found the type"):
        check_jets(ak.with_field(jets, particles, "particles"))


def test_numbers_of_any_kind_are_momenta():
    jets = toy_jets(4, seed=1)
    for values in (np.arange(4), np.ones(4, np.float16), ak.mask(jets.pt, jets.pt > 0)):
        check_jets(ak.with_field(jets, values, "pt"))
    check_jets(jets[:0])
    check_jets(ak.from_iter(jets.to_list()))


@pytest.mark.parametrize(
    "missing",
    [np.array([0, np.nan, 1]), np.array(["a", None, "b"], object), [0, np.nan, 1], ak.Array(["a", None, "b"])],
)
def test_a_class_that_is_missing_is_none_of_its_own(missing):
    with pytest.raises(InputError, match="1 of 3 have none, first jet 1"):
        labels_of(toy_jets(3, seed=1), missing)


def test_classes_in_objects_are_their_names():
    found = labels_of(toy_jets(3, seed=1), np.array(["quark", "gluon", "quark"], object))
    assert found.tolist() == ["quark", "gluon", "quark"]
    assert found.dtype.kind == "U"
