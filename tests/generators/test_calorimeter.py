import numpy as np
import pytest

from hepnn.errors import InputError
from hepnn.generators.calorimeter import (
    ARGON,
    BARREL,
    IRON,
    IRON_SCINTILLATOR,
    LEAD,
    LEAD_ARGON,
    Calorimeter,
    Layer,
    medium_of_plates,
)


def layer(inner=1000.0, outer=1100.0, **changes):
    settings = {
        "eta_cell": 0.1,
        "n_phi": 64,
        "window": (3, 3),
        "sampling": 0.1,
        "hadronic_sampling": 0.5,
        "noise": 0.0,
        "threshold": 0.0,
        "time_noise": 0.0,
        "time_constant": 0.0,
    }
    return Layer("one", LEAD_ARGON, inner, outer, **{**settings, **changes})


@pytest.mark.parametrize(
    ("material", "radiation_mm", "moliere_mm", "interaction_mm"),
    # PDG (2024), atomic and nuclear properties of materials
    [(LEAD, 5.612, 16.0, 175.9), (IRON, 17.57, 17.19, 167.7), (ARGON, 140.0, 90.4, 857.7)],
    ids=["lead", "iron", "argon"],
)
def test_plates_of_one_material_are_that_material(material, radiation_mm, moliere_mm, interaction_mm):
    medium = medium_of_plates(material, material, absorber_mm=2.0, active_mm=3.0)
    assert medium.radiation_length == pytest.approx(radiation_mm, rel=0.01)
    # the critical energy is a fit, so this is rougher
    assert medium.moliere_radius == pytest.approx(moliere_mm, rel=0.2)
    assert medium.interaction_length == pytest.approx(interaction_mm, rel=0.01)
    assert medium.z == pytest.approx(material.z)
    assert medium.e_over_mip == 1


def test_lead_and_argon_as_worked_out_by_hand():
    lead, argon = 1.53 * 11.35, 4.2 * 1.396
    radiation = (lead + argon) / (lead / 6.37 + argon / 19.55)
    assert LEAD_ARGON.radiation_length == pytest.approx(10 * radiation / ((lead + argon) / 5.73))
    assert LEAD_ARGON.sampling_frequency == pytest.approx(LEAD_ARGON.radiation_length / 5.73)
    assert LEAD_ARGON.e_over_mip == pytest.approx(1 / (1 + 0.007 * 64))
    assert LEAD_ARGON.ionisation == pytest.approx((lead * 1.122 + argon * 1.508) / 5.73 * 1e-4)


def test_iron_and_scintillator_stop_hadrons_as_the_tile_calorimeter_does():
    # 20.7 cm are given for ATLAS' modules, which have glue and gaps
    assert 185 < IRON_SCINTILLATOR.interaction_length < 210


def test_the_barrel_is_as_deep_as_it_says():
    slices = BARREL.slices
    assert slices.radiation_lengths[0] == 2
    assert np.diff(slices.radiation_lengths)[slices.layer < 3].sum() == pytest.approx(22.3)
    assert np.diff(slices.interaction_lengths)[slices.layer >= 3].sum() == pytest.approx(7.4)
    assert (np.diff(slices.edges) > 0).all()
    assert (np.diff(slices.radius) > 0).all()
    assert len(slices.edges) == len(slices.layer) + 1


def test_a_gap_is_empty():
    near = Calorimeter((layer(), layer(1100, 1300))).slices
    far = Calorimeter((layer(), layer(1500, 1700))).slices
    np.testing.assert_allclose(near.radiation_lengths, far.radiation_lengths)
    np.testing.assert_allclose(near.interaction_lengths, far.interaction_lengths)
    assert far.radius[1] == 1600


def test_cells_of_all_windows_follow_each_other():
    calorimeter = Calorimeter((layer(window=(3, 5)), layer(1100, 1200, window=(1, 2))))
    assert calorimeter.rows == (slice(0, 15), slice(15, 17))
    assert calorimeter.cell_layer.tolist() == [0] * 15 + [1] * 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layer(1100, 1000), "go outward"),
        (lambda: layer(eta_cell=0), "without cells"),
        (lambda: layer(steps=0), "without cells or steps"),
        (lambda: layer(n_phi=4, window=(3, 5)), "window of 5 cells in φ .* which has 4"),
        (lambda: layer(noise=-1), "negative resolution or noise"),
        (lambda: Calorimeter(()), "without layers"),
        (lambda: Calorimeter((layer(), layer())), "inside of 'one'.*order layers"),
        (lambda: Calorimeter((layer(),), e_over_h=0), "e/h of 0"),
        (lambda: Calorimeter((layer(),), upstream=-1), "-1 X0 before"),
    ],
)
def test_calorimeters_without_sense_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
