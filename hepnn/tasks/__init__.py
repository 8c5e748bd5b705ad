"""The tasks of a university course on convolutional and recurrent networks, as benchmarks anybody can run and read.

    result = hepnn.tasks.TASKS["shapes-count"].run(seed=0)
    print(result.metrics, result.passed)
    result.model.save("counter.keras")

Each task is one file here, the lesson it teaches: data, network, training, measurement, pictures. To add one, write
such a file with its function ``run`` (`hepnn.tasks.task`), and its entry in `TASKS`.
"""

from __future__ import annotations

from hepnn.errors import InputError, closest
from hepnn.plugins import find_plugin, plugin_names
from hepnn.tasks.task import Goal, Result, Task

__all__ = ["TASKS", "Goal", "Result", "Task", "find_task"]

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            "shapes-classify",
            "Convolutions share their weights over the image: few parameters tell circles from rectangles.",
            (Goal("accuracy", 0.998, quick=0.75),),
        ),
        Task(
            "shapes-count",
            "Counting is a sum over the image of what each place shows.",
            (Goal("both counts right", 0.95, quick=0.3),),
        ),
        Task(
            "shapes-locate",
            "Regression of two opposite corners finds an object to a fraction of a pixel.",
            (Goal("mean IoU", 0.95, quick=0.6),),
        ),
        Task(
            "shapes-detect",
            "One pass over the image finds several objects: cells, boxes, scores, non-maximum suppression.",
            (Goal("mAP@0.5", 0.97, quick=0.5), Goal("mAP@[.5:.95]", 0.80, quick=0.2)),
        ),
        Task(
            "shapes-invariance",
            "Translation is built into convolution and pooling; rotation, scale and brightness are not.",
            (
                Goal("accuracy of the CNN at places it was not trained on", 0.99, quick=0.8),
                Goal("accuracy of the dense network there", 0.3, quick=0.4, at_least=False),
                Goal("accuracy of the CNN on turned objects", 0.8, quick=0.85, at_least=False),
                Goal("accuracy of the CNN on turned objects, augmented", 0.98, quick=0.25),
            ),
        ),
        Task(
            "shapes-transfer",
            "What convolutions learned on one task makes another learnable from few labels.",
            (
                Goal("accuracy from 100 labels, transferred", 0.95, quick=0.6),
                Goal("gain over from scratch with 50 labels", 0.03, quick=-0.2),
            ),
        ),
        Task(
            "vectors-longest",
            "An LSTM keeps what it needs of a sequence of any length: the longest vector, and where it was.",
            (
                Goal("position right", 0.95, quick=0.2),
                Goal("length RMSE / spread", 0.05, quick=0.5, at_least=False),
            ),
        ),
        Task(
            "vectors-running",
            "Many to many: an LSTM gives an answer at every step, the largest length so far.",
            (Goal("length RMSE / spread", 0.05, quick=0.5, at_least=False),),
        ),
        Task(
            "sequence-to-sequence",
            "An encoder's states start a decoder, which writes until it writes STOP.",
            (Goal("whole sequences right", 0.98, quick=0.1),),
        ),
        Task(
            "sequence-padding",
            "A mask takes padding out of the result; without it, where the padding is matters.",
            (
                Goal("largest change of an output by padding, masked", 1e-5, quick=1e-5, at_least=False),
                Goal("largest change of an output by padding, no mask", 0.3, quick=0.01),
            ),
        ),
        Task(
            "sequence-states",
            "What recurrent layers return, and the gate equations behind it.",
            (Goal("largest difference from the equations", 1e-5, quick=1e-5, at_least=False),),
        ),
        Task(
            "layers-tour",
            "What each layer does to numbers and shapes.",
            (
                Goal("largest difference from the references", 1e-4, quick=1e-4, at_least=False),
                Goal("largest difference of channels first from last", 1e-4, quick=1e-4, at_least=False),
            ),
        ),
        Task(
            "objects-conv1x1",
            "A 1×1 convolution is one dense network for every particle: equivariant, and with pooling invariant.",
            (
                Goal("largest difference under permutation", 1e-5, quick=1e-5, at_least=False),
                Goal("largest difference from a dense network", 1e-5, quick=1e-5, at_least=False),
                Goal("least change of encodings under permutation by the others", 0.1, quick=0.1),
            ),
        ),
        Task(
            "jets-quark-gluon",
            "Particles in order, particles in a set, and observables: three ways to tell quark jets from gluon jets.",
            (
                Goal("AUC of the masked GRU", 0.86, quick=0.78),
                Goal("AUC gained over boosted trees", -0.005, quick=-0.1),
            ),
        ),
        Task(
            "jets-image",
            "A picture of a jet, and what it keeps of the list of particles: average images, colours, a CNN beside the GRU.",
            (
                Goal("AUC of the image CNN", 0.85, quick=0.75),
                Goal("AUC of the masked GRU less that", -0.01, quick=-0.05),
                Goal("AUC gained by colours", 0.015, quick=-0.1),
            ),
        ),
        Task(
            "jets-prongs",
            "Ten classes of toy jets by the number and the kind of their prongs.",
            (Goal("accuracy", 0.70, quick=0.2),),
        ),
        Task(
            "calo-identify-2d",
            "One photon or the two of a neutral pion: what pixels have to be for a network to see it.",
            (
                Goal("AUC of the CNN", 0.91, quick=0.6),
                Goal("AUC gained over boosted trees", 0.005, quick=-0.3),
                Goal("AUC lost with coarse pixels", 0.08, quick=-0.1),
            ),
        ),
        Task(
            "calo-identify-3d",
            "A kernel with depth follows a shower through the calorimeter: electron or charged pion.",
            (
                Goal("pion rejection at 95% electron efficiency", 300, quick=5),
                Goal("that over the longitudinal profile's", 2.0, quick=0.05),
            ),
        ),
        Task(
            "calo-energy",
            "A network sees in a pion's shower what the sum of its cells lacks.",
            (
                Goal("σ/E over that of the sum", 0.85, quick=1.0, at_least=False),
                Goal("largest bias in a bin", 0.02, quick=0.1, at_least=False),
            ),
        ),
        Task(
            "calo-time",
            "A convolution with a state reads a film of two showers; their sum does not tell which came first.",
            (
                Goal("σ/E with time", 0.1, quick=0.35, at_least=False),
                Goal("σ/E without time", 0.3, quick=0.3),
            ),
        ),
        Task(
            "calo-locate",
            "The detector of shapes finds showers of several particles in one picture.",
            (Goal("mAP@0.5", 0.93, quick=0.5), Goal("mAP@[.5:.95]", 0.6, quick=0.15)),
        ),
        Task(
            "calo-multi",
            "One network with three answers: which particle, how much energy, and where.",
            (
                Goal("accuracy", 0.75, quick=0.45),
                Goal("σ/E over that by hand", 0.9, quick=1.5, at_least=False),
                Goal("σ(η) over that by hand", 0.4, quick=1.5, at_least=False),
            ),
        ),
        Task(
            "calo-segment",
            "A decoder gives every pixel an answer of its own: the share of an electron in the energy.",
            (Goal("energy put right", 0.95, quick=0.85), Goal("gain over by layers", 0.07, quick=0.0)),
        ),
        Task(
            "calo-transfer",
            "What convolutions learned in one calorimeter makes another usable with few labelled showers.",
            (
                Goal("AUC from 200 labels, transferred", 0.80, quick=0.6),
                Goal("gain over from scratch with 200 labels", 0.03, quick=-0.1),
            ),
        ),
    )
}
"""Every task by name, in the order of the course."""


def find_task(name: str) -> Task:
    """Returns the task ``name``, hepnn's own or that of a plug-in (`hepnn.plugins`).

    Raises:
        InputError: there is none.
        DependencyError: the plug-in cannot be imported.
    """
    if name in TASKS:
        return TASKS[name]
    added: Task | None = find_plugin("tasks", name)
    if added is None:
        others = (*TASKS, *plugin_names("tasks"))
        raise InputError(
            f"asked for the task {name!r}; closest: {closest(name, others)}. `hepnn task list` and `hepnn plugins` show all."
        )
    return added
