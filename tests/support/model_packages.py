"""Packages for bioimage.io, read by the format's own library."""

import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # its import takes seconds, which most processes of the tests need not spend
    from bioimageio.spec.model.v0_5 import ModelDescr


def read_package(archive: zipfile.ZipFile, *, perform_io_checks: bool) -> "ModelDescr":
    """Return the model that a package describes."""
    from bioimageio.spec import load_description
    from bioimageio.spec.model.v0_5 import ModelDescr

    model = load_description(archive, perform_io_checks=perform_io_checks)
    assert isinstance(model, ModelDescr)
    return model
