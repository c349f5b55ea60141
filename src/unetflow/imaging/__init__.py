"""The ground floor: images and labels as NumPy arrays. No Keras, no Kedro."""

import os

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it asks the network on import otherwise
