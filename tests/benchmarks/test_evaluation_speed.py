"""How long the numbers of a million jets take: two taggers of ten classes, with weights."""

import time

import awkward as ak
import numpy as np

from hepnn.assessment import assess
from hepnn.friends import Rating
from hepnn.judging import Sample

N, CLASSES = 1_000_000, tuple(f"class{i}" for i in range(10))
LIMIT = 30.0
"""Seconds, on two cores."""


def test_a_million_jets_are_evaluated_in_half_a_minute():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, len(CLASSES), N)
    right = truth[:, None] == np.arange(len(CLASSES))
    ratings = {}
    for name, strength in (("a", 1.5), ("b", 1.3)):
        odds = np.exp(rng.normal(0, 1, right.shape) + strength * right)
        ratings[name] = Rating(CLASSES, (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32))
    columns = {"pt": rng.exponential(200, N) + 500, "mass": rng.gamma(4, 20, N)}
    sample = Sample(np.array(CLASSES)[truth], ratings, columns, ak.Array([]), N)
    weights = rng.choice([1.0, 1.0, -0.3], N)
    for asked in ({"background": "class0"}, {"signal": "class1", "background": "class0"}):
        start = time.perf_counter()
        made = assess(sample, weights=weights, against=["pt"], mass="mass", **asked)
        seconds = time.perf_counter() - start
        print(f"{N:,} jets, 10 classes, 2 taggers, {len(made.matchups)} signals: {seconds:.1f} s")
        assert seconds < LIMIT
