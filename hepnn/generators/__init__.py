"""Generators: jets and showers to try things out on, made here.

`toy` makes any number of jets in seconds, with the branch names of JetClass but no physics to speak of;
`quark_gluon` simulates quark and gluon jets with Pythia 8 and needs the extra ``hepnn[pythia]``; `showers` makes
showers of electrons, photons and pions in a calorimeter, by the parametrisations of the literature. All write ROOT
files, take a seed, and give the same for the same seed.
"""

from hepnn.generators.quark_gluon import generate_quark_gluon
from hepnn.generators.showers import SHOWER_CLASSES, generate_showers, shower_columns
from hepnn.generators.toy import TOY_CLASSES, generate_toy, toy_columns, toy_jets

__all__ = ["SHOWER_CLASSES", "TOY_CLASSES", "generate_quark_gluon", "generate_showers", "generate_toy"]
__all__ += ["shower_columns", "toy_columns", "toy_jets"]
