"""What holds for any jets, lengths, windows, numbers and selections: reading, padding, batches, scaling, alignment.

``pytest tests/test_properties.py --hypothesis-profile=thorough`` tries a thousand of each.
"""

import functools
import tempfile
from pathlib import Path
from types import MappingProxyType
from unittest import mock

import awkward as ak
import numpy as np
import pytest
import uproot
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from hepnn import streaming
from hepnn.batches import BucketedBatches
from hepnn.clouds import Clouds, Collection, ParticleCloud, Sequences
from hepnn.features import Feature, custom_feature
from hepnn.readers import EntryRange, open_jets
from hepnn.scaling import fit_scaling
from hepnn.schema import Schema
from hepnn.streaming import Labelled, StreamedBatches
from hepnn.tagging import tag
from hepnn.trees import TreeWriter

pytest.importorskip("h5py")
pytest.importorskip("pyarrow")
import h5py  # after it is known to be there

seeds = st.integers(0, 2**32 - 1)
counts_of_jets = st.lists(st.integers(0, 5), max_size=12)

ODD_NUMBERS = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1e-45, -1e38, 3.4e38, 1.0])
"""What files hold as well; reading hands it on as it is."""

N_SLOTS = 5


# Reading


def numbers(rng, n, dtype, *, odd=True):
    values = rng.normal(0, 100, n).astype(dtype)
    return np.where(rng.random(n) < 0.2, rng.choice(ODD_NUMBERS, n).astype(dtype), values) if odd else values


@st.composite
def contents(draw):
    """Branches: of jets, of particles with as many as drawn, and labels that exclude each other."""
    counts = np.array(draw(counts_of_jets), np.int64)
    rng = np.random.default_rng(draw(seeds))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    n, n_particles = len(counts), int(counts.sum())
    label = rng.integers(0, 3, n)
    parts = {f"part_{name}": numbers(rng, n_particles, dtype) for name in ("pt", "eta", "phi", "energy")}
    parts["part_pid"] = rng.integers(-(2**31), 2**31, n_particles).astype(np.int32)
    parts["part_valid"] = np.ones(n_particles, np.int8)
    return {
        **{f"jet_{name}": numbers(rng, n, dtype) for name in ("pt", "eta", "phi", "energy")},
        "weight": numbers(rng, n, np.float64),
        **{f"label_{name}": label == i for i, name in enumerate(("a", "b"))},
        **{name: ak.unflatten(values, counts) for name, values in parts.items()},
    }


def schema_of(*, is_padded):
    names = ("pt", "eta", "phi", "energy")
    return Schema.from_dict(
        {
            "name": "mine",
            "layout": "columns" if is_padded else "flat",
            "trees": ["tree"],
            **({"padding": "part_valid == 0"} if is_padded else {}),
            "jets": {name: f"jet_{name}" for name in names},
            "observers": {"weight": "weight"},
            "collections": {"particles": {name: f"part_{name}" for name in (*names, "pid")}},
            "labels": {"a": "label_a", "b": "label_b"},
        }
    )


def pieces(content, size):
    n = len(content["jet_pt"])
    return [{name: array[at : at + size] for name, array in content.items()} for at in range(0, max(n, 1), size)]


def write_ttree(path, content, size):
    with TreeWriter(path, tree="tree") as out:
        for piece in pieces(content, size):
            out.extend(piece)


def write_rntuple(path, content, size):
    with uproot.recreate(path) as file:
        first, *others = pieces(content, size)
        ntuple = file.mkrntuple("tree", first)
        for piece in others:
            ntuple.extend(piece)


def write_parquet(path, content, size):
    ak.to_parquet(ak.zip(content, depth_limit=1), path, row_group_size=size)


def padded(values):
    if values.ndim == 1:
        return values
    made = np.zeros((len(values), N_SLOTS), ak.to_numpy(ak.flatten(values)).dtype)
    made[np.arange(N_SLOTS) < ak.to_numpy(ak.num(values))[:, None]] = ak.to_numpy(ak.flatten(values))
    return made


def write_hdf5(path, content, size):
    with h5py.File(path, "w") as file:
        for name, values in content.items():
            data = padded(values)
            file.create_dataset(name, data=data, chunks=(size, *data.shape[1:]), maxshape=(None, *data.shape[1:]))


def write_npz(path, content, size):
    np.savez(path, **{name: padded(values) for name, values in content.items()})


WRITERS = {
    ".ttree.root": write_ttree,
    ".rntuple.root": write_rntuple,
    ".parquet": write_parquet,
    ".h5": write_hdf5,
    ".npz": write_npz,
}


