"""Layouts: however particles hang on jets, the same jets come out; counted and compared by plain loops."""

import awkward as ak
import numpy as np
import pytest
import uproot

from hepnn import read_jets
from hepnn.errors import SchemaError
from hepnn.readers import open_jets
from hepnn.readers.layouts import LAYOUTS, rows_from_columns
from hepnn.schema import LAYOUTS as DESCRIBED
from hepnn.schema import Schema, jets_from_rows, load_schema

RNG = np.random.default_rng(20)
N_EVENTS = 15


def numbers(n):
    pt, eta, phi = RNG.exponential(20, n) + 0.1, RNG.normal(0, 1.5, n), RNG.uniform(-3.1, 3.1, n)
    return [
        {"pt": float(np.float32(p)), "eta": float(np.float32(e)), "phi": float(np.float32(f)), "mass": 0.125}
        for p, e, f in zip(pt, eta, phi, strict=True)
    ]


@pytest.fixture(scope="module")
def events():
    """Lists of jets of particles; some events and some jets are empty."""
    made = []
    for event in range(N_EVENTS):
        jets = [dict(jet) for jet in numbers(0 if event in (0, 7) else int(RNG.integers(0, 5)))]
        for jet in jets:
            jet["particles"] = sorted(numbers(int(RNG.integers(0, 6))), key=lambda particle: -particle["pt"])
        made.append(jets)
    assert sum(map(len, made)) > 10
    return made


def lists(events, field):
    return ak.values_astype(ak.Array([[jet[field] for jet in event] for event in events]), np.float32)


def deep(events, field):
    return ak.values_astype(
        ak.Array([[[particle[field] for particle in jet["particles"]] for jet in event] for event in events]),
        np.float32,
    )


def check(jets, events):
    """Compares with the events, one by one."""
    expected = [jet for event in events for jet in event]
    assert len(jets) == len(expected)
    for found, jet in zip(jets.tolist(), expected, strict=True):
        assert [found[name] for name in ("pt", "eta", "phi")] == [jet[name] for name in ("pt", "eta", "phi")]
        assert [p["pt"] for p in found["particles"]] == [p["pt"] for p in jet["particles"]]
        assert [p["eta"] for p in found["particles"]] == [p["eta"] for p in jet["particles"]]
        energies = [np.hypot(p["pt"] * np.cosh(p["eta"]), p["mass"]) for p in jet["particles"]]
        np.testing.assert_allclose([p["energy"] for p in found["particles"]], energies, rtol=1e-6)


def fields(prefix):
    return {
        "pt": f"`{prefix}pt`",
        "eta": f"`{prefix}eta`",
        "phi": f"`{prefix}phi`",
        "energy": f"energy_from_mass(`{prefix}pt`, `{prefix}eta`, `{prefix}mass`)",
    }


def test_every_layout_that_is_described_is_there():
    assert list(LAYOUTS) == list(DESCRIBED)


def test_nested_jets_in_events(events, tmp_path):
    path = tmp_path / "nested.root"
    with uproot.recreate(path) as file:
        columns = {f"j_{name}": lists(events, name) for name in ("pt", "eta", "phi", "mass")}
        columns |= {f"c_{name}": deep(events, name) for name in ("pt", "eta", "phi", "mass")}
        columns["run"] = np.arange(N_EVENTS)
        file.mkrntuple("events", columns)
    schema = Schema.from_dict(
        {
            "name": "nested",
            "layout": "nested",
            "jets": fields("j_"),
            "collections": {"particles": fields("c_")},
            "observers": {"run": "run"},
        }
    )
    (chunk,) = open_jets(path, schema=schema).chunks()
    check(chunk.jets, events)
    assert chunk.counts.tolist() == [len(event) for event in events]
    assert chunk.jets.run.tolist() == [number for number, event in enumerate(events) for _ in event]
    steps = list(open_jets(path, schema=schema).chunks(step=4))
    assert ak.concatenate([step.jets for step in steps]).tolist() == chunk.jets.tolist()


