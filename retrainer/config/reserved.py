"""Labels and annotations that tell Argo or retrainer what a Workflow is: nobody else may set them."""

from __future__ import annotations

import re

ARGO = "workflows.argoproj.io"
MANAGED_BY = "app.kubernetes.io/managed-by"
_RESERVED = re.compile(r"(^|\.)(workflows\.argoproj\.io|retrainer\.dev)/")
ALLOWED = frozenset(
    f"{ARGO}/{name}" for name in ("archive-strategy", "title", "description", "pod-name-format", "version")
)
"""These are for people to set; Argo's own examples do."""


def reserved(key: str) -> bool:
    """Tell whether only Argo or retrainer itself may set this label or annotation."""
    return key not in ALLOWED and (bool(_RESERVED.search(key)) or key == MANAGED_BY)
