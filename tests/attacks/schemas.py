"""Attacks in schemas and formulas."""

import json

from tests.attacks.guard import MARKER, Case
from tests.attacks.sources import ESCAPES, pickle_bytes, tagging

FORMULAS = (
    f"__import__('{MARKER}')",
    f"().__class__.__base__.__subclasses__()[0].__init__.__globals__['{MARKER}']",
    f"[{MARKER} for x in (1,)]",
    f"(lambda: {MARKER}())()",
    f"pt.__reduce__ or {MARKER}",
    f"f'{{{MARKER}}}'",
    "9**9**9**9",
    "pt" + "**16" * 400,
    "(" * 900 + "pt" + ")" * 900,
    "-" * 1900 + "pt",
    "where(pt, 1e400, ['x'] * 99999999999)",
    "pt if exec('1') else 2",
    "`" + f"{MARKER}`.system",
    "\x00pt > 1",
    "pt > 1\\\n; import os",
    ESCAPES,
    "[/bold]",
)


def schema(name, text, **more):
    def make(given, own):
        path = own / "hostile.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return ["inspect", given / "jets.root", "--schema", path]

    return Case(f"schema-{name}", make, **more)


def with_jets(**changes):
    """The schema hepnn with other entries in [jets], and the like: TOML of what is given."""
    jets = {"pt": '"jet_pt"', "eta": '"jet_eta"', "phi": '"jet_phi"', "energy": '"jet_energy"', **changes}
    parts = "\n".join(f'{name} = "part_energy"' for name in ("pt", "eta", "phi", "energy"))
    lines = "\n".join(f"{key} = {value}" for key, value in jets.items() if "." not in key)
    top = "\n".join(f"{key.partition('.')[2]} = {value}" for key, value in jets.items() if key.startswith("top."))
    return f'name = "hostile"\n{top}\n[jets]\n{lines}\n[collections.particles]\n{parts}\n'


WRONG = {
    "unit-list": {"pt": '{ value = "jet_pt", unit = ["GeV"] }'},
    "unit-table": {"pt": '{ value = "jet_pt", unit = { a = 1 } }'},
    "dtype-list": {"pt": '{ value = "jet_pt", dtype = ["f4"] }'},
    "dtype-object": {"pt": '{ value = "jet_pt", dtype = "object" }'},
    "sentinel-text": {"pt": '{ value = "jet_pt", sentinel = "x" }'},
    "sentinel-list": {"pt": '{ value = "jet_pt", sentinel = [1] }'},
    "missing-number": {"pt": '{ value = "jet_pt", missing = 5 }'},
    "missing-list": {"pt": '{ value = "jet_pt", missing = ["jet_pt"] }'},
    "value-date": {"pt": "1979-05-27T07:32:00Z"},
    "value-several": {"pt": '["jet_pt", "jet_eta"]'},
    "value-empty": {"pt": "[]"},
    "value-nothing": {"pt": "{ }"},
    "background-list": {"top.background": '["x"]'},
    "layout-table": {"top.layout": "{ a = 1 }"},
    "padding-number": {"top.layout": '"columns"', "top.padding": "7"},
    "links-text": {"top.layout": '"indexed"', "top.links": "{ particles = { jet = 3 } }"},
    "clustering-text": {"top.layout": '"clustered"', "top.clustering": '{ radius = "x", algorithm = 3 }'},
    "before-number": {"top.before": "[1]"},
    "observers": {"top.observers": '{ particles = "jet_pt" }'},
}


FINE = ("value-several", "observers")
"""Of those, what is unusual and not wrong."""


def formula(number):
    def make(given, own):
        from hepnn import open_jets

        return lambda: open_jets(given / "jets.parquet", select=FORMULAS[number])

    return Case(f"select-{number}", make, says="formula")


def selected(given, own):
    return [*tagging(given, own), "--select", FORMULAS[0]]


CASES = [
    schema("nested", "a = " + "[" * 100_000),
    schema("dotted", ".".join(["a"] * 3000) + " = 1\n"),
    schema("yaml", f"!!python/object/apply:os.system ['echo {MARKER}']"),
    schema("bytes", b"\xff\xfe\x00"),
    schema("pickle", pickle_bytes()),
    schema("names", with_jets(**{f'"{MARKER}"': f'"{MARKER}.x"'})),
    schema("shown", 'name = "[/bold]"\nx = 1\n'),
    schema("escaped", with_jets(pt=r'"\u001b[2J[/bold]"')),
    *(
        schema(name, with_jets(**changes), expected=("refused", *(("done",) if name in FINE else ())))
        for name, changes in WRONG.items()
    ),
    *(schema(f"formula-{i}", with_jets(pt=json.dumps(text))) for i, text in enumerate(FORMULAS)),
    Case("select", selected, says="formula"),
    *(formula(number) for number in range(len(FORMULAS))),
]


def prepare():
    """Nothing that `sources` does not import."""
