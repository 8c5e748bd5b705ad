"""Jets as images: a picture of them, a CNN, and a second one that starts from it with finer pixels.

python examples/jet_images.py train.root
"""

import sys

import numpy as np

import hepnn
from hepnn.image_plots import plot_overview
from hepnn.images import JetImage
from hepnn.plots import save

jets = hepnn.read_jets(sys.argv[1])
image = JetImage(size=15, width=1.6, channels=("pt", "charged_pt", "count"))
print(image.left_out(image.tensors(jets)) or "the images hold all of the jets")
save(plot_overview(image.tensors(jets), jets.label, representation=image).figure, "images.png")

coarse = hepnn.Tagger("cnn2d", representation=image, model_options={"filters": (8, 16)}, epochs=2).fit(jets)
coarse.save("coarse", overwrite=True)

# the convolutions are those of the coarse tagger, only the dense layers behind them are new
fine = hepnn.Tagger("cnn2d", start_from="coarse", freeze="features", representation_options={"size": 25}, epochs=2)
fine.fit(jets)
fine.save("fine", overwrite=True)
again = hepnn.Tagger.load("fine")
print("the same after loading:", np.allclose(again.predict_proba(jets), fine.predict_proba(jets), atol=1e-5))
