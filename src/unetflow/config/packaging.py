"""What may stand in `conf/*/parameters_packaging.yml`."""

import re
from typing import Annotated

from pydantic import Field, field_validator

from unetflow.config.validation import Strict

Text = Annotated[str, Field(min_length=1)]


class AuthorParameters(Strict):
    """Somebody who made the model."""

    name: Annotated[str, Field(pattern=r"^[^/\\]+$")]
    affiliation: Text | None = None
    email: Text | None = None
    orcid: Text | None = None
    github_user: Text | None = None


class PackagingParameters(Strict):
    """The pipeline `packaging`; see `inference.bioimageio.PackageFacts`."""

    name: str
    description: Annotated[str, Field(min_length=1, max_length=1024)] | None
    authors: list[AuthorParameters]
    licence: Text
    tags: list[Text]
    version: Text | None

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_+\- ()]{5,128}", name):
            raise ValueError(f"'{name}' is not 5 to 128 letters, digits, blanks and any of _+-()")
        return name
