"""How parameters are checked, and what is said when they are wrong."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from unetflow.core.errors import InputError


class Strict(BaseModel):
    """Refuses names that it does not know, and text where a number belongs."""

    model_config = ConfigDict(extra="forbid", strict=True)


Model = TypeVar("Model", bound=BaseModel)


def read_parameters(model: type[Model], values: Mapping[str, Any], prefix: str = "") -> Model:
    """Check a dictionary of parameters.

    Args:
        model: What it must look like.
        values: The dictionary.
        prefix: Where it stands among all parameters, such as "training".

    Returns:
        The checked parameters.

    Raises:
        InputError: A name is unknown or missing, or a value is out of range.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        problems = list(_explain(error, model, prefix))
    if len(problems) == 1:
        raise problems[0]
    listing = "\n".join(f"  {problem}" for problem in problems)
    raise InputError("parameters", f"several are wrong:\n{listing}\n", "Correct them all")


def _explain(error: ValidationError, model: type[BaseModel], prefix: str) -> Iterator[InputError]:
    for detail in error.errors(include_url=False):
        path = [str(part) for part in detail["loc"]]
        where = ".".join([prefix, *path] if prefix else path) or "parameters"
        if detail["type"] == "extra_forbidden":
            known = _fields(model, path[:-1])
            similar = difflib.get_close_matches(path[-1], known, n=1)
            fix = f"Did you mean '{similar[0]}'" if similar else f"Known: {', '.join(known)}"
            yield InputError(where, "there is no such parameter", fix)
        elif detail["type"] == "missing":
            yield InputError(where, "the parameter is missing", "Add it")
        elif detail["type"] == "value_error":
            cause = detail["ctx"]["error"]
            if isinstance(cause, InputError):
                yield InputError(where, cause.problem, cause.fix)
            else:
                yield InputError(where, str(cause), "Correct it")
        else:
            problem = f"{detail['input']!r} is not allowed"
            yield InputError(where, problem, detail["msg"])


def _fields(model: type[BaseModel], path: list[str]) -> list[str]:
    """Return the names of a section's parameters."""
    for part in path:
        field = model.model_fields.get(part)
        if field is None or not isinstance(field.annotation, type):
            return []
        model = field.annotation
    return list(model.model_fields)
