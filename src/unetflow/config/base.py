"""Base of all parameter models, and the messages for wrong parameters."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError

from unetflow.core.errors import InputError

Count = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
PositiveFinite = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0)]


class Strict(BaseModel):
    """Immutable model that refuses unknown names, and text in place of a number.

    The text below a field is its description, which the comments in `conf/` repeat.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )


Model = TypeVar("Model", bound=BaseModel)


def read_parameters(model: type[Model], values: Mapping[str, Any], prefix: str = "") -> Model:
    """Validate the parameters of a section, which stands at `prefix`, such as "training".

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


def dump_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return all parameters as plain values: Kedro has made models of some sections."""
    return {
        name: value.model_dump() if isinstance(value, BaseModel) else value
        for name, value in parameters.items()
    }


def _explain(error: ValidationError, model: type[BaseModel], prefix: str) -> Iterator[InputError]:
    for detail in error.errors(include_url=False):
        path = [str(part) for part in detail["loc"]]
        where = ".".join([prefix, *path] if prefix else path) or "parameters"
        if detail["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            known = _fields(model, path[:-1])
            similar = difflib.get_close_matches(path[-1], known, n=1)
            fix = f"Did you mean '{similar[0]}'" if similar else f"Known: {', '.join(known)}"
            yield InputError(where, "there is no such parameter", fix)
        elif detail["type"] == "missing":
            yield InputError(where, "the parameter is missing", "Add it")
        elif detail["type"] == "value_error":
            cause = detail["ctx"]["error"]
            if isinstance(cause, InputError):
                yield InputError(where if path else cause.where, cause.problem, cause.fix)
            else:
                yield InputError(where, str(cause), "Correct it")
        else:
            problem = f"{detail['input']!r} is not allowed"
            yield InputError(where, problem, detail["msg"])


def _fields(model: type[BaseModel], path: list[str]) -> list[str]:
    """Return the names of a section's parameters."""
    section: Any = model
    for part in path:
        if not part.isdecimal():  # else an item of a list
            field = section.__pydantic_fields__.get(part)
            section = next(_sections(field and field.annotation), Strict)
    return list(section.__pydantic_fields__)


def _sections(annotation: Any) -> Iterator[Any]:
    """Yield the classes with fields in a type such as `list[Section] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, RootModel):
        annotation = annotation.model_fields["root"].annotation
    if hasattr(annotation, "__pydantic_fields__"):
        yield annotation
    for part in get_args(annotation):
        yield from _sections(part)
