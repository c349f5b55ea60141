"""The error for input that cannot be used."""


class InputError(ValueError):
    """Something that a user gave cannot be used.

    Args:
        where: The file, folder or parameter that it is about.
        problem: What is wrong with it, as a sentence without a full stop.
        mend: What would put it right, as a sentence without a full stop.
    """

    kind = "file"
    """What is wrong: a file, which can be left out, or what was declared about all of them."""

    def __init__(self, where: object, problem: str, fix: str) -> None:
        super().__init__(str(where), problem, fix)
        self.where = str(where)
        self.problem = problem
        self.fix = fix

    def __str__(self) -> str:
        end = "" if self.problem.endswith("\n") else ". "
        return f"{self.where}: {self.problem}{end}{self.fix}."


class DeclarationError(InputError):
    """What a user declared does not fit a file; leaving the file out would hide that."""

    kind = "declaration"


def restore_error(kind: str, where: str, problem: str, fix: str) -> InputError:
    """Make the error again of which these are the parts."""
    error = DeclarationError if kind == DeclarationError.kind else InputError
    return error(where, problem, fix)