def pfnano(events, *, shuffled=True):
    """Events as PFNano has them: links of all jets in one list, in any order, into a list of all candidates."""
    pool, owner, item = [], [], []
    for event in events:
        candidates = [(number, particle) for number, jet in enumerate(event) for particle in jet["particles"]]
        others = [(-1, particle) for particle in numbers(3)]
        everything = [*candidates, *others]
        order = RNG.permutation(len(everything)) if shuffled else np.arange(len(everything))
        everything = [everything[position] for position in order]
        pool.append([particle for _, particle in everything])
        links = [(number, position) for position, (number, _) in enumerate(everything) if number >= 0]
        links = [links[position] for position in RNG.permutation(len(links))]
        owner.append([number for number, _ in links])
        item.append([position for _, position in links])
    columns = {f"Jet_{name}": lists(events, name) for name in ("pt", "eta", "phi", "mass")}
    columns |= {
        f"PFCands_{name}": ak.values_astype(ak.Array([[p[name] for p in event] for event in pool]), np.float32)
        for name in ("pt", "eta", "phi", "mass")
    }
    n_pool = ak.num(columns["PFCands_pt"])
    flat = int(ak.sum(n_pool))
    error = np.where(RNG.random(flat) < 0.5, -1, 0.25).astype(np.float32)
    columns["PFCands_charge"] = ak.unflatten(np.where(error < 0, 0, 1).astype(np.int32), n_pool)
    columns["PFCands_pdgId"] = ak.unflatten(np.where(error < 0, 22, 211).astype(np.int32), n_pool)
    # an impact parameter of -1 cm can be real: it is the error that says whether there is a track
    columns["PFCands_d0"] = ak.unflatten(np.full(flat, -1, np.float32), n_pool)
    columns["PFCands_d0Err"] = ak.unflatten(error, n_pool)
    columns["JetPFCands_jetIdx"] = ak.values_astype(ak.Array(owner), np.int32)
    columns["JetPFCands_pFCandsIdx"] = ak.values_astype(ak.Array(item), np.int32)
    columns["Jet_partonFlavour"] = ak.values_astype(lists(events, "pt") * 0 + 21, np.int32)
    columns["Jet_hadronFlavour"] = ak.values_astype(lists(events, "pt") > 30, np.int32) * np.int32(5)
    return columns


def write_tree(path, columns, *, name="Events"):
    with uproot.recreate(path, compression=uproot.ZLIB(4)) as file:
        groups = {}
        for branch, array in columns.items():
            group, _, member = branch.partition("_")
            groups.setdefault(group, {})[member] = array
        tree = {g: ak.Array(m[""]) if "" in m else ak.zip(m) for g, m in groups.items()}
        file.mktree(name, {g: a.type.content for g, a in tree.items()}).extend(tree)
    return path


def test_indexed_candidates_in_any_order(events, tmp_path):
    path = write_tree(tmp_path / "pfnano.root", pfnano(events))
    jets = read_jets(path)  # the schema is found
    check(jets, events)
    assert jets.label.tolist() == ["bottom" if jet["pt"] > 30 else "gluon" for event in events for jet in event]


def test_a_candidate_without_a_track_has_no_impact_parameter(events, tmp_path):
    jets = read_jets(write_tree(tmp_path / "pfnano.root", pfnano(events)))
    particles = ak.flatten(jets.particles)
    neutral = ak.to_numpy(particles.charge == 0)
    assert 0 < neutral.sum() < len(neutral)
    np.testing.assert_array_equal(np.isnan(ak.to_numpy(particles.d0)), neutral)
    np.testing.assert_array_equal(np.isnan(ak.to_numpy(particles.d0_error)), neutral)
    assert set(ak.to_numpy(particles.d0)[~neutral]) == {-10.0}  # mm


def test_a_link_of_no_jet_is_left_out(events, tmp_path):
    columns = pfnano(events)
    extra = ak.Array([[-1]] * N_EVENTS)
    for name in ("JetPFCands_jetIdx", "JetPFCands_pFCandsIdx"):
        columns[name] = ak.concatenate([extra if name.endswith("jetIdx") else extra * 0, columns[name]], axis=1)
    check(read_jets(write_tree(tmp_path / "pfnano.root", columns)), events)


