"""From a ROOT file to dense batches, by hepnn and by weaver's own loader; each timed in a process of its own.

PYTHONPATH=. python -m tests.benchmarks.loading ours|theirs FILE DESCRIPTION
"""

import sys

from hepnn import iterate_jets
from hepnn.prefetch import prefetched
from hepnn.readers import DEFAULT_STEP
from tests.benchmarks import racing
from tests.benchmarks.network import CLOUD, MAX_PARTICLES

BATCH = 512


def our_batches(path):
    """Dense batches as weaver makes them, read in steps of about the default."""
    step = DEFAULT_STEP // BATCH * BATCH
    for clouds in prefetched(map(CLOUD.tensors, iterate_jets(path, schema="jetclass", step=step))):
        for start in range(0, len(clouds), BATCH):
            yield clouds.pad(slice(start, start + BATCH), length=MAX_PARTICLES)


def their_batches(path, description):
    """Weaver's own loader, as ``weaver --predict`` sets it up, without workers."""
    from torch.utils.data import DataLoader
    from weaver.utils.dataset import SimpleIterDataset

    files = SimpleIterDataset(
        {"_": [str(path)]},
        str(description),
        for_training=False,
        load_range_and_fraction=((0, 1), 1, 1),
        fetch_by_files=True,
        fetch_step=1,
    )
    return (inputs for inputs, _, _ in DataLoader(files, batch_size=BATCH, drop_last=False))


def main(whose, path, description):
    """Prints the jets, and the seconds by the wall clock and of the processors."""
    n_jets = 0

    def load():
        nonlocal n_jets
        for batch in our_batches(path) if whose == "ours" else their_batches(path, description):
            n_jets += len(next(iter(batch.values())))

    if whose == "theirs":
        import torch  # noqa: F401  # loading it is not timed
        import weaver.utils.dataset  # noqa: F401
    print(*racing.timed(load), n_jets)


if __name__ == "__main__":
    main(*sys.argv[1:])
