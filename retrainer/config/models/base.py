"""Types that all models share: scalars with units and bounds, names, secrets.

Durations and sizes are written ``90s 15m 6h 7d`` and ``500MiB 50GB``; the models hold seconds and bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import core_schema

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic_core import CoreSchema

_UNITS_OF_TIME = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_UNITS_OF_SIZE = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
DURATION_PATTERN = r"^(\d+(ms|s|m|h|d|w))+$"
SIZE_PATTERN = r"^\d+(\.\d+)?(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$"
_DURATION = re.compile(r"([0-9]+(ms|s|m|h|d|w))+")
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)([KMGT]i?B|B)")
_ODD_DURATION = re.compile(
    r"([0-9]+(?:\.[0-9]+)?)\s*(ms|millis|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?)"
    r"(?![a-z])",
    re.IGNORECASE,
)
_ISO_DURATION = re.compile(
    r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?", re.ASCII | re.IGNORECASE
)
_ODD_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)(i?)(b|bytes)?\s*", re.IGNORECASE)
_LONGEST_TEXT = 400
"""Maximum characters of a text that is parsed."""

LONGEST = 36500 * 86400.0
"""Maximum seconds, a hundred years: sums of durations stay valid dates, and threads can wait that long."""
LARGEST = 2**53
"""Maximum bytes: numbers up to here are exact in every format, and sums fit the store."""
MOST = 10**9
"""Maximum of other counts: it fits a column of 32 bits."""
STEEPEST = 1000.0
"""Maximum factor by which a wait grows each time."""


def parse_duration(value: object) -> float:
    """Parse ``1h30m`` to seconds. Raise ValueError with a correction for anything else, or beyond a hundred years."""
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT or not _DURATION.fullmatch(value):
        raise ValueError(f"not a duration: {_duration_meant(value)}")
    parts = re.findall(r"([0-9]+)(ms|s|m|h|d|w)", value)
    seconds = sum(float(number) * _UNITS_OF_TIME[unit] for number, unit in parts)
    if seconds > LONGEST:
        raise ValueError(f"{_cut(value)} is longer than 36500d, a hundred years: write 36500d for never")
    return seconds


def parse_size(value: object) -> int:
    """Parse ``500MiB`` to bytes. Raise ValueError with a correction for anything else, or beyond `LARGEST`."""
    found = _SIZE.fullmatch(value) if isinstance(value, str) and len(value) <= _LONGEST_TEXT else None
    if found is None:
        raise ValueError(f"not a size: {_size_meant(value)}")
    size = float(found[1]) * _UNITS_OF_SIZE[found[2]]
    if size > LARGEST:
        raise ValueError(f"{_cut(value)} is larger than 8192TiB: write 8192TiB for no limit")
    return int(size)


def _duration_meant(value: object) -> str:
    """What to write instead: the same duration if it is a fraction, has spaces or words, or is as in ISO 8601."""
    text = str(value)[:_LONGEST_TEXT]
    iso = _ISO_DURATION.fullmatch(text)
    parts = (
        _ODD_DURATION.findall(text) if isinstance(value, str) and not _ODD_DURATION.sub("", text).strip(" ,") else ()
    )
    if iso and any(iso.groups()):
        parts = [(number or "0", unit) for number, unit in zip(iso.groups(), "wdhms", strict=True)]
    seconds = round(sum(float(number) * _UNITS_OF_TIME[_unit_of(unit)] for number, unit in parts), 3)
    if parts and 0 < seconds <= LONGEST:
        return f"write {written_duration(seconds)}"
    hint = f"write a number with its unit, such as 90s, 15m, 6h or 7d, not {_cut(value)}"
    return f"write {value}s, {value}m, {value}h or {value}d" if type(value) is int and 0 < value < LONGEST else hint


def _unit_of(word: str) -> str:
    word = word.lower()
    return "ms" if word.startswith(("ms", "mil")) else word[0]


def written_duration(seconds: float) -> str:
    """Return a duration as it is written in files, such as 1h30m."""
    rest, text = round(seconds * 1000), ""
    for unit in ("d", "h", "m", "s", "ms"):
        count, rest = divmod(rest, round(_UNITS_OF_TIME[unit] * 1000))
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def written_size(size: float) -> str:
    """Return a size as it is written in files: in the largest unit of which it is a whole number."""
    unit = next(unit for unit in ("TiB", "GiB", "MiB", "KiB", "B") if size % _UNITS_OF_SIZE[unit] == 0)
    return f"{size / _UNITS_OF_SIZE[unit]:g}{unit}" if size else "0B"


def _size_meant(value: object) -> str:
    found = _ODD_SIZE.fullmatch(value) if isinstance(value, str) and len(value) <= _LONGEST_TEXT else None
    if found is None:
        return f"write a number with its unit, such as 500MiB or 50GB, not {_cut(value)}"
    number, prefix, binary = found[1], found[2].upper(), found[3]
    if binary or not prefix or found[4]:
        return f"write {number}{prefix}{'i' * bool(binary)}B"
    return f"write {number}{prefix}B, or {number}{prefix}iB for powers of 1024"


def _cut(value: object) -> str:
    """A value for a message, shortened."""
    text = str(value)[:41] if isinstance(value, (str, int, float, bool)) else type(value).__name__
    return repr(text if len(text) <= 40 else text[:39] + "…") if isinstance(value, str) else text


@dataclass(frozen=True, slots=True)
class Between:
    """Bounds of a duration or size, as written in files: ``Annotated[Duration, Between("1s", "1d")]``."""

    least: str = ""
    most: str = ""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        bounds = {"minimum": _read(self.least), "maximum": _read(self.most)}
        return {**handler(schema), **{name: bound for name, bound in bounds.items() if bound is not None}}

    def _check(self, value: float) -> float:
        least, most = _read(self.least), _read(self.most)
        if least is not None and value < least:
            raise ValueError(f"less than {self.least}: write at least {self.least}")
        if most is not None and value > most:
            raise ValueError(f"more than {self.most}: write at most {self.most}")
        return value


def _read(bound: str) -> float | None:
    return None if not bound else parse_size(bound) if bound.endswith("B") else parse_duration(bound)


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "examples": ["90s", "6h", "7d"]}),
]


def longer_than_nothing(hint: str) -> AfterValidator:
    """Reject 0s; ``hint`` says what to write instead."""

    def check(value: float) -> float:
        if value <= 0:
            raise ValueError(f"must be longer than 0s: {hint}")
        return value

    return AfterValidator(check)


Timeout = Annotated[Duration, Between("1ms", "1d")]
"""Time limit for another system, in the range that sockets and client libraries accept."""
Interval = Annotated[Duration, Between("", "366d")]
"""How often an action repeats."""
Spread = Annotated[Duration, Between("", "31d")]
"""Period over which starts are spread; each slot within it is checked."""
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema({"type": "string", "pattern": SIZE_PATTERN, "examples": ["500MiB"]}),
]
Message = Annotated[Size, Between("1B", "1GiB")]
"""Size of data that is held in memory as a whole."""
Count = Annotated[int, Field(ge=1, le=MOST)]
"""A number of items."""
Total = Annotated[int, Field(ge=1, le=10**15)]
"""A number of items, summed over events."""
Hours = Annotated[float, Field(le=1e9)]
"""GPU hours."""
Factor = Annotated[float, Field(ge=1, le=STEEPEST)]
"""Each wait is longer than the one before by this factor."""
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$", max_length=63)]
Cel = Annotated[str, Field(min_length=1, max_length=2048)]
Phase = Literal["FAILED", "ERROR", "CANCELLED", "UNKNOWN"]


class Model(BaseModel):
    """Frozen; an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Return itself: pydantic copies each default, and a frozen model can be shared by all rules."""
        return self


class FromEnv(Model):
    from_env: str
    """Name of the environment variable that holds the secret."""


class FromFile(Model):
    from_file: str
    """Path of the file that holds the secret; surrounding white space is removed. The file is read again each time."""


Secret = FromEnv | FromFile