def test_vertices_without_a_match_are_kept_with_missing_values(events, tmp_path):
    columns = pfnano(events)
    first = [event[:1] for event in events]
    n_jets = np.array([len(event) for event in events])
    columns["JetSVs_jetIdx"] = ak.Array([[0, 0] if jets else [] for jets in first])
    columns["JetSVs_sVIdx"] = ak.Array([[1, -1] if jets else [] for jets in first])
    for name in ("pt", "mass", "ntracks", "dxy", "dxysig", "d3d", "d3dsig", "costhetasvpv"):
        columns[f"JetSVs_{name}"] = ak.Array([[1.0, 2.0] if jets else [] for jets in first])
    columns["SV_eta"] = ak.Array([[0.25, 0.5]] * N_EVENTS)
    columns["SV_phi"] = ak.Array([[1.25, 1.5]] * N_EVENTS)
    jets = read_jets(write_tree(tmp_path / "pfnano.root", columns))
    is_first = np.concatenate([np.arange(n) == 0 for n in n_jets])
    assert ak.num(jets.vertices).tolist() == np.where(is_first, 2, 0).tolist()
    vertices = jets.vertices[is_first][0]
    assert vertices.pt.tolist() == [2.0, 1.0]
    assert np.isnan(vertices.eta[0])
    assert vertices.eta[1] == 0.5
    assert vertices.d_xy.tolist() == [20.0, 10.0]  # mm
    assert np.isnan(vertices.energy[0])
    assert vertices.energy[1] == pytest.approx(np.hypot(np.cosh(0.5), 1.0))


def test_a_file_of_data_has_no_labels(events, tmp_path):
    columns = {name: array for name, array in pfnano(events).items() if "Flavour" not in name}
    assert "label" not in read_jets(write_tree(tmp_path / "data.root", columns)).fields


@pytest.mark.parametrize(
    ("branch", "value", "message"),
    [
        ("JetPFCands_jetIdx", 99, r"'JetPFCands_jetIdx' names the jet 99 in entry \d+, which has \d"),
        ("JetPFCands_pFCandsIdx", 999, r"'JetPFCands_pFCandsIdx' names the record 999 in entry \d+, which has \d+"),
    ],
)
def test_a_link_that_points_outside_is_named(events, tmp_path, branch, value, message):
    columns = pfnano(events)
    columns[branch] = ak.where(ak.local_index(columns[branch]) == 0, value, columns[branch])
    with pytest.raises(SchemaError, match=rf"in .*pfnano.root:Events, entries 0 to 15: .*{message}"):
        read_jets(write_tree(tmp_path / "pfnano.root", columns))


def edm4hep(events):
    """Events as EDM4hep has them: a jet's particles are a range of links into the reconstructed particles."""
    begin, end, item, pool = [], [], [], []
    for event in events:
        particles = [particle for jet in event for particle in jet["particles"]]
        position = RNG.permutation(len(particles) + 2)
        in_pool = [None] * len(position)
        for at, particle in zip(position, [*particles, *numbers(2)], strict=True):
            in_pool[at] = particle
        ends = np.cumsum([0, *(len(jet["particles"]) for jet in event)]).tolist()
        begin.append(ends[:-1])
        end.append(ends[1:])
        item.append(position[: len(particles)].tolist())
        pool.append(in_pool)
    p = {
        name: ak.values_astype(ak.Array([[q[name] for q in each] for each in pool]), np.float64)
        for name in ("pt", "eta", "phi", "mass")
    }
    j = {name: ak.values_astype(lists(events, name), np.float64) for name in ("pt", "eta", "phi", "mass")}
    columns = {}
    for name, q in (("Jet", j), ("ReconstructedParticles", p)):
        columns[f"{name}.momentum.x"] = q["pt"] * np.cos(q["phi"])
        columns[f"{name}.momentum.y"] = q["pt"] * np.sin(q["phi"])
        columns[f"{name}.momentum.z"] = q["pt"] * np.sinh(q["eta"])
        columns[f"{name}.energy"] = np.hypot(q["pt"] * np.cosh(q["eta"]), q["mass"])
        columns[f"{name}.mass"] = q["mass"]
        columns[f"{name}.charge"] = q["mass"] * 0
        columns[f"{name}.type"] = ak.values_astype(q["mass"] * 0 + 22, np.int32)
    columns["Jet.particles_begin"] = ak.values_astype(ak.Array(begin), np.uint32)
    columns["Jet.particles_end"] = ak.values_astype(ak.Array(end), np.uint32)
    columns["Jet#2.index"] = ak.values_astype(ak.Array(item), np.int32)
    columns["Jet#2.collectionID"] = columns["Jet#2.index"] * 0 + 15
    return columns


