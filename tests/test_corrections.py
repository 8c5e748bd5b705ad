"""Files for correctionlib: read by that package, they give the thresholds and efficiencies that went in."""

import numpy as np
import pytest

from hepnn.corrections import write_corrections
from hepnn.errors import InputError, OutputError
from hepnn.working_points import efficiencies, find_working_point, passes
from tests.toy_scores import CLASSES, LABELS, PROBABILITIES, RNG, N

PT = RNG.uniform(500, 1000, N)
EDGES = [500, 700, 1000]


def made(*, bins=EDGES, **more):
    point = find_working_point(
        LABELS, PROBABILITIES, classes=CLASSES, signal="top", background="qcd", efficiency=0.6, **more
    )
    passed = passes(point, PROBABILITIES, classes=CLASSES, values=PT)
    return point, {name: efficiencies(passed[name == LABELS], PT[name == LABELS], edges=bins) for name in CLASSES}


@pytest.mark.parametrize("more", [{}, {"column": "pt", "values": PT, "edges": EDGES}], ids=["one", "binned"])
def test_correctionlib_gives_back_what_was_written(more, tmp_path):
    correctionlib = pytest.importorskip("correctionlib")
    point, measured = made(**more)
    path = write_corrections(point, tmp_path / "wp.json", measured=measured, column="pt")
    read = correctionlib.CorrectionSet.from_file(str(path))
    threshold, efficiency = (read[f"top_efficiency_60_{which}"] for which in ("threshold", "efficiency"))
    for i, pt in enumerate((600.0, 2000.0)):  # the second is beyond the last edge
        found = threshold.evaluate(*([pt] if more else []))
        assert found == pytest.approx(point.thresholds[i if more else 0])
        for name in CLASSES:
            value, error = measured[name].value[i], measured[name].error[i]
            for which, expected in (("nominal", value), ("up", value + error), ("down", value - error)):
                assert efficiency.evaluate(name, pt, which) == pytest.approx(expected)


def test_bins_without_jets_and_files_that_exist_are_refused(tmp_path):
    point, measured = made(bins=[0, 100, 1000])
    with pytest.raises(InputError, match="the efficiency of w from 0 to 100 in pt; no jet of the class is there"):
        write_corrections(point, tmp_path / "wp.json", measured=measured, column="pt")
    point, measured = made()
    write_corrections(point, tmp_path / "wp.json", measured=measured, column="pt")
    with pytest.raises(OutputError, match="which exists already"):
        write_corrections(point, tmp_path / "wp.json", measured=measured, column="pt")
    assert np.isfinite(measured["top"].value).all()
