"""What all models share: scalars with units, names, secrets.

Durations and sizes are written ``90s 15m 6h 7d`` and ``500MiB 50GB``; the models hold seconds and bytes.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

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


def parse_duration(value: object) -> float:
    """Read ``1h30m`` as seconds; raise ValueError with the way out on anything else."""
    if not isinstance(value, str) or not re.match(DURATION_PATTERN, value):
        raise ValueError(f"not a duration: write a number with its unit, such as 90s, 15m, 6h or 7d, not {value!r}")
    return sum(int(number) * _UNITS_OF_TIME[unit] for number, unit in re.findall(r"(\d+)(ms|s|m|h|d|w)", value))


def parse_size(value: object) -> int:
    """Read ``500MiB`` as bytes; raise ValueError with the way out on anything else."""
    if not isinstance(value, str) or not re.match(SIZE_PATTERN, value):
        raise ValueError(f"not a size: write a number with its unit, such as 500MiB or 50GB, not {value!r}")
    number, unit = re.match(r"([\d.]+)(\w+)", value).groups()  # type: ignore[union-attr]
    return int(float(number) * _UNITS_OF_SIZE[unit])


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "examples": ["90s", "6h", "7d"]}),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema({"type": "string", "pattern": SIZE_PATTERN, "examples": ["500MiB"]}),
]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$", max_length=63)]
Cel = Annotated[str, Field(min_length=1, max_length=2048)]
Phase = Literal["FAILED", "ERROR", "CANCELLED", "UNKNOWN"]


class Model(BaseModel):
    """Frozen, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class FromEnv(Model):
    from_env: str
    """Name of the environment variable that holds the secret."""


class FromFile(Model):
    from_file: str
    """Path of the file that holds the secret; surrounding white space is dropped. Read again when it changes."""


Secret = FromEnv | FromFile
