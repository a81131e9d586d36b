"""Scripts as JSON files: the classes of `script`, checked member by member.

An unknown member, a wrong kind of value or a missing one is a `UsageError` that says where in the
file it stands and what could stand there.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Union

import orjson

from recorder.errors import UsageError
from recorder.sandbox.script import Script

_WORDS: dict[type, str] = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


def load_script(path: Path) -> Script:
    """The script in that file."""
    try:
        return parse_script(path.read_bytes(), where=str(path))
    except OSError as error:
        raise UsageError(f"cannot read the script {path}: {error.strerror}") from error


def parse_script(text: bytes | str, *, where: str = "script") -> Script:
    """The script in that JSON text; `where` begins the error messages."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{where} is not JSON: {error}") from error
    built = _build(Script, value, where)
    assert isinstance(built, Script)
    return built


def _build(kind: Any, value: object, path: str) -> object:
    """The value as that type says it must be."""
    origin = typing.get_origin(kind)
    if origin in (Union, types.UnionType):
        return _build_one_of(typing.get_args(kind), value, path)
    if origin is Literal:
        return _one_of(typing.get_args(kind), value, path)
    if origin is tuple:
        return _build_row(typing.get_args(kind), value, path)
    if dataclasses.is_dataclass(kind):
        return _build_object(kind, value, path)
    if origin is not None and issubclass(origin, Mapping):
        return _expect(isinstance(value, dict), value, "an object", path)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return _expect(type(value) is kind, value, _WORDS[kind], path)


def _build_one_of(kinds: tuple[Any, ...], value: object, path: str) -> object:
    """The one of these kinds that the value looks like."""
    objects = {_first_member(kind): kind for kind in kinds if dataclasses.is_dataclass(kind)}
    if len(objects) > 1:
        named = [member for member in objects if isinstance(value, dict) and member in value]
        _expect(len(named) == 1, value, f"an object with one of {', '.join(objects)}", path)
        return _build(objects[named[0]], value, path)
    for kind in kinds:
        if type(value) is (typing.get_origin(kind) or kind):
            return value
    deeper = [kind for kind in kinds if kind not in _WORDS]
    if deeper and (isinstance(value, dict) or typing.get_origin(deeper[0]) is Literal):
        return _build(deeper[0], value, path)
    words = " or ".join(_WORDS.get(kind, "an object") for kind in kinds)
    raise _wrong(value, words, path)


def _build_row(kinds: tuple[Any, ...], value: object, path: str) -> tuple[object, ...]:
    if not isinstance(value, list):
        raise _wrong(value, "a list", path)
    if kinds[-1] is not Ellipsis:
        _expect(len(value) == len(kinds), value, f"a list of {len(kinds)}", path)
    return tuple(_build(kinds[0], each, f"{path}[{i}]") for i, each in enumerate(value))


def _build_object(kind: Any, value: object, path: str) -> object:
    """An instance of that dataclass, from its members."""
    if not isinstance(value, dict):
        raise _wrong(value, "an object", path)
    hints = typing.get_type_hints(kind)
    for name in value:
        if name not in hints:
            raise UsageError(f"{path}: unknown member {name!r}; there are: {', '.join(hints)}")
    members = {name: _build(hints[name], each, f"{path}.{name}") for name, each in value.items()}
    for needed in dataclasses.fields(kind):
        if _is_required(needed) and needed.name not in members:
            raise UsageError(f"{path}: the member {needed.name!r} is missing")
    try:
        return kind(**members)
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from error


def _is_required(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return field.default is missing and field.default_factory is missing


def _first_member(kind: Any) -> str:
    return dataclasses.fields(kind)[0].name


def _one_of(choices: tuple[object, ...], value: object, path: str) -> object:
    return _expect(value in choices, value, " or ".join(map(repr, choices)), path)


def _expect(holds: bool, value: object, what: str, path: str) -> object:
    if not holds:
        raise _wrong(value, what, path)
    return value


def _wrong(value: object, what: str, path: str) -> UsageError:
    found = orjson.dumps(value).decode()
    shown = found if len(found) <= 60 else found[:57] + "..."
    return UsageError(f"{path}: expected {what}, found {shown}")
