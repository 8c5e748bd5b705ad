"""Scores of an imagined tagger of three classes, shared by the tests that judge it."""

import numpy as np

RNG = np.random.default_rng(2)
N = 3000
LABELS = np.array(["top", "qcd", "w"])[RNG.integers(0, 3, N)]
CLASSES = ("w", "qcd", "top")  # in no alphabetic order
LOGITS = RNG.normal(0, 1, (N, 3)) + 1.5 * (LABELS[:, None] == np.array(CLASSES))
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
WEIGHTS = RNG.uniform(0.1, 2, N)
