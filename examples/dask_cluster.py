"""Tag many files on a Dask cluster: python dask_cluster.py TAGGER SCORES.root FILES.root….

Any cluster will do: `dask_jobqueue.SLURMCluster(…)`, `dask_jobqueue.HTCondorCluster(…)`, or a scheduler that runs
already, `Client("tcp://host:8786")`. Workers need hepnn, and have to see the files. When it is interrupted, start it
again: what is done is kept.
"""

import sys

from distributed import Client, LocalCluster

import hepnn

if __name__ == "__main__":  # worker processes import this file
    folder, output, *files = sys.argv[1:]
    tagger = hepnn.Tagger.load(folder)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        (done,) = hepnn.tag(files, tagger, output, client=client)
    print(f"{done.n_entries} rows in {done.path}")
