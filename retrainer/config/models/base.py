"""What all models share: scalars with units and their bounds, names, secrets.

Durations and sizes are written ``90s 15m 6h 7d`` and ``500MiB 50GB``; the models hold seconds and bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
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
_LONGEST_TEXT = 400
"""More digits than anybody writes are not even shown."""

LONGEST = 36500 * 86400.0
"""Seconds, a hundred years: whatever is added up of these stays a date, and a wait that a thread can take."""
LARGEST = 2**53
"""Bytes: up to here a number is exact on every road, and sums fit the store."""
MOST = 10**9
"""Whatever else is counted: it fits a column of 32 bits."""
STEEPEST = 1000.0
"""A factor by which a wait grows each time."""


def parse_duration(value: object) -> float:
    """Read ``1h30m`` as seconds; raise ValueError with the way out on anything else, or beyond a hundred years."""
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT or not _DURATION.fullmatch(value):
        raise ValueError(f"not a duration: write a number with its unit, such as 90s, 15m, 6h or 7d, not {_cut(value)}")
    parts = re.findall(r"([0-9]+)(ms|s|m|h|d|w)", value)
    seconds = sum(float(number) * _UNITS_OF_TIME[unit] for number, unit in parts)
    if seconds > LONGEST:
        raise ValueError(f"{_cut(value)} is longer than 36500d, a hundred years: write 36500d where you mean never")
    return seconds


def parse_size(value: object) -> int:
    """Read ``500MiB`` as bytes; raise ValueError with the way out on anything else, or beyond what is counted."""
    found = _SIZE.fullmatch(value) if isinstance(value, str) and len(value) <= _LONGEST_TEXT else None
    if found is None:
        raise ValueError(f"not a size: write a number with its unit, such as 500MiB or 50GB, not {_cut(value)}")
    size = float(found[1]) * _UNITS_OF_SIZE[found[2]]
    if size > LARGEST:
        raise ValueError(f"{_cut(value)} is larger than 8192TiB: write 8192TiB where you mean no limit")
    return int(size)


def _cut(value: object) -> str:
    """A value as a message shows it; one of a thousand digits does not fill the log."""
    text = str(value)[:41] if isinstance(value, (str, int, float, bool)) else type(value).__name__
    return repr(text if len(text) <= 40 else text[:39] + "…") if isinstance(value, str) else text


@dataclass(frozen=True, slots=True)
class Between:
    """Bounds of a duration or size, as people write them: ``Annotated[Duration, Between("1s", "1d")]``."""

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
Timeout = Annotated[Duration, Between("1ms", "1d")]
"""How long somebody else may take: what sockets and client libraries can be told."""
Interval = Annotated[Duration, Between("", "366d")]
"""How often something is done anew."""
Spread = Annotated[Duration, Between("", "31d")]
"""Over how much time starts are spread; each slot within it is looked at."""
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema({"type": "string", "pattern": SIZE_PATTERN, "examples": ["500MiB"]}),
]
Message = Annotated[Size, Between("1B", "1GiB")]
"""What is taken into memory in one piece."""
Count = Annotated[int, Field(ge=1, le=MOST)]
"""So many of anything."""
Total = Annotated[int, Field(ge=1, le=10**15)]
"""So many, summed up over events."""
Hours = Annotated[float, Field(le=1e9)]
"""GPU hours."""
Factor = Annotated[float, Field(ge=1, le=STEEPEST)]
"""Each is so much longer than the one before."""
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$", max_length=63)]
Cel = Annotated[str, Field(min_length=1, max_length=2048)]
Phase = Literal["FAILED", "ERROR", "CANCELLED", "UNKNOWN"]


class Model(BaseModel):
    """Frozen, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Return itself: pydantic copies each default, and what is frozen can be shared by all rules."""
        return self


class FromEnv(Model):
    from_env: str
    """Name of the environment variable that holds the secret."""


class FromFile(Model):
    from_file: str
    """Path of the file that holds the secret; surrounding white space is dropped. Read again when it changes."""


Secret = FromEnv | FromFile