def expected_jets(content):
    """The jets as lists, in order of falling pt and NaN last, by Python's own sorting."""
    names = ("pt", "eta", "phi", "energy")
    parts = [content[f"part_{name}"].tolist() for name in (*names, "pid")]
    made = []
    for row, (a, b) in enumerate(zip(content["label_a"], content["label_b"], strict=True)):
        particles = list(zip(*(column[row] for column in parts), strict=True))
        particles.sort(key=lambda particle: np.inf if np.isnan(particle[0]) else -particle[0])
        made.append(
            (
                [content[f"jet_{name}"][row].item() for name in names],
                content["weight"][row].item(),
                "a" if a else "b" if b else None,
                particles,
            )
        )
    return made


def found_jets(jets):
    names = ("pt", "eta", "phi", "energy")
    columns = [jets.particles[name].tolist() for name in (*names, "pid")]
    return [
        (
            [jets[name][row].item() for name in names],
            jets.weight[row].item(),
            jets.label[row],
            list(zip(*(column[row] for column in columns), strict=True)),
        )
        for row in range(len(jets))
    ]


@pytest.mark.parametrize("suffix", WRITERS)
@given(content=contents(), size=st.integers(1, 15), data=st.data())
def test_any_jets_are_read_as_they_were_written_in_any_steps_and_ranges(suffix, content, size, data):
    n = len(content["jet_pt"])
    expected = repr(expected_jets(content))  # in which NaN equals NaN, and -0.0 does not equal 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"jets{suffix}"
        WRITERS[suffix](path, content, size)
        files = open_jets(path, schema=schema_of(is_padded=suffix in (".h5", ".npz")))
        assert repr(found_jets(files.read())) == expected
        chunks = list(files.chunks(step=data.draw(st.integers(1, n + 2), label="step")))
        assert repr([jet for chunk in chunks for jet in found_jets(chunk.jets)]) == expected
        start = data.draw(st.integers(0, n), label="start")
        stop = data.draw(st.integers(start, n), label="stop")
        assert repr(found_jets(files.chunk(EntryRange(0, start, stop)).jets)) == repr(
            expected_jets(content)[start:stop]
        )
        limit = data.draw(st.integers(0, n + 2), label="max_jets")
        assert repr(found_jets(files.read(max_jets=limit))) == repr(expected_jets(content)[:limit])


# Padding


def pt_itself(particles, jet):
    return particles.pt


def place(particles, jet):
    return particles.place


@st.composite
def jets_with_ties(draw):
    """Jets whose particles have few different pt, in any order; ``place`` numbers them."""
    counts = np.array(draw(counts_of_jets), np.int64)
    n = int(counts.sum())
    pt = np.array(draw(st.lists(st.integers(1, 4), min_size=n, max_size=n)), np.float32)
    parts = {"pt": pt, "eta": 0 * pt, "phi": 0 * pt, "energy": pt, "place": np.arange(n, dtype=np.float32)}
    particles = ak.unflatten(ak.zip(parts), counts)
    of_jets = np.ones(len(counts), np.float32)
    return ak.zip(
        {"pt": of_jets, "eta": 0 * of_jets, "phi": 0 * of_jets, "energy": of_jets, "particles": particles},
        depth_limit=1,
    )


@given(
    jets=jets_with_ties(),
    most=st.integers(1, 6),
    order_by=st.sampled_from(["pt", "place"]),
    descending=st.booleans(),
    data=st.data(),
)
def test_padded_tensors_hold_the_hardest_particles_of_each_jet_in_order(jets, most, order_by, descending, data):
    features = (custom_feature(pt_itself), custom_feature(place))
    collection = Collection(features, max_particles=most, order_by=order_by, descending=descending)
    clouds = ParticleCloud({"particles": collection}).tensors(jets)
    expected = []
    for particles in jets.particles.tolist():
        hardest = sorted(particles, key=lambda particle: -particle["pt"])[:most]
        if order_by == "place":
            hardest.sort(key=lambda particle: particle["place"], reverse=descending)
        elif not descending:
            hardest.reverse()
        expected.append([[particle["pt"], particle["place"]] for particle in hardest])
    n = len(jets)
    assert clouds.n_truncated == {"particles": int(ak.sum(ak.num(jets.particles) > most))}
    rows = np.array(
        data.draw(st.lists(st.integers(0, n - 1), max_size=8) if n else st.just([]), label="rows"), np.int64
    )
    longest = max((len(expected[row]) for row in rows), default=0)
    length = data.draw(st.none() | st.integers(max(longest, 1), 9), label="length")
    for chosen, inputs in ((rows, clouds.pad(rows, length=length)), (rows, clouds[rows].pad(length=length))):
        values, mask = inputs["particles"], inputs["particles_mask"]
        assert values.shape == (len(chosen), length or max(longest, 1), 2)
        assert [row[there].tolist() for row, there in zip(values, mask, strict=True)] == [expected[i] for i in chosen]
        assert (np.sort(mask, axis=1)[:, ::-1] == mask).all()  # padding is on the right
        assert not values[~mask].any()
    start = data.draw(st.integers(0, n), label="start")
    part = slice(start, data.draw(st.integers(start, n), label="stop"))
    for name, values in clouds.pad(part, length=9).items():
        np.testing.assert_array_equal(values, clouds.pad(np.arange(n)[part], length=9)[name])


