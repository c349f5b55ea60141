"""Errors for unusable input."""


class InputError(ValueError):
    """Input of the user that cannot be used.

    Args:
        where: The file, folder or parameter.
        problem: What is wrong, as a sentence without a full stop, like `fix`.
        fix: What to do about it.
    """

    kind = "file"
    """Either "file", which can be left out, or "declaration", which concerns all files."""

    def __init__(self, where: object, problem: str, fix: str) -> None:
        super().__init__(str(where), problem, fix)
        self.where, self.problem, self.fix = str(where), problem, fix

    def __str__(self) -> str:
        end = "" if self.problem.endswith("\n") else ". "
        return f"{self.where}: {self.problem}{end}{self.fix}."


class DeclarationError(InputError):
    """A declaration of the user that contradicts a file; leaving the file out would hide that."""

    kind = "declaration"


def restore_error(kind: str, where: str, problem: str, fix: str) -> InputError:
    """Return the error that has these attributes."""
    error = DeclarationError if kind == DeclarationError.kind else InputError
    return error(where, problem, fix)
