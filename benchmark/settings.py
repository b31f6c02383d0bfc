"""The base class of all settings and the types of their numbers: no number is unbounded, no value is converted."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic_core import PydanticSerializationError

from benchmark.files import CorruptFileError, read_json
from benchmark.plugins.registry import Registry
from benchmark.seeds import LARGEST_SEED

Checked = TypeVar("Checked", bound=BaseModel)

Size = Annotated[int, Field(ge=1, le=10**6)]
"""A number of channels, features, layers, prompts or windows."""

Tokens = Annotated[int, Field(ge=1, le=10**12)]
"""A number of tokens."""

Name = Annotated[str, Field(max_length=200), AfterValidator(lambda name: _printable(name))]
"""A name of something: of one line, and not of any length."""

Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]
"""A seed of random numbers."""

Share = Annotated[float, Field(ge=0, le=1)]
"""A fraction of a whole."""

PositiveShare = Annotated[float, Field(gt=0, le=1)]
"""A fraction that is not zero."""

Weight = Annotated[float, Field(ge=0, le=1e6)]
"""A coefficient; 0 switches off what it multiplies."""

Positive = Annotated[float, Field(gt=0, le=1e6)]
"""A learning rate, a temperature, a loss in nats."""


EXAMPLES = {
    "tuple_type": 'write a list, such as ["a", "b"]',
    "list_type": 'write a list, such as ["a", "b"]',
    "dict_type": "write a table, such as {a = 1}",
}
"""How values are written that were given as something else, by the type of the error."""


def _each_once(values: tuple[str, ...]) -> tuple[str, ...]:
    twice = [value for value, times in Counter(values).items() if times > 1]
    if twice:
        raise ValueError(f"{twice[0]!r} is given twice; give each once")
    return values


EachOnce = AfterValidator(_each_once)
"""A validator for lists in which nothing may be named twice."""


def _printable(name: str) -> str:
    if not name.isprintable():
        raise ValueError("a name has no control characters")
    return name


def known_in(records: Registry[Any]) -> AfterValidator:
    """A validator for settings that name a record; the error lists the choices."""

    def known(name: str) -> str:
        records.named(name)
        return name

    return AfterValidator(known)


class Settings(BaseModel):
    """Settings of a run: frozen, and strict about names and types, except that whole numbers may be written as 1e6.

    Every number has a finite range on both sides; a contract test checks all subclasses.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    elsewhere: ClassVar[Mapping[str, str]] = {}
    """Keys that these settings do not have although one may look for them here, each with what to do instead."""

    @field_validator("*", mode="before")
    @classmethod
    def _whole(cls, value: Any) -> Any:
        return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def validated(model: type[Checked], table: Mapping[str, Any], section: str) -> Checked:
    """The settings of a section.

    Raises:
        ValueError: One line that names the key, the value, and what was expected or which range is allowed.
    """
    try:
        settings = model.model_validate(table)
        content = settings.model_dump(mode="json")
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join([section, *map(str, first["loc"])])
        message = first["msg"].removeprefix("Value error, ")
        message = message[0].lower() + message[1:].replace("valid tuple", "valid list")
        if first["type"] in ("value_error", "missing") and isinstance(first["input"], dict):
            raise ValueError(f"{place}: {message}") from None
        value = first["input"]
        if isinstance(value, int) and value.bit_length() > 250:  # Python refuses to print thousands of digits
            shown = f"a number of about {value.bit_length() * 0.30103:.0f} digits"
        else:
            shown = repr(value) if len(repr(value)) <= 80 else f"{repr(value)[:77]}..."
        allowed = f"; {EXAMPLES[first['type']]}" if first["type"] in EXAMPLES else ""
        with suppress(PydanticInvalidForJsonSchema):
            allowed = allowed or _allowed(model.model_json_schema(), first["loc"])
        raise ValueError(f"{place} = {shown}: {message}{allowed}") from None
    except PydanticSerializationError as error:
        raise ValueError(f"{section}: these settings cannot be written as JSON: {error}") from None
    for place, value in _numbers(section, content):
        if not math.isfinite(value):
            raise ValueError(f"{place} = {value}: input should be a finite number")
    return settings


def read_settings(path: Path, model: type[Checked], *keys: str) -> Checked:
    """The settings in a JSON file, at a path of keys if any are given; `CorruptFileError` if they do not fit."""
    table = read_json(path)
    for key in keys:
        if not isinstance(table := table.get(key, {}), dict):
            raise CorruptFileError(path, f"has no table {key!r}")
    try:
        return validated(model, table, "settings")
    except ValueError as error:
        raise CorruptFileError(path, f"does not fit: {str(error).removeprefix('settings').lstrip('.: ')}") from error


def _numbers(place: str, content: Any) -> Iterator[tuple[str, float]]:
    """Every float in settings, with its path."""
    if isinstance(content, float):
        yield place, content
    elif isinstance(content, Mapping):
        for key, inside in content.items():
            yield from _numbers(f"{place}.{key}", inside)
    elif isinstance(content, Sequence) and not isinstance(content, str):
        for number, inside in enumerate(content):
            yield from _numbers(f"{place}.{number}", inside)


def _allowed(schema: Mapping[str, Any], path: Sequence[int | str]) -> str:
    """The range of the number at a path in settings, from the JSON schema of their class; empty if it has none."""
    found = [schema]
    for key in path:
        places = [
            inner
            for outer in found
            for inner in (outer.get("properties", {}).get(key), outer.get("items"), outer.get("additionalProperties"))
            if isinstance(inner, Mapping)
        ]
        found = [each for place in places for each in _resolved(place, schema.get("$defs", {}))]
    for each in found:
        low = each.get("minimum", each.get("exclusiveMinimum"))
        high = each.get("maximum", each.get("exclusiveMaximum"))
        if low is not None and high is not None:
            above = "above" if "exclusiveMinimum" in each else "from"
            below = "to below" if "exclusiveMaximum" in each else "up to"
            return f"; choose a number {above} {low:,.13g} {below} {high:,.13g}"
    return ""


def _resolved(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> list[Any]:
    """All schemas that a schema may stand for, with references and alternatives resolved."""
    if "$ref" in schema:
        return _resolved(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return [each for choice in schema.get("anyOf", ()) for each in _resolved(choice, definitions)] or [schema]


def is_plain_name(name: str) -> bool:
    """Whether something from a file can be called so: letters, digits, _ and -, but not `all`, which means all."""
    return name != "all" and re.fullmatch(r"[\w-]{1,100}", name) is not None
