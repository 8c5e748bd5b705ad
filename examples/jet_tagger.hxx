// Scores of jets, with the C++ library of ONNX Runtime (https://onnxruntime.ai) and nothing else. The tagger was trained
// with --features kinematics, and written by
//
//   hepnn export tagger/ --onnx tagger.onnx --float-masks
//
// preprocess.json, beside the model, says what the inputs hold, in which order, and how many particles a jet is cut to.
// The model has that in its metadata too, as the same JSON, and a model that holds something else is refused. The
// scaling is inside the model. Particles come by falling pt; the mask is 1 for each of them. Momenta are in GeV.

#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

class JetTagger {
public:
   explicit JetTagger(const std::string &model) : fSession(fEnvironment, model.c_str(), Options())
   {
      if (Metadata("features") != "{\"particles\": " + std::string(kFeatures) + "}")
         throw std::runtime_error(model + " was trained on " + Metadata("features") + ", not on " + kFeatures);
      const std::string lengths = Metadata("lengths"), start = "{\"particles\": ";
      if (lengths.compare(0, start.size(), start) != 0)
         throw std::runtime_error(model + " is cut to " + lengths + ", not to a number of particles");
      fMost = std::stoul(lengths.substr(start.size()));
   }

   /// Names of the classes, a list in JSON.
   std::string Classes() { return Metadata("classes"); }

   /// One probability a class. Floats is a std::vector<float>, or what has its size() and [].
   template <typename Floats>
   std::vector<float> operator()(float jetPt, float jetEta, float jetPhi, float jetEnergy, const Floats &px,
                                 const Floats &py, const Floats &pz, const Floats &energy)
   {
      const std::size_t all = px.size(), kept = std::min(all, fMost), slots = std::max<std::size_t>(kept, 1);
      std::vector<std::size_t> order(all);
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [&](std::size_t one, std::size_t other) {
         return std::hypot(px[one], py[one]) > std::hypot(px[other], py[other]);
      });
      std::vector<float> particles(slots * kNFeatures, 0.f), mask(slots, 0.f);
      for (std::size_t i = 0; i < kept; ++i) {
         const auto at = order[i];
         const double pt = std::hypot(px[at], py[at]);
         const double deltaEta = (std::asinh(pz[at] / pt) - jetEta) * (jetEta < 0 ? -1 : 1);
         const double deltaPhi = std::remainder(std::atan2(py[at], px[at]) - jetPhi, 2 * std::acos(-1.0));
         const double values[kNFeatures] = {std::log(pt),
                                            std::log(energy[at]),
                                            std::log(pt / jetPt),
                                            std::log(energy[at] / jetEnergy),
                                            std::hypot(deltaEta, deltaPhi),
                                            deltaEta,
                                            deltaPhi};
         std::copy(values, values + kNFeatures, particles.begin() + i * kNFeatures);
         mask[i] = 1.f;
      }

      const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
      const std::array<std::int64_t, 3> shape = {1, static_cast<std::int64_t>(slots), kNFeatures};
      const char *inputs[] = {"particles", "particles_mask"};
      const char *outputs[] = {"probabilities"};
      std::array<Ort::Value, 2> tensors = {
         Ort::Value::CreateTensor<float>(memory, particles.data(), particles.size(), shape.data(), 3),
         Ort::Value::CreateTensor<float>(memory, mask.data(), mask.size(), shape.data(), 2)};
      const auto found = fSession.Run(Ort::RunOptions{nullptr}, inputs, tensors.data(), 2, outputs, 1);
      const float *first = found[0].template GetTensorData<float>();
      return {first, first + found[0].GetTensorTypeAndShapeInfo().GetElementCount()};
   }

private:
   static constexpr int kNFeatures = 7;
   static constexpr const char *kFeatures = "[\"log_pt\", \"log_energy\", \"log_pt_rel\", \"log_energy_rel\", "
                                            "\"delta_r\", \"delta_eta\", \"delta_phi\"]";

   static Ort::SessionOptions Options()
   {
      Ort::SessionOptions options;
      options.SetIntraOpNumThreads(1); // one jet is too little for more, and who calls has threads of their own
      return options;
   }

   std::string Metadata(const char *name)
   {
      Ort::AllocatorWithDefaultOptions allocator;
      const auto text = fSession.GetModelMetadata().LookupCustomMetadataMapAllocated(name, allocator);
      return text ? text.get() : "nothing";
   }

   Ort::Env fEnvironment{ORT_LOGGING_LEVEL_WARNING};
   Ort::Session fSession;
   std::size_t fMost = 0;
};
