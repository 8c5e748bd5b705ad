// Score jets in C++: score_jets TAGGER.onnx < JETS.txt > SCORES.txt
//
// A line of JETS.txt is a jet: pt eta phi energy, and then px py pz energy of each particle. A line of SCORES.txt has its
// probabilities, below a line with the classes. jet_tagger.hxx says how to export a tagger. With the archive of ONNX
// Runtime for C++ unpacked in $ORT (https://github.com/microsoft/onnxruntime/releases):
//
//   g++ -std=c++17 -O2 -I$ORT/include score_jets.cpp -L$ORT/lib -Wl,-rpath,$ORT/lib -lonnxruntime -o score_jets

#include "jet_tagger.hxx"

#include <iostream>
#include <sstream>

int main(int argc, char **argv)
try {
   if (argc != 2)
      throw std::runtime_error("usage: score_jets TAGGER.onnx < JETS.txt > SCORES.txt");
   JetTagger tagger(argv[1]);
   std::cout << tagger.Classes() << '\n';
   std::cout.precision(9);
   for (std::string line; std::getline(std::cin, line);) {
      std::istringstream numbers(line);
      float pt, eta, phi, energy;
      if (!(numbers >> pt >> eta >> phi >> energy))
         throw std::runtime_error("a jet has to have pt, eta, phi and energy; found: " + line);
      std::array<std::vector<float>, 4> particles;
      for (float value, n = 0; numbers >> value; n = n == 3 ? 0 : n + 1)
         particles[static_cast<int>(n)].push_back(value);
      const auto &[px, py, pz, energies] = particles;
      if (energies.size() != px.size() || !numbers.eof())
         throw std::runtime_error("a particle has to have px, py, pz and energy; found: " + line);
      const char *separator = "";
      for (const float probability : tagger(pt, eta, phi, energy, px, py, pz, energies)) {
         std::cout << separator << probability;
         separator = " ";
      }
      std::cout << '\n';
   }
} catch (const std::exception &error) {
   std::cerr << error.what() << '\n';
   return 1;
}
