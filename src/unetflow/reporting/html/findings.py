"""What is right and wrong, in sentences, each with its mend."""

from collections.abc import Iterable
from dataclasses import dataclass

WRONG, DOUBTFUL, FINE = "wrong", "doubtful", "fine"


@dataclass(frozen=True)
class Finding:
    """One sentence about the data or the model.

    Attributes:
        level: "wrong", "doubtful" or "fine".
        text: What was found.
        mend: What to do about it; empty where nothing needs to be done.
        section: The id of the section of the page that tells more.
    """

    level: str
    text: str
    fix: str
    section: str


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Put the findings into the order in which people need them."""
    return sorted(findings, key=lambda finding: (WRONG, DOUBTFUL, FINE).index(finding.level))