def test_ranges_of_links(events, tmp_path):
    path = tmp_path / "edm4hep.root"
    with uproot.recreate(path) as file:
        columns = edm4hep(events)
        file.mktree("events", {name: array.type.content for name, array in columns.items()}).extend(columns)
    jets = read_jets(path)
    expected = [jet for event in events for jet in event]
    np.testing.assert_allclose(jets.eta, [jet["eta"] for jet in expected], rtol=1e-9)
    for found, jet in zip(jets, expected, strict=True):
        np.testing.assert_allclose(found.particles.pt, [p["pt"] for p in jet["particles"]], rtol=1e-9)
        np.testing.assert_allclose(found.particles.phi, [p["phi"] for p in jet["particles"]], rtol=1e-9)
        assert all(found.particles.is_photon)
    assert [chunk.counts.tolist() for chunk in open_jets(path).chunks()] == [[len(event) for event in events]]


def test_a_range_that_leaves_its_links_is_named(events):
    columns = edm4hep(events)
    columns["Jet.particles_end"] = columns["Jet.particles_end"] + 50
    with pytest.raises(SchemaError, match=r"the particles of a jet in entry \d+ go from \d+ to \d+, of \d+ there are"):
        rows_from_columns(columns, load_schema("fcc"))


def test_links_into_two_collections_are_refused(events):
    columns = edm4hep(events)
    index = ak.local_index(columns["Jet#2.index"])
    columns["Jet#2.collectionID"] = ak.where(index == 1, 16, columns["Jet#2.collectionID"])
    with pytest.raises(SchemaError, match=r"'Jet#2.collectionID' names 2 collections, 15, 16"):
        rows_from_columns(columns, load_schema("fcc"))


def physlite(events):
    """Events as PHYSLITE has them: lists of element links, some of which lead nowhere."""
    item, key, tracks = [], [], []
    for event in events:
        pool, links, keys = [], [], []
        for jet in event:
            positions = list(range(len(pool), len(pool) + len(jet["particles"])))
            pool += jet["particles"]
            links.append([0, *positions[::-1]])
            keys.append([0, *(7 for _ in positions)])
        item.append(links)
        key.append(keys)
        tracks.append(pool)
    theta = [[2 * np.arctan(np.exp(-p["eta"])) for p in pool] for pool in tracks]
    q_over_p = [[-1e-3 / (p["pt"] * np.cosh(p["eta"])) for p in pool] for pool in tracks]
    jets, track = "AnalysisJetsAuxDyn:", "InDetTrackParticlesAuxDyn:"
    links = ak.zip(
        {
            "m_persKey": ak.values_astype(ak.Array(key), np.uint32),
            "m_persIndex": ak.values_astype(ak.Array(item), np.uint32),
        }
    )
    return {
        f"{jets}pt": lists(events, "pt") * 1000,
        f"{jets}eta": lists(events, "eta"),
        f"{jets}phi": lists(events, "phi"),
        f"{jets}m": lists(events, "mass") * 1000,
        f"{jets}GhostTrack": links,
        f"{track}theta": ak.values_astype(ak.Array(theta), np.float64),
        f"{track}qOverP": ak.values_astype(ak.Array(q_over_p), np.float64),
        f"{track}phi": ak.values_astype(ak.Array([[p["phi"] for p in pool] for pool in tracks]), np.float64),
    }


