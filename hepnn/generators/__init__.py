"""Generators: jets to try things out on, made here.

`toy` makes any number of jets in seconds, with the branch names of JetClass but no physics to speak of;
`quark_gluon` simulates quark and gluon jets with Pythia 8 and needs the extra ``hepnn[pythia]``. Both write
ROOT files, take a seed, and give the same jets for the same seed.
"""

from hepnn.generators.quark_gluon import generate_quark_gluon
from hepnn.generators.toy import TOY_CLASSES, generate_toy, toy_columns, toy_jets

__all__ = ["TOY_CLASSES", "generate_quark_gluon", "generate_toy", "toy_columns", "toy_jets"]
