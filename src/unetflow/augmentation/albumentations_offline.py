"""Albumentations, imported without its version check, which asks the network.

The import takes seconds, so import this module only where it is needed.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

_SKIP_CHECK = "NO_ALBUMENTATIONS_UPDATE"


@contextmanager
def _no_version_check() -> Iterator[None]:
    before = os.environ.get(_SKIP_CHECK)
    os.environ[_SKIP_CHECK] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SKIP_CHECK]
        else:
            os.environ[_SKIP_CHECK] = before


with _no_version_check():
    import albumentations
    from albumentations import Compose
    from albumentations.augmentations.geometric.distortion import BaseDistortion
    from albumentations.core.transforms_interface import BaseTransformInitSchema

__all__ = ["BaseDistortion", "BaseTransformInitSchema", "Compose", "albumentations"]