# Batches


def labelled(lengths, first=0, *, weighted=True):
    """Jets whose only feature is their number, which is their class and weight too."""
    lengths = np.asarray(lengths, np.int64)
    number = first + np.arange(len(lengths))
    values = np.repeat(number, lengths).astype(np.float32)[:, None]
    clouds = Clouds({"particles": Sequences(values, lengths, 0)}, number.astype(np.float32)[:, None])
    return Labelled(clouds, number, number / 2 if weighted else None)


def check_batches(batches, n, batch_size):
    """Every jet once, with its own particles, class and weight; returns the sizes of the batches."""
    seen, sizes = [], []
    for inputs, targets, *weights in batches:
        mask = inputs["particles_mask"]
        np.testing.assert_array_equal(
            inputs["particles"][..., 0][mask], np.broadcast_to(targets[:, None], mask.shape)[mask]
        )
        np.testing.assert_array_equal(inputs["jet"][:, 0], targets)
        for each in weights:
            np.testing.assert_array_equal(each, targets / 2)
        seen += targets.tolist()
        sizes.append(len(targets))
    assert sorted(seen) == list(range(n))
    assert len(sizes) == len(batches)
    assert max(sizes) <= batch_size
    return sizes


@given(
    lengths=st.lists(st.integers(0, 70), min_size=1, max_size=60),
    batch_size=st.integers(1, 20),
    n_buckets=st.integers(1, 8),
    seed=seeds,
    weighted=st.booleans(),
)
def test_every_jet_comes_once_an_epoch_with_what_is_its_own(lengths, batch_size, n_buckets, seed, weighted):
    jets = labelled(lengths, weighted=weighted)
    batches = BucketedBatches(*jets, batch_size=batch_size, n_buckets=n_buckets, seed=seed)
    for batches.epoch in range(2):
        sizes = check_batches(batches, len(lengths), batch_size)
        assert sum(size < batch_size for size in sizes) <= 1


@given(
    lengths=st.lists(st.integers(0, 40), min_size=1, max_size=60),
    block=st.integers(1, 9),
    window=st.integers(1, 5),
    batch_size=st.integers(1, 20),
    seed=seeds,
)
def test_every_jet_of_any_windows_comes_once_an_epoch_with_what_is_its_own(lengths, block, window, batch_size, seed):
    starts = np.arange(0, len(lengths), block)
    read_blocks = []

    def read(blocks):
        read_blocks.extend(blocks.tolist())
        parts = [labelled(lengths[starts[b] : starts[b] + block], starts[b]) for b in blocks]
        sequences = [part.tensors.collections["particles"] for part in parts]
        clouds = Clouds(
            {"particles": Sequences(*(np.concatenate([each[i] for each in sequences]) for i in (0, 1)), 0)},
            np.concatenate([part.tensors.jet for part in parts]),
        )
        return Labelled(clouds, *(np.concatenate([part[i] for part in parts]) for i in (1, 2)))

    sizes = np.array([len(lengths[start : start + block]) for start in starts])
    settings = {"batch_size": batch_size, "n_buckets": 3, "augment": None}
    with mock.patch.object(streaming, "WINDOW_BLOCKS", window):
        batches = StreamedBatches(sizes, read, settings=settings, seed=seed)
        for batches.epoch in range(2):
            read_blocks.clear()
            check_batches(batches, len(lengths), batch_size)
            assert sorted(read_blocks) == list(range(len(starts)))


# Scaling

float32s = st.floats(width=32, allow_nan=False, allow_infinity=False)
raw_values = st_numpy.arrays(np.float32, st_numpy.array_shapes(min_dims=2, max_dims=2, max_side=20), elements=float32s)


def features_of(n, *, missing=None):
    return [Feature(f"f{i}", lambda jets: jets, "1", "a test", missing=missing) for i in range(n)]


@given(values=raw_values, missing=st.sampled_from([None, 0.0]))
@example(values=np.float32([[0.0], [1e-45], [2e-45]]), missing=None)
@example(values=np.float32([[-3e38], [0.0], [3e38]]), missing=None)
def test_fitted_scaling_gives_finite_numbers_that_keep_their_order(values, missing):
    scaling = fit_scaling(features_of(values.shape[1], missing=missing), values)
    with np.errstate(over="ignore"):
        scaled = scaling(values)
    assert np.isfinite(np.asarray(scaling, np.float32)).all()
    assert np.isfinite(scaled).all()
    assert (scaled >= np.float32(scaling.lower)).all()
    assert (scaled <= np.float32(scaling.upper)).all()
    for column, raw in zip(scaled.T, values.T, strict=True):
        assert (np.diff(column[np.argsort(raw)]) >= 0).all()


