"""Attacks in files of jets, and what else can be taken for one."""

import io
import json
import os
import pickle
import struct
import zipfile

import numpy as np

from tests.attacks.guard import MARKER, Case

ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e"
"""Tells a terminal to change its title, clear its screen, and write from right to left."""
SCRIPT = "<script>alert(1)</script>"


class Bomb:
    """What runs code when it is unpickled."""

    def __reduce__(self):
        return os.system, (f"echo {MARKER}",)


def npy(header, data=b""):
    """An array with a header of one's own."""
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def archive(path, members, *, compression=zipfile.ZIP_STORED):
    """A zip file with these members."""
    with zipfile.ZipFile(path, "w", compression) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return path


def claims(shape, descr="<f8", *, fortran=False):
    return npy(f"{{'descr': {descr!r}, 'fortran_order': {fortran}, 'shape': {shape}, }}", bytes(64))


def inspected(name, content, **more):
    """A case in which a file is inspected; ``content`` is its bytes, or writes it."""

    def make(_, own):
        path = own / name
        path.write_bytes(content) if isinstance(content, bytes) else content(path)
        return ["inspect", path]

    return Case(f"inspect-{name}", make, **more)


def objects(path):
    np.savez(path, X=np.array([Bomb(), Bomb()], dtype=object))


def many_members(path):
    archive(path, {f"../../{MARKER}{i}.npy": claims((8,)) for i in range(3)})


def zeros_compressed(path):
    archive(path, {"X.npy": claims((2**21 + 8,)) + bytes(2**24)}, compression=zipfile.ZIP_DEFLATED)


def in_hdf5(fill):
    def write(path):
        import h5py

        with h5py.File(path, "w") as file:
            fill(file)

    return write


def pickled_names(file):
    data = np.zeros(3, dtype=[("index", "i8"), ("values_block_0", "f4", (2,))])
    table = file.create_dataset("table/table", data=data)
    table.attrs["values_block_0_kind"] = np.bytes_(pickle.dumps([Bomb(), "E_0"], 0))
    table.attrs["CLASS"] = np.bytes_("TABLE")


def links_elsewhere(file):
    import h5py

    file["X"] = h5py.ExternalLink("/etc/passwd", "/")
    file["Y"] = h5py.SoftLink("/X/..")
    file.create_dataset("Z", (16,), "u1", external=[("/etc/passwd", 0, 16)])
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("../../elsewhere.h5", "X", (4,))
    file.create_virtual_dataset("V", layout)


def legacy_keras(file):
    function = {"class_name": "Lambda", "config": {"function": [f"import {MARKER}", None, None], "module": MARKER}}
    file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": {"layers": [function]}})
    file.attrs["keras_version"] = "2.0.0"
    file.create_group("model_weights")


def in_parquet(metadata=None, names=("pt",), **columns):
    def write(path):
        import pyarrow as pa
        import pyarrow.parquet

        fields = {name: pa.array([1.0, 2.0]) for name in names} | {k: pa.array(v) for k, v in columns.items()}
        schema = pa.schema([pa.field(k, v.type, metadata=metadata) for k, v in fields.items()], metadata=metadata)
        pyarrow.parquet.write_table(pa.table(list(fields.values()), schema=schema), path)

    return write


PICKLED_TYPE = {"ARROW:extension:name": b"arrow.py_extension_type", "ARROW:extension:metadata": pickle.dumps(Bomb())}
"""A type that releases of pyarrow before 14.0.1 unpickled (CVE-2023-47248)."""


def deep(path):
    import pyarrow as pa
    import pyarrow.parquet

    kind = pa.float32()
    for _ in range(80):
        kind = pa.list_(kind)
    pyarrow.parquet.write_table(pa.table({"x": pa.array([None], kind)}), path)


def in_root(names=("jet_pt",), tree="tree"):
    def write(path):
        import uproot

        with uproot.recreate(path) as file:
            file.mktree(tree, dict.fromkeys(names, np.float32)).extend({name: np.ones(4, np.float32) for name in names})

    return write


