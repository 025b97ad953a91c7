"""Errors of expressions. All are ValueErrors with a message for the author of the rule."""

from __future__ import annotations


class SyntaxProblem(ValueError):
    """The text is no valid expression. ``at`` is an index in characters from 0; ``hint`` is a correction, if known."""

    def __init__(self, at: int, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.at = at
        self.hint = hint


class ExpressionError(ValueError):
    """The expression has no value for this input. An evaluation raises no other error."""


class NoField(ExpressionError):
    """The expression reads a field that does not exist."""


class OverBudget(ExpressionError):
    """The evaluation takes more steps than allowed. Neither `||` nor a macro absorbs this error."""
