"""Logging of retrainer and its libraries: readable text on a terminal, JSON elsewhere, secrets masked."""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

import structlog

from retrainer.telemetry.secrets import SECRETS

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor

# On INFO these log what only their own developers need. On DEBUG libraries log whole requests and responses, secrets
# included, and on INFO sqlalchemy logs the values of each statement; so neither is written at any level of ours.
LIBRARIES = (
    "alembic",
    "apscheduler",
    "botocore",
    "httpx",
    "kubernetes",
    "urllib3",
    "uvicorn",
    "uvicorn.access",
)
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure(level: str, json: bool | None = None, stream: TextIO | None = None) -> None:
    """Log our own lines at `level` (debug, info, warning, error) and above to `stream`, or to the current stderr.

    ``json`` None means JSON unless that is a terminal. If called again, the last call applies. A server that has its
    own logging configuration (uvicorn) must be told not to use it. Raise ValueError for another level.
    """
    if level not in LEVELS:
        raise ValueError(f"no such log level: {level!r}; choose one of {', '.join(LEVELS)}")
    _levels.clear()
    terminal = (stream or sys.stderr).isatty()
    as_json = not terminal if json is None else json
    _replace_handler(_Handler(stream, _formatter(as_json=as_json, colors=terminal and "NO_COLOR" not in os.environ)))
    logging.captureWarnings(True)
    _set(level)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            *_common(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=_logger,
        cache_logger_on_first_use=False,
    )


_levels: list[str] = []
"""The level as configured, then the current one."""


def current_levels() -> tuple[str, str]:
    """Return the current level, and that of the configuration."""
    return (_levels[-1], _levels[0]) if _levels else ("info", "info")


def change_level(to: str | None) -> None:
    """Log at another level from now on, in all threads; None means that of the configuration."""
    if to is not None and to not in LEVELS:
        raise ValueError(f"no such log level: {to!r}; choose one of {', '.join(LEVELS)}")
    _set(to or current_levels()[1])


def _set(to: str) -> None:
    _levels[:] = [_levels[0] if _levels else to, to]
    logging.getLogger().setLevel(max(logging.INFO, LEVELS[to]))
    logging.getLogger("retrainer").setLevel(LEVELS[to])
    _quieten_libraries(LEVELS[to])
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(LEVELS[to]))


class _Handler(logging.StreamHandler[TextIO]):
    """Uses the current stderr for each line, as a progress display on the terminal replaces stderr temporarily."""

    def __init__(self, stream: TextIO | None, formatter: logging.Formatter) -> None:
        super().__init__(stream or sys.stderr)
        self._fixed = stream
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = self._fixed or sys.stderr
        super().emit(record)


def _replace_handler(handler: logging.Handler) -> None:
    root = logging.getLogger()
    for old in [h for h in root.handlers if isinstance(h, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)


def _quieten_libraries(level: int) -> None:
    for name in LIBRARIES:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(logging.INFO if level == logging.DEBUG else logging.WARNING)
    logging.getLogger("sqlalchemy").setLevel(logging.WARNING)


def _logger(*_args: Any) -> logging.Logger:
    return logging.getLogger("retrainer")


def _common() -> list[Processor]:
    return [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _formatter(*, as_json: bool, colors: bool) -> logging.Formatter:
    # Tracebacks become text before masking, and have no local variables: both may contain secrets.
    ways_out: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        SECRETS.processor,
    ]
    if as_json:
        ways_out.append(_render_json)
    else:
        plain = structlog.dev.plain_traceback
        ways_out.append(structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain, pad_event_to=24))
    return structlog.stdlib.ProcessorFormatter(
        processors=ways_out, foreign_pre_chain=[*_common(), structlog.stdlib.add_logger_name]
    )


def _render_json(_logger: Any, _method: str, event_dict: EventDict) -> str:
    """Put timestamp, level and event first. Escape non-ASCII characters, including lone surrogates of file names."""
    first = {name: event_dict.pop(name) for name in ("timestamp", "level", "event") if name in event_dict}
    return json.dumps({**first, **event_dict})
