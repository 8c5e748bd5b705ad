"""The settings a tagger has when nobody asks for others: the one place where Python and the command line get them.

They are those of the best recurrent tagger on the quark–gluon benchmark in the README.
"""

from __future__ import annotations

__all__ = [
    "AUGMENT",
    "BATCH_SIZE",
    "EPOCHS",
    "FEATURES",
    "LEARNING_RATE",
    "MAX_PARTICLES",
    "MODEL",
    "N_BUCKETS",
    "PATIENCE",
    "PRECISION",
    "REPRESENTATION",
    "SCALING",
    "SCORE_PREFIX",
    "SCORE_TREE",
    "SEED",
    "STEP",
    "VALIDATION_FRACTION",
    "WARMUP",
    "WEIGHT_DECAY",
]

MODEL = "gru"
FEATURES = "auto"
SCALING = "fitted"
AUGMENT = "auto"
REPRESENTATION = "auto"
MAX_PARTICLES = 128  # as in the JetClass set (arXiv:2202.03772)

EPOCHS = 13
BATCH_SIZE = 128  # jets
N_BUCKETS = 20  # distinct lengths of batches
LEARNING_RATE = 2e-3
WARMUP = 0.05  # share of all steps
WEIGHT_DECAY = 1e-4
PATIENCE = 5  # epochs
VALIDATION_FRACTION = 0.1
SEED = 0

PRECISION = "float32"  # of scoring
STEP = 10_000
"""Entries read at once: some 20 MB of jets, whose tensors take as much. Arrays of more than 32 MB get fresh memory each
time, and filling that takes longer than computing what goes in."""
SCORE_TREE = "hepnn"
SCORE_PREFIX = "hepnn_"