def test_element_links(events, tmp_path):
    path = tmp_path / "physlite.root"
    with uproot.recreate(path) as file:
        file.mkrntuple("EventData", physlite(events))
    jets = read_jets(path)
    expected = [jet for event in events for jet in event]
    np.testing.assert_allclose(jets.pt, [jet["pt"] for jet in expected], rtol=1e-6)  # MeV to GeV
    for found, jet in zip(jets, expected, strict=True):
        np.testing.assert_allclose(found.particles.pt, [p["pt"] for p in jet["particles"]], rtol=1e-6)
        np.testing.assert_allclose(found.particles.eta, [p["eta"] for p in jet["particles"]], rtol=1e-5, atol=1e-6)
        energies = [np.hypot(p["pt"] * np.cosh(p["eta"]), 0.13957) for p in jet["particles"]]
        np.testing.assert_allclose(found.particles.energy, energies, rtol=1e-6)
        assert set(found.particles.charge.tolist()) <= {-1.0}


def test_references_into_several_lists_are_found_by_identity(events):
    """uproot can read a TRefArray but not write one, so the columns are made here."""
    reference, columns = [], {}
    kinds = ("EFlowTrack", "EFlowPhoton", "EFlowNeutralHadron")
    pools = {kind: [] for kind in kinds}
    for event in events:
        next_identity = 100
        mine = {kind: [] for kind in kinds}
        refs = []
        for jet in event:
            refs.append([12345])  # points to something that is in none of the lists
            for number, particle in enumerate(jet["particles"]):
                next_identity += 1
                mine[kinds[number % 3]].append((next_identity, particle))
                refs[-1].append(next_identity)
        reference.append(refs)
        for kind in kinds:
            pools[kind].append(mine[kind][::-1])
    columns["Jet.Constituents"] = ak.values_astype(ak.Array(reference), np.int32)
    for name, branch in (("pt", "PT"), ("eta", "Eta"), ("phi", "Phi"), ("mass", "Mass")):
        columns[f"Jet.{branch}"] = lists(events, name)
    for kind in kinds:
        made = {
            name: ak.values_astype(ak.Array([[p[name] for _, p in pool] for pool in pools[kind]]), np.float32)
            for name in ("pt", "eta", "phi")
        }
        columns[f"{kind}.fUniqueID"] = ak.values_astype(
            ak.Array([[identity for identity, _ in pool] for pool in pools[kind]]), np.uint32
        )
        columns[f"{kind}.Eta"], columns[f"{kind}.Phi"] = made["eta"], made["phi"]
        if kind == "EFlowTrack":
            columns[f"{kind}.PT"] = made["pt"]
            columns[f"{kind}.Charge"] = ak.values_astype(made["pt"] * 0 + 1, np.int32)
            columns[f"{kind}.PID"] = ak.values_astype(made["pt"] * 0 + 211, np.int32)
            columns[f"{kind}.D0"] = made["pt"] * 0 + 0.5
        else:
            columns[f"{kind}.ET"] = made["pt"]
            columns[f"{kind}.E"] = made["pt"] * np.cosh(made["eta"])
    jets = jets_from_rows(rows_from_columns(columns, load_schema("delphes")))
    expected = [jet for event in events for jet in event]
    assert ak.num(jets.particles).tolist() == [len(jet["particles"]) for jet in expected]
    for found, jet in zip(jets, expected, strict=True):
        assert found.particles.pt.tolist() == [p["pt"] for p in jet["particles"]]
        assert found.particles.is_photon.tolist() == [number % 3 == 1 for number in range(len(jet["particles"]))]
        is_track = np.arange(len(jet["particles"])) % 3 == 0
        np.testing.assert_array_equal(np.isnan(ak.to_numpy(found.particles.d0)), ~is_track)


