"""A schema, a feature, a network and a task for hepnn, which finds them by the entry points in ``pyproject.toml``."""

from pathlib import Path

from hepnn.tasks.task import Goal, Task

NTUPLE = Path(__file__).with_name("ntuple.toml")

SUM_OF_NUMBERS = Task(
    "sum-of-numbers",
    "A dense layer without activation adds.",
    (Goal("largest error", 1e-5, quick=1e-5, at_least=False),),
    path="hepnn_example_plugin.sum_of_numbers",
)
