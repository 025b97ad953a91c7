"""PURE: the name of a run's Workflow, fixed when the run is born."""

from __future__ import annotations

RULE_LENGTH = 36
"""So much of the rule's name is kept: with a dash and a ULID that makes 63, the longest that Argo takes."""


def workflow_name(rule: str, run_id: str) -> str:
    """``<rule, cut to 36>-<ULID, lower case>``: valid for Kubernetes, unique, and telling whose it is."""
    return f"{rule[:RULE_LENGTH].rstrip('-')}-{run_id.lower()}"