def code_in_streamer(path):
    """A TTree of an unknown version, whose streamer has code for the name of a counter (uproot before 5.7.5 ran it)."""
    from uproot.models.TTree import Model_TTree_v20 as Model

    name, code = b"fNClusterRange", f'")\n        import {MARKER}\n        if 0:#'.encode()
    before, version = Model.class_rawstreamers, 99
    (given,) = (each for each in before if each[2] == "TTree")
    data = given[1]
    at = data.rindex(bytes([len(name)]) + name + b"\x05TTree")
    made = bytearray(data[:at] + bytes([len(code)]) + code + data[at + 1 + len(name) :])
    for position in range(at):  # every object that holds the name is longer now
        size = struct.unpack_from(">I", data, position)[0] - 0x40000000
        if 0 < size < len(data) and at < position + 4 + size <= len(data):
            struct.pack_into(">I", made, position, 0x40000000 + size + len(code) - len(name))
    checksum = made.index(b"\x05TTree\x00") + 7
    struct.pack_into(">I", made, checksum + 4, version)
    changed = (given[0], bytes(made), "TTree", version)
    Model.class_rawstreamers = tuple(changed if each is given else each for each in before)
    try:
        in_root()(path)
    finally:
        Model.class_rawstreamers = before
    content = bytearray(path.read_bytes())
    tree = content.index(b"\x00\x14@\x00\x00")  # version 20, and the size of a TNamed
    while content[tree + 18 : tree + 23] != b"\x04tree":
        tree = content.index(b"\x00\x14@\x00\x00", tree + 1)
    struct.pack_into(">H", content, tree, version)
    path.write_bytes(content)


def many_entries(path):
    """A tree that is said to have 10¹⁵ entries."""
    in_root()(path)
    content = path.read_bytes()
    assert content.count(struct.pack(">q", 4)) >= 1
    path.write_bytes(content.replace(struct.pack(">q", 4), struct.pack(">q", 10**15)))


def tagging(given, own, jets=None):
    return ["tag", jets or given / "jets.parquet", "--tagger", given / "tagger", "-o", own / "out" / "scores.root"]


def special(name, make_path, **more):
    """What is no ordinary file."""

    def make(given, own):
        return ["inspect", make_path(given, own)]

    return Case(f"inspect-{name}", make, **more)


def fifo(_, own):
    os.mkfifo(own / "jets.root")
    return own / "jets.root"


def endless(_, own):
    (own / "jets.root").symlink_to("/dev/zero")
    return own / "jets.root"


def a_folder_of_links(_, own):
    (own / "files").mkdir()
    for name, target in (("a.root", "/etc/passwd"), ("b.root", "/dev/zero"), ("c.root", ".")):
        (own / "files" / name).symlink_to(target)
    return own / "files"


def merged_entries(given, own):
    path = own / "many.root"
    many_entries(path)
    schema_file = own / "flat.toml"
    parts = "".join(f'{name} = "jet_pt"\n' for name in ("pt", "eta", "phi", "energy"))
    schema_file.write_text(f'name = "flat"\n[jets]\n{parts}[collections.particles]\n{parts}')
    return [*tagging(given, own, path), "--part", "1/2", "--schema", schema_file]


def reported(own, labels):
    """Labelled jets with scores beside them, whose classes have these names."""
    import awkward as ak

    from tests.conftest import make_jets

    jets = make_jets(60)
    names = np.where(np.arange(60) % 2, labels[0], labels[1])
    jets = ak.with_field(jets, ak.Array(names.tolist()), "label")
    jets = ak.with_field(jets, np.linspace(0, 1, 60) * (np.arange(60) % 2) + 0.1, "score")
    ak.to_parquet(jets, own / "jets.parquet", extensionarray=False)
    return own / "jets.parquet"


def page(name, signal, background, expected):
    def make(_, own):
        path = reported(own, (signal, background))
        names = ["--signal", signal, "--background", background, "--scores", f"{SCRIPT}=score"]
        return ["evaluate", path, *names, "-o", own / "out" / "report/", "--against", "", "--mass", ""]

    return Case(f"evaluate-{name}", make, expected=(expected,))


def converted(_, own):
    return ["convert", reported(own, (f"../../{SCRIPT}", ESCAPES)), "-o", own / "out" / "shards"]


def written_schema(_, own):
    path = own / "names.parquet"
    in_parquet(names=("jet_pt\n[labels]\nx", f"part_pt{ESCAPES}", "part" * 3000 + "pt"))(path)
    return ["inspect", path, "--write-schema"]


def pickle_bytes():
    return pickle.dumps(Bomb())


def png():
    return b"\x89PNG\r\n\x1a\n" + bytes(64)


