"""Templates of links from a run or a rule to other pages: logs, Argo's page, dashboards."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field

OF_RULE: Final = frozenset({"rule", "key", "namespace"})
OF_RUN: Final = frozenset({"run", "workflow", "uid", "from_ms", "to_ms"})
"""Placeholders that only a run has."""
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_SHAPE = re.compile(r"https?://[^\s/?#@{}\\]+([/?#][^\s\\]*)?")


def placeholders(template: str) -> frozenset[str]:
    """Return the names in braces of a template."""
    return frozenset(_PLACEHOLDER.findall(template))


def _checked(template: str) -> str:
    if not _SHAPE.fullmatch(template):
        raise ValueError(
            "expected an address with a fixed host, without a user: write such as "
            "`https://grafana.example.com/explore?workflow={workflow}`"
        )
    known = sorted(OF_RULE | OF_RUN)
    for name in sorted(placeholders(template)):
        if name not in known:
            raise ValueError(f"unknown placeholder {{{name}}}: write one of {', '.join(known)}")
    if set(_PLACEHOLDER.sub("", template)) & {"{", "}"}:
        raise ValueError("a brace that belongs to no placeholder: write %7B for { and %7D for }")
    return template


LinkName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.-]{0,39}$")]
LinkTemplate = Annotated[str, Field(max_length=2000), AfterValidator(_checked)]
