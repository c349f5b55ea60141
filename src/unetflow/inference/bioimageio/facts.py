"""What a package says that no file of the model knows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class PackageFacts:
    """What only the user can say of a model.

    Attributes:
        name: 5 to 128 letters, digits, blanks and `_+-()`.
        description: One or two sentences; None names the classes that the model finds.
        authors: Of each the `name`, and where known `affiliation`, `email`, `orcid` and
            `github_user`. There may be none, but bioimage.io takes no such package.
        licence: Of the model, as an identifier of SPDX such as "MIT" or "CC-BY-4.0".
        tags: Words under which the model is found.
        version: Of the model, such as "1.0"; None: it has none.
    """

    name: str
    description: str | None
    authors: Sequence[Mapping[str, str]]
    licence: str
    tags: Sequence[str]
    version: str | None