def keras_file():
    made = io.BytesIO()
    archive(made, {"config.json": json.dumps({"class_name": "Lambda", "module": MARKER}), "metadata.json": "{}"})
    return made.getvalue()


CASES = [
    inspected("objects.npz", objects, says="Python objects"),
    inspected("names.npz", many_members, expected=("done",)),
    inspected("rows.npz", lambda path: archive(path, {"X.npy": claims((10**15,))}), says="X"),
    inspected("features.npz", lambda path: archive(path, {"X.npy": claims((0, 1, 10**9))})),
    inspected("negative.npz", lambda path: archive(path, {"X.npy": claims((-1, 4))})),
    inspected("fortran.npz", lambda path: archive(path, {"X.npy": claims((10**6, 10**6), fortran=True)})),
    inspected("nothing.npz", lambda path: archive(path, {"X.npy": claims((10**12,), "|V0")})),
    inspected("parentheses.npz", lambda path: archive(path, {"X.npy": npy("(" * 9000)})),
    inspected("code.npz", lambda path: archive(path, {"X.npy": npy(f"__import__('{MARKER}')")})),
    inspected("zeros.npz", zeros_compressed, expected=("done",)),
    inspected("pickle.npz", pickle_bytes(), says="first bytes"),
    inspected("pickle.root", pickle_bytes(), says="first bytes"),
    inspected("pickle.pkl", pickle_bytes(), says="first bytes"),
    inspected("pickle.parquet", b"PAR1" + pickle_bytes() + b"PAR1"),
    inspected("pickle.h5", b"\x89HDF\r\n\x1a\n" + pickle_bytes()),
    inspected("truncated.root", b"root" + bytes(60)),
    inspected("code.py", f"import {MARKER}".encode(), says="first bytes"),
    inspected("page.html", SCRIPT.encode(), says="first bytes"),
    inspected("empty.root", b"", says="first bytes"),
    inspected("image.png", png(), says="first bytes"),
    inspected("model.keras", keras_file()),
    inspected("names.h5", in_hdf5(pickled_names), expected=("done",)),
    inspected("links.h5", in_hdf5(links_elsewhere)),
    inspected("legacy.h5", in_hdf5(legacy_keras)),
    inspected(
        "features.h5",
        in_hdf5(
            lambda file: file.create_dataset("X", (0, 1, 10**9), "f4", chunks=(1, 1, 64), maxshape=(None, 1, 10**9))
        ),
    ),
    inspected("rows.h5", in_hdf5(lambda file: file.create_dataset("X", (10**15,), "f4", chunks=(1024,)))),
    inspected("type.parquet", in_parquet(PICKLED_TYPE), expected=("done", "refused")),
    inspected("pandas.parquet", in_parquet({"pandas": f'{{"columns": "{MARKER}"}}'.encode()}), expected=("done",)),
    inspected("shown.parquet", in_parquet(names=(ESCAPES, "[/bold]", "[link=x]y", SCRIPT, "a\nb")), expected=("done",)),
    inspected("long.parquet", in_parquet(names=("0a" * 100_000, "jet" * 100_000)), expected=("done", "refused")),
    inspected("deep.parquet", deep, expected=("done", "refused")),
    inspected("shown.root", in_root((f"x{ESCAPES}", "[/bold]", SCRIPT)), expected=("done",)),
    inspected("tree.root", in_root(tree=f"t{ESCAPES}[/b]".replace(";", "")), expected=("done",)),
    inspected("code.root", code_in_streamer),
    inspected("entries.root", many_entries, expected=("done", "refused")),
    special("fifo", fifo),
    special("endless", endless),
    special("folder", a_folder_of_links),
    special("a-tagger", lambda given, own: given / "tagger"),
    special("a-description", lambda given, own: given / "tagger" / "tagger.json"),
    Case("tag-many-entries", merged_entries),
    Case("convert-names", converted, expected=("done",)),
    Case("write-schema", written_schema, expected=("done",), says="labels"),
    page(
        "names",
        f"../../../{SCRIPT}{ESCAPES}[/bold]",
        "a\n\n# b\n\n[c](javascript:alert(1)) &lt;script&gt; $\\frac{$",
        "done",
    ),
    page("long", "x" * 400, "y" * 400, "refused"),
]


def prepare():
    """Imports what reading takes, before anybody watches."""
    import h5py  # noqa: F401
    import matplotlib.pyplot  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import uproot  # noqa: F401

    import hepnn.inspection
    import hepnn.tagging  # noqa: F401
