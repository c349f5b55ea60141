"""The parameters of `parameters_packaging.yml`."""

import re
from typing import Annotated

from pydantic import Field, field_validator

from unetflow.config.base import Strict

Text = Annotated[str, Field(min_length=1)]


class AuthorParameters(Strict):
    """An author of the model."""

    name: Annotated[str, Field(pattern=r"^[^/\\]+$")]
    affiliation: Text | None = None
    email: Text | None = None
    orcid: Text | None = None
    github_user: Text | None = None


class PackagingParameters(Strict):
    """What a package for bioimage.io says about the model; see `inference.bioimageio`."""

    name: str = "U-Net by unetflow"
    """5 to 128 letters, digits, blanks and any of _+-()"""
    description: Annotated[Text, Field(max_length=1024)] | None = None
    """one or two sentences; null: the classes that it finds"""
    authors: list[AuthorParameters] = Field(default=[])
    """Such as {name: Ann Example, affiliation: Some Institute, orcid: 0000-0000-0000-0000,
    github_user: ann}; bioimage.io requires at least one, and one github_user."""
    licence: Text = "MIT"
    """SPDX identifier of the licence under which others may use the model. The choice is yours:
    consider the licence of the training images, too."""
    tags: list[Text] = Field(default=["unet", "2d", "semantic-segmentation", "tensorflow"])
    """bioimage.io also requires modality and content"""
    version: Text | None = Field(default=None, description='of the model, such as "1.0"')

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_+\- ()]{5,128}", name):
            raise ValueError(f"'{name}' is not 5 to 128 letters, digits, blanks and any of _+-()")
        return name
