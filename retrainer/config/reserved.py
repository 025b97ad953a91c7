"""Labels and annotations by which Argo or retrainer identify a Workflow. Configurations may not set them."""

from __future__ import annotations

import re

ARGO = "workflows.argoproj.io"
MANAGED_BY = "app.kubernetes.io/managed-by"
_RESERVED = re.compile(r"(^|\.)(workflows\.argoproj\.io|retrainer\.dev)/")
ALLOWED = frozenset(
    f"{ARGO}/{name}" for name in ("archive-strategy", "title", "description", "pod-name-format", "version")
)
"""Labels and annotations of Argo for users; Argo's examples set them."""


def reserved(key: str) -> bool:
    """Whether only Argo or retrainer itself may set this label or annotation."""
    return key not in ALLOWED and (bool(_RESERVED.search(key)) or key == MANAGED_BY)
