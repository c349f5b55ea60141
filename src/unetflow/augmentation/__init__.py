"""Random crops and changes of training images, and the weights of their pixels."""

import os

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it asks the network on import otherwise