@given(
    values=st_numpy.arrays(np.float32, st.tuples(st.integers(2, 30), st.just(1)), elements=st.integers(-99, 99)),
    factor=st.sampled_from([0.25, 0.5, 2.0, 64.0]),
    shift=st.integers(-100, 100),
    order=st.randoms(use_true_random=False),
)
def test_fitted_scaling_knows_no_units_and_no_order_of_jets(values, factor, shift, order):
    (feature,) = features_of(1)
    scaled = fit_scaling([feature], values)(values)
    if np.ptp(np.quantile(values, [0.16, 0.84])) == 0:
        return  # the feature keeps its own scaling
    moved = np.float32(factor) * values + np.float32(shift)
    np.testing.assert_allclose(fit_scaling([feature], moved)(moved), scaled, atol=1e-4)
    rows = list(range(len(values)))
    order.shuffle(rows)
    np.testing.assert_array_equal(fit_scaling([feature], values[rows])(values[rows]), scaled[rows])


# Alignment


class ByPt:
    """A tagger whose score of a jet is its pt, and which looks at nothing else."""

    classes_ = np.array(["low", "pt"])
    seen_ = MappingProxyType({})

    class Tensors(list):
        def pad(self, rows):
            return {}

    def tensors(self, jets):
        return self.Tensors(jets.pt.tolist())

    def scores(self, tensors):
        pt = np.array(tensors, np.float32).reshape(-1)
        return np.stack([-pt, pt], axis=1)

    def records(self, scores):
        return ak.zip({"low": scores[:, 0], "pt": scores[:, 1]})


@functools.cache
def event_schema(*, has_events):
    names = ("pt", "eta", "phi", "energy")
    return Schema.from_dict(
        {
            "name": "mine",
            "layout": "nested" if has_events else "flat",
            "jets": {name: "one_pt" if name in ("pt", "energy") else "one_eta" for name in names},
            "collections": {"particles": {name: f"part_{name}" for name in names}},
        }
    )


@given(
    files=st.lists(st.lists(st.integers(0, 4), max_size=9), min_size=1, max_size=3),
    has_events=st.booleans(),
    select=st.none() | st.sampled_from(["pt > 50", "n_particles == 0", "eta > 0", "pt < 0", "is_sound"]),
    step=st.integers(1, 11),
    suffix=st.sampled_from([".root", ".parquet"]),
    seed=seeds,
)
def test_rows_of_scores_are_the_rows_that_went_in(files, has_events, select, step, suffix, seed):
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        paths, expected = [], []
        for number, counts in enumerate(files):
            counts = np.array(counts if has_events else [1] * len(counts), np.int64)
            n = int(counts.sum())
            pt, eta = rng.integers(1, 100, n).astype(np.float32), rng.choice(np.float32([-1, 1]), n)
            n_particles = rng.integers(0, 3, n)
            momenta = {f"part_{name}": rng.uniform(1, 2, n_particles.sum()) for name in ("pt", "eta", "phi")}
            momenta["part_energy"] = momenta["part_pt"] * np.cosh(momenta["part_eta"])
            parts = {name: ak.unflatten(values, n_particles) for name, values in momenta.items()}
            passed = {
                None: np.ones(n, bool),
                "pt > 50": pt > 50,
                "n_particles == 0": n_particles == 0,
                "eta > 0": eta > 0,
                "pt < 0": np.zeros(n, bool),
                "is_sound": np.ones(n, bool),
            }[select]
            columns = {"one_pt": pt, "one_eta": eta, **parts}
            if has_events:
                columns = {name: ak.unflatten(values, counts) for name, values in columns.items()}
            paths.append(Path(folder) / f"{number}.parquet")
            ak.to_parquet(ak.zip(columns, depth_limit=1), paths[-1])
            scores = np.where(passed, pt, np.nan)
            expected += ak.unflatten(scores, counts).tolist() if has_events else scores.tolist()
        source = open_jets(paths, schema=event_schema(has_events=has_events), select=select)
        output = Path(folder) / f"scores{suffix}"
        (done,) = tag(source, ByPt(), output, step=step, prefix="s_", output_tree="scores")
        assert (done.n_entries, len(expected)) == (len(expected), sum(map(len, files)))
        if suffix == ".root":
            with uproot.open(output) as opened:
                found = {name: opened["scores"][name].array().tolist() for name in ("s_pt", "s_low")}
        else:
            found = {name: ak.from_parquet(output)[name].tolist() for name in ("s_pt", "s_low")}
        assert repr(found["s_pt"]) == repr(expected)
        assert repr((-ak.Array(found["s_low"])).tolist()) == repr(expected)