def test_jets_are_clustered_from_particles(tmp_path):
    """Compared with fastjet's own jets, event by event."""
    fastjet = pytest.importorskip("fastjet")
    pools = [numbers(n) for n in (40, 0, 1, 25)]
    columns = {
        f"p_{name}": ak.values_astype(ak.Array([[p[name] for p in pool] for pool in pools]), np.float64)
        for name in ("pt", "eta", "phi", "mass")
    }
    schema = Schema.from_dict(
        {
            "name": "events",
            "layout": "clustered",
            "collections": {"particles": fields("p_")},
            "observers": {"weight": "w"},
            "clustering": {"algorithm": "antikt", "radius": 0.8, "min_pt": 10.0},
        }
    )
    rows = rows_from_columns({**columns, "w": np.arange(4.0)}, schema)
    jets = jets_from_rows(rows)
    n_jets, at = [], 0
    definition = fastjet.JetDefinition(fastjet.antikt_algorithm, 0.8)
    for number, pool in enumerate(pools):
        inputs = []
        for p in pool:
            pz, energy = p["pt"] * np.sinh(p["eta"]), np.hypot(p["pt"] * np.cosh(p["eta"]), p["mass"])
            inputs.append(fastjet.PseudoJet(p["pt"] * np.cos(p["phi"]), p["pt"] * np.sin(p["phi"]), pz, energy))
        sequence = fastjet.ClusterSequence(inputs, definition)
        made = fastjet.sorted_by_pt(sequence.inclusive_jets(10.0))
        n_jets.append(len(made))
        for jet in made:
            assert jets.pt[at] == pytest.approx(jet.pt())
            assert jets.eta[at] == pytest.approx(jet.eta())
            assert jets.mass[at] == pytest.approx(jet.m(), abs=1e-5)
            members = sorted((each.pt() for each in jet.constituents()), reverse=True)
            np.testing.assert_allclose(jets.particles[at].pt, members)
            assert jets.weight[at] == number
            at += 1
    assert rows.counts.tolist() == n_jets
    assert at == len(jets)
    assert n_jets[0] > 1
    assert n_jets[1] == 0


def test_an_unknown_jet_algorithm_is_refused():
    pytest.importorskip("fastjet")
    columns = {f"p_{name}": ak.Array([[1.0]]) for name in ("pt", "eta", "phi", "mass")}
    schema = Schema.from_dict(
        {
            "name": "events",
            "layout": "clustered",
            "collections": {"particles": fields("p_")},
            "clustering": {"algorithm": "anti-kt"},
        }
    )
    with pytest.raises(SchemaError, match=r"the jet algorithm 'anti-kt'; closest: 'antikt'"):
        rows_from_columns(columns, schema)


def test_slots_that_are_padding_are_left_out():
    columns = {
        "X.0": np.array([[1.0, 3.0, 0.0], [0.0, 0.0, 0.0]]),
        "X.1": np.array([[0.5, -0.5, 9.0], [9.0, 9.0, 9.0]]),
        "X.2": np.array([[1.0, 2.0, 9.0], [9.0, 9.0, 9.0]]),
        "X.3": np.array([[22.0, 211.0, 9.0], [9.0, 9.0, 9.0]]),
        "y": np.array([1.0, 0.0]),
    }
    jets = jets_from_rows(rows_from_columns(columns, load_schema("energyflow")))
    assert jets.particles.pid.tolist() == [[211, 22], []]
    assert jets.label.tolist() == ["quark", "gluon"]
    px = 1 * np.cos(1) + 3 * np.cos(2)
    py = 1 * np.sin(1) + 3 * np.sin(2)
    assert jets.pt[0] == pytest.approx(np.hypot(px, py))
    assert jets.energy[0] == pytest.approx(np.cosh(0.5) * 4)
    assert [jets[name][1] for name in ("pt", "eta", "phi", "energy")] == [0, 0, 0, 0]


def test_slots_of_different_shape_are_refused():
    columns = {f"X.{axis}": np.ones((2, 3 + (axis == 1))) for axis in range(4)} | {"y": np.zeros(2)}
    with pytest.raises(SchemaError, match=r"'X.1' has the shape \(2, 4\) and the padding \(2, 3\)"):
        rows_from_columns(columns, load_schema("energyflow"))


def test_events_read_as_jets_are_refused_with_advice(events):
    columns = pfnano(events)
    columns["Jet_pt"] = np.ones(N_EVENTS)
    flat = {name: np.ones(N_EVENTS) if name.startswith("Jet_") else array for name, array in columns.items()}
    with pytest.raises(SchemaError, match=r"found none among the branches of \[jets\]. Use the layout 'flat'"):
        rows_from_columns(flat, load_schema("pfnano-ak4"))
