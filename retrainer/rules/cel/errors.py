"""What goes wrong with expressions. All of them are ValueErrors with a message for the author of the rule."""

from __future__ import annotations


class SyntaxProblem(ValueError):
    """The text is no expression. ``at`` counts characters from 0, ``hint`` is the way out, if it is known."""

    def __init__(self, at: int, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.at = at
        self.hint = hint


class ExpressionError(ValueError):
    """The expression has no value for this input. The only error that an evaluation raises."""


class NoField(ExpressionError):
    """It reads a field that is not there."""


class OverBudget(ExpressionError):
    """It takes more steps than an evaluation may. Neither `||` nor a macro goes on after this."""
