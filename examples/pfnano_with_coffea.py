"""Scores of CMS PFNano jets in a coffea processor: python pfnano_with_coffea.py TAGGER HISTOGRAMS.pkl FILES.root…."""

import pickle
import sys
from pathlib import Path

import awkward as ak
import hist
from coffea import processor
from coffea.nanoevents import NanoAODSchema

import hepnn


class ScoresOfJets(processor.ProcessorABC):
    """Fills a histogram of the score of each class, for jets above 30 GeV."""

    def __init__(self, tagger):
        self.tagger = tagger

    def process(self, events):
        """Returns the histograms of one chunk of events, and the mean score of each class."""
        scores = self.tagger(hepnn.jets_of(events, schema="pfnano-ak4"))  # event → jet → {bottom: 0.1, …}
        chosen = ak.flatten(scores[events.Jet.pt > 30])
        filled = hist.Hist.new.StrCat(scores.fields, name="class").Reg(20, 0, 1, name="score", label="score").Double()
        for name in scores.fields:
            filled.fill(**{"class": name, "score": chosen[name]})
        return {
            "scores": filled,
            "n_jets": len(chosen),
            "sums": {name: float(ak.sum(chosen[name])) for name in scores.fields},
        }

    def postprocess(self, accumulated):
        """Returns what was accumulated, as it is."""
        return accumulated


if __name__ == "__main__":
    folder, output, *files = sys.argv[1:]
    instance = ScoresOfJets(hepnn.Tagger.load(folder))
    found = {}
    for name, executor in {
        "iterative": processor.IterativeExecutor(),
        "futures": processor.FuturesExecutor(workers=2),
    }.items():
        run = processor.Runner(executor=executor, schema=NanoAODSchema, chunksize=20)
        found[name] = run({"jets": {"files": dict.fromkeys(files, "Events")}}, processor_instance=instance)
    Path(output).write_bytes(pickle.dumps(found["futures"]["scores"]))
    same = found["futures"]["scores"] == found["iterative"]["scores"]
    print(f"{found['futures']['n_jets']} jets; the same from both executors: {same}")
