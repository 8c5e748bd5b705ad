// Scores in RDataFrame, with the C++ library of ONNX Runtime and jet_tagger.hxx, which says how to export a tagger:
//
//   ROOT_INCLUDE_PATH=$ORT/include root -l -b -q -e 'gSystem->Load("libonnxruntime")' score_in_rdataframe.C
//
// hepnn's tests run jet_tagger.hxx; they have no ROOT to run this with.

#include "jet_tagger.hxx"

#include <ROOT/RDataFrame.hxx>
#include <ROOT/RVec.hxx>

using ROOT::RVecF;

RVecF probabilities(float jet_pt, float jet_eta, float jet_phi, float jet_energy, const RVecF &px, const RVecF &py,
                    const RVecF &pz, const RVecF &energy)
{
   static JetTagger tagger("tagger.onnx"); // threads may share it
   const auto found = tagger(jet_pt, jet_eta, jet_phi, jet_energy, px, py, pz, energy);
   return RVecF(found.begin(), found.end());
}

void score_in_rdataframe()
{
   ROOT::RDataFrame("tree", "jets.root")
      .Define("probabilities", probabilities,
              {"jet_pt", "jet_eta", "jet_phi", "jet_energy", "part_px", "part_py", "part_pz", "part_energy"})
      .Snapshot("tree", "scored.root", {"probabilities"});
}
