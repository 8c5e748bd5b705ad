// Scores in RDataFrame, with the C++ library of ONNX Runtime (https://onnxruntime.ai):
//
//   hepnn export tagger/ --onnx tagger.onnx --float-masks
//   root -l -b -q -e 'gSystem->Load("libonnxruntime")' score_in_rdataframe.C
//
// preprocess.json, beside the model, says what the inputs hold. This one was trained with --features kinematics:
// features: log_pt, log_energy, log_pt_rel, log_energy_rel, delta_r, delta_eta, delta_phi
// The scaling is inside the model. Particles come by falling pt; the mask is 1 for each of them.
//
// hepnn's tests hold the names here against those of an export; they have no ROOT to compile it with.

#include <ROOT/RDataFrame.hxx>
#include <ROOT/RVec.hxx>
#include <TVector2.h>
#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

using ROOT::RVecF;

RVecF probabilities(float jet_pt, float jet_eta, float jet_phi, float jet_energy, const RVecF &px, const RVecF &py,
                    const RVecF &pz, const RVecF &energy)
{
   static Ort::Env environment(ORT_LOGGING_LEVEL_WARNING);
   static Ort::Session session = [] {
      Ort::SessionOptions options;
      options.SetIntraOpNumThreads(1); // RDataFrame has threads of its own
      return Ort::Session(environment, "tagger.onnx", options);
   }();

   constexpr std::int64_t nFeatures = 7, most = 128; // max_particles of the tagger
   const auto order = ROOT::VecOps::Argsort(-(px * px + py * py));
   const std::int64_t length = std::max<std::int64_t>(1, std::min<std::int64_t>(most, px.size()));
   std::vector<float> particles(length * nFeatures, 0.f), mask(length, 0.f);
   for (std::int64_t i = 0; i < std::min<std::int64_t>(most, px.size()); ++i) {
      const auto at = order[i];
      const float pt = std::hypot(px[at], py[at]);
      const float deltaEta = (std::asinh(pz[at] / pt) - jet_eta) * (jet_eta < 0 ? -1 : 1);
      const float deltaPhi = TVector2::Phi_mpi_pi(std::atan2(py[at], px[at]) - jet_phi);
      const float values[nFeatures] = {std::log(pt),
                                       std::log(energy[at]),
                                       std::log(pt / jet_pt),
                                       std::log(energy[at] / jet_energy),
                                       std::hypot(deltaEta, deltaPhi),
                                       deltaEta,
                                       deltaPhi};
      std::copy(values, values + nFeatures, particles.begin() + i * nFeatures);
      mask[i] = 1.f;
   }

   const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
   const std::array<std::int64_t, 3> shape = {1, length, nFeatures};
   const std::array<std::int64_t, 2> shapeOfMask = {1, length};
   const char *inputs[] = {"particles", "particles_mask"};
   const char *outputs[] = {"probabilities"};
   std::array<Ort::Value, 2> tensors = {
      Ort::Value::CreateTensor<float>(memory, particles.data(), particles.size(), shape.data(), shape.size()),
      Ort::Value::CreateTensor<float>(memory, mask.data(), mask.size(), shapeOfMask.data(), shapeOfMask.size())};
   const auto found = session.Run(Ort::RunOptions{nullptr}, inputs, tensors.data(), 2, outputs, 1);
   const float *first = found[0].GetTensorData<float>();
   return RVecF(first, first + found[0].GetTensorTypeAndShapeInfo().GetElementCount());
}

void score_in_rdataframe()
{
   ROOT::RDataFrame("tree", "jets.root")
      .Define("probabilities", probabilities,
              {"jet_pt", "jet_eta", "jet_phi", "jet_energy", "part_px", "part_py", "part_pz", "part_energy"})
      .Snapshot("tree", "scored.root", {"probabilities"});
}
