"""The one error for input that cannot be used."""


class InputError(ValueError):
    """Something that a user gave cannot be used.

    Args:
        where: The file, folder or parameter that it is about.
        problem: What is wrong with it, as a sentence without a full stop.
        mend: What would put it right, as a sentence without a full stop.
    """

    def __init__(self, where: object, problem: str, mend: str) -> None:
        super().__init__(str(where), problem, mend)
        self.where = str(where)
        self.problem = problem
        self.mend = mend

    def __str__(self) -> str:
        end = "" if self.problem.endswith("\n") else ". "
        return f"{self.where}: {self.problem}{end}{self.mend}."
