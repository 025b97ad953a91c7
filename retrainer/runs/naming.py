"""PURE: the name of a run's Workflow, set when the run is created."""

from __future__ import annotations

RULE_LENGTH = 36
"""Characters of the rule's name that are kept. With a dash and a ULID that makes 63, the maximum in Argo."""


def workflow_name(rule: str, run_id: str) -> str:
    """``<rule, cut to 36>-<ULID, lower case>``: valid in Kubernetes, unique, and shows the rule."""
    return f"{rule[:RULE_LENGTH].rstrip('-')}-{run_id.lower()}"
