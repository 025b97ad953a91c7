"""What all tests share."""

from __future__ import annotations

import structlog

# Rich tracebacks show all local variables: one takes seconds on a busy machine, in the middle of a transaction.
_PLAIN = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
structlog.configure(processors=[*structlog.get_config()["processors"][:-1], _PLAIN])
