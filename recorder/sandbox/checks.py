"""What a client may send, value by value, and the words in which it is refused.

`Invalid` never leaves the sandbox: it becomes an `error` event, and the session goes on.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import pybase64

MAX_AUDIO_BYTES = 15 * 1024 * 1024
"""Audio in one event, decoded."""

_JSON_WORDS: dict[type, str] = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


class Invalid(Exception):
    """Something a client sent cannot be done. Told to it as an `error` event."""

    def __init__(
        self, message: str, *, code: str = "invalid_value", param: str | None = None
    ) -> None:
        super().__init__(message)
        self.message, self.code, self.param = message, code, param


def text(value: object, param: str) -> str:
    """A string."""
    if not isinstance(value, str):
        raise _wrong_type(value, "a string", param)
    return value


def flag(value: object, param: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise _wrong_type(value, "a boolean", param)
    return value


def integer(value: object, param: str, low: int, high: int) -> int:
    """A whole number between those two."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong_type(value, "an integer", param)
    _within(value, param, low, high)
    return value


def number(value: object, param: str, low: float, high: float) -> float:
    """A number between those two."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise _wrong_type(value, "a decimal", param)
    _within(value, param, low, high)
    return value


def record(value: object, param: str) -> Mapping[str, Any]:
    """An object."""
    if not isinstance(value, dict):
        raise _wrong_type(value, "an object", param)
    return value


def array(value: object, param: str) -> list[Any]:
    """A list."""
    if not isinstance(value, list):
        raise _wrong_type(value, "an array", param)
    return value


def one_of(value: object, param: str, choices: Collection[str]) -> str:
    """One of these strings."""
    if value not in tuple(choices):
        supported = ", ".join(f"'{choice}'" for choice in choices)
        raise Invalid(
            f"Invalid value: {_shown(value)}. Supported values are: {supported}.", param=param
        )
    assert isinstance(value, str)
    return value


def required(members: Mapping[str, Any], name: str, prefix: str = "") -> Any:
    """That member, which must be there."""
    if name not in members:
        param = prefix + name
        code = "missing_required_parameter"
        raise Invalid(f"Missing required parameter: '{param}'.", code=code, param=param)
    return members[name]


def only(members: Iterable[str], known: Collection[str], prefix: str = "") -> None:
    """No other members than these."""
    for name in members:
        if name not in known:
            raise unknown(prefix + name)


def unknown(param: str) -> Invalid:
    """The refusal of a parameter that does not exist."""
    return Invalid(f"Unknown parameter: '{param}'.", code="unknown_parameter", param=param)


def audio(value: object, param: str) -> bytes:
    """Base64 text, decoded."""
    try:
        data = pybase64.b64decode(text(value, param), validate=True)
    except ValueError as error:
        raise Invalid(
            f"Invalid '{param}'. Expected base64-encoded audio bytes but got an invalid value.",
            param=param,
        ) from error
    if len(data) > MAX_AUDIO_BYTES:
        raise Invalid(
            f"Invalid '{param}': audio too long. Expected at most {MAX_AUDIO_BYTES} bytes, "
            f"but got {len(data)} bytes instead.",
            code="string_above_max_length",
            param=param,
        )
    return data


def _within(value: float, param: str, low: float, high: float) -> None:
    if not low <= value <= high:
        side, bound = ("below_min", low) if value < low else ("above_max", high)
        sign = ">=" if value < low else "<="
        raise Invalid(
            f"Invalid '{param}': expected a value {sign} {bound}, but got {value} instead.",
            code=f"{'integer' if isinstance(value, int) else 'decimal'}_{side}_value",
            param=param,
        )


def _wrong_type(value: object, expected: str, param: str) -> Invalid:
    found = _JSON_WORDS[type(value)]
    return Invalid(
        f"Invalid type for '{param}': expected {expected}, but got {found} instead.",
        code="invalid_type",
        param=param,
    )


def _shown(value: object) -> str:
    return f"'{value[:60]}'" if isinstance(value, str) else _JSON_WORDS[type(value)]
