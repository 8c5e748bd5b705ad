"""The settings a tagger has when nobody asks for others: the one place where Python and the command line get them.

They are those of the best recurrent tagger on the quark–gluon benchmark in the README.
"""

from __future__ import annotations

__all__ = [
    "AVERAGE",
    "BATCH_SIZE",
    "EPOCHS",
    "FEATURES",
    "LEARNING_RATE",
    "MAX_PARTICLES",
    "MODEL",
    "N_BUCKETS",
    "PATIENCE",
    "SCORE_PREFIX",
    "SCORE_TREE",
    "SEED",
    "VALIDATION_FRACTION",
    "WARMUP_EPOCHS",
    "WEIGHT_DECAY",
]

MODEL = "gru"
FEATURES = "auto"
MAX_PARTICLES = 128  # as in the JetClass set (arXiv:2202.03772)

EPOCHS = 20
BATCH_SIZE = 256  # jets
N_BUCKETS = 8  # distinct lengths of batches
LEARNING_RATE = 2e-3
WARMUP_EPOCHS = 1.0
WEIGHT_DECAY = 1e-2
AVERAGE = 0.995  # momentum of the running mean of the weights
PATIENCE = 5  # epochs
VALIDATION_FRACTION = 0.1
SEED = 0

SCORE_TREE = "hepnn"
SCORE_PREFIX = "hepnn_"
