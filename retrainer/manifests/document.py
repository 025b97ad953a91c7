"""The manifest of a run: one JSON document with one input per line; see docs/reference/manifest.md."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import orjson

from retrainer.store import queries
from retrainer.store.pages import Page, PageRequest
from retrainer.util.timefmt import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sqlalchemy import Connection

    Read = Callable[[Callable[[Connection], Any]], Any]

VERSION = 1
PAGE = 1000
"""Inputs per read, because the engine waits during a read."""
_RUN = ("rule", "key", "trigger", "reason", "workflow", "namespace", "chain")
_WINDOW = ("events", "bytes", "rows", "start", "end", "first_key", "last_key", "parts")
_OBJECT = {"bucket": str, "key": str, "version": str, "etag": str, "size": int, "rows": int, "path": str}
_RECORD = ("topic", "partition", "offset")


def document(read: Read, run: str) -> Iterator[bytes]:
    """Yield the manifest in pieces of bounded size, whatever the number of inputs.

    ``read`` executes a short read of the store. Raise LookupError before the first piece if there is no such run.
    """
    yield orjson.dumps(_header(read(lambda conn: queries.fed(conn, run))))[:-1] + b',"inputs":['
    count, between = 0, b"\n"
    page = Page([], 0)
    while page.next is not None:
        page = read(partial(queries.run_inputs, run=run, page=PageRequest(page.next, PAGE)))
        if page.items:
            yield between + b",\n".join(orjson.dumps(line(event)) for event in page.items)
            between = b",\n"
        count += len(page.items)
    yield b'\n],"count":%d}\n' % count


def _header(run: Mapping[str, Any]) -> dict[str, Any]:
    window = {name: run["window"].get(name) for name in _WINDOW if name in run["window"]}
    for edge in ("start", "end"):
        if edge in window:
            window[edge] = rfc3339(window[edge])
    named = {name: run[name] for name in _RUN}
    return {"manifest": VERSION, "run": run["id"], **named, "created_at": rfc3339(run["created_at"]), "window": window}


def line(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return one input: its identity and its location. The data is included only if the input is not an object."""
    fields = {name: event[name] for name in ("seq", "source", "id", "type", "subject")}
    lies = place(event)
    data = {} if "bucket" in lies else {"data": event["data"]}
    return {**fields, "time": rfc3339(event["time"]), **lies, **data}


def place(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the location of an event's data: an object in its bucket, or a record in its topic; empty if neither."""
    record, data = event["attributes"].get("kafka"), event["data"]
    fields = {name: record[name] for name in _RECORD if name in record} if isinstance(record, dict) else {}
    if event["type"].startswith("s3:"):  # any client can send this type: ignore fields of wrong types
        lies = {name: data[name] for name, kind in _OBJECT.items() if isinstance(data.get(name), kind)}
        fields |= lies if "bucket" in lies and "key" in lies else {}
    return fields
