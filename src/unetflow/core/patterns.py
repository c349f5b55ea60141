"""Regular expressions that users write: what their groups capture says what belongs together."""

import re

from unetflow.core.errors import InputError


def compile_pattern(pattern: str, where: object, example: str) -> re.Pattern[str]:
    """Compile a regular expression that must have a group.

    Args:
        pattern: The expression.
        where: The option or parameter, for the error message.
        example: What to do where there is no group, with an example.

    Raises:
        InputError: It is no regular expression, or has no group.
    """
    try:
        expression = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:  # huge counts, deep brackets
        raise InputError(
            where, f"'{pattern}' is no regular expression ({error})", "Correct it"
        ) from error
    if not expression.groups:
        raise InputError(where, f"'{pattern}' has no group in round brackets", example)
    return expression
