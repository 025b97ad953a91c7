"""Client for a schema registry's REST API: schemas by id, with the schemas they refer to."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import httpx
import orjson
import structlog

from retrainer.sources.formats.avro_schema import ParsedSchema, SchemaUnavailable, SchemaUnusable, parse
from retrainer.sources.responses import ASKED_FOR, TooLargeError, read_body
from retrainer.sources.tls import ssl_context
from retrainer.telemetry.secrets import SECRETS, reveal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from retrainer.config.models import SchemaRegistry

TIMEOUT = 5.0
"""Seconds for each step of a request."""
LONGEST = 15.0
"""Seconds for a whole response, from its first byte."""
LARGEST = 4 << 20
"""Bytes of a response."""
KEPT = 1000
"""Cached schemas; the least recently used is evicted first."""
UNUSABLE_FOR = 60.0
"""Seconds until an unusable id is requested again, so that invalid records do not cause a flood of requests."""
MOST_REFERENCES = 100
T = TypeVar("T")
log = structlog.get_logger()
_ACCEPT = "application/vnd.schemaregistry.v1+json, application/json"


class SchemaRegistryClient:
    """Returns schemas by id, and caches them: the schema of an id never changes. Thread-safe.

    Relative paths in ``settings`` are resolved against ``base_folder``. Files and secrets are read when needed, so
    that a problem with them is temporary as well.
    """

    def __init__(
        self, settings: SchemaRegistry, base_folder: Path, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings, self._base_folder, self._monotonic = settings, base_folder, monotonic
        self._url = settings.url.rstrip("/")
        self._client: httpx.Client | None = None
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, ParsedSchema] = OrderedDict()
        self._unusable: OrderedDict[int, tuple[float, str]] = OrderedDict()

    def __call__(self, number: int) -> ParsedSchema:
        """Raise SchemaUnavailable if the registry cannot be reached, SchemaUnusable if it has no usable schema."""
        with self._lock:
            return self._give(number)

    def _give(self, number: int) -> ParsedSchema:
        kept = self._kept.get(number)
        if kept is not None:
            self._kept.move_to_end(number)
            return kept
        until, reason = self._unusable.get(number, (0.0, ""))
        if reason and self._monotonic() < until:
            raise SchemaUnusable(reason)
        try:
            schema = self._ask(number)
        except SchemaUnusable as error:
            _keep(self._unusable, number, (self._monotonic() + UNUSABLE_FOR, str(error)))
            raise
        _keep(self._kept, number, schema)
        for ignored in schema.ignored:
            log.warning("schema.logical_type_ignored", registry=self._url, schema=number, ignored=ignored)
        return schema

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def _ask(self, number: int) -> ParsedSchema:
        found = self._get(f"/schemas/ids/{number}")
        if found is None:
            raise SchemaUnusable("the registry does not have it")
        return parse(_text(found), self._references(found))

    def _references(self, found: Mapping[str, Any]) -> list[str]:
        """Return the texts of all schemas that a schema refers to, each after its own references."""
        texts: dict[tuple[str, int], str] = {}
        self._collect(found, texts, set())
        return list(texts.values())

    def _collect(
        self, found: Mapping[str, Any], texts: dict[tuple[str, int], str], asked: set[tuple[str, int]]
    ) -> None:
        for subject, version in self._named(found):
            if (subject, version) in asked:
                continue
            asked.add((subject, version))
            if len(asked) > MOST_REFERENCES:
                raise SchemaUnusable(f"it refers to more than {MOST_REFERENCES} others")
            # A referenced schema may be soft-deleted. Records were still written with it.
            inner = self._get(f"/subjects/{quote(subject, safe='')}/versions/{version}?deleted=true")
            if inner is None:
                raise SchemaUnusable(f"it refers to {subject} version {version}, which the registry does not have")
            self._collect(inner, texts, asked)
            texts[subject, version] = _text(inner)

    def _named(self, found: Mapping[str, Any]) -> list[tuple[str, int]]:
        try:
            return [(str(named["subject"]), int(named["version"])) for named in found.get("references") or ()]
        except (KeyError, TypeError, ValueError):
            raise SchemaUnavailable(f"schema registry {self._url}: an answer with invalid references") from None

    def _get(self, path: str) -> dict[str, Any] | None:
        """Return the response; None if the registry does not know the id. Raise SchemaUnavailable."""
        try:
            status, body = self._request(path)
        except (httpx.HTTPError, OSError, ValueError) as error:  # ValueError: a secret or a file that cannot be read
            raise SchemaUnavailable(f"schema registry {self._url}: {SECRETS.mask(str(error)):.200}") from None
        answer = _json(body)
        if status == httpx.codes.OK and isinstance(answer.get("schema"), str):
            return answer
        if status == httpx.codes.NOT_FOUND and str(answer.get("error_code", ""))[:3] == "404":
            return None
        raise SchemaUnavailable(f"schema registry {self._url}: {_trouble(status)}")

    def _request(self, path: str) -> tuple[int, bytes]:
        if self._client is None:
            self._client = self._connect()
        with self._client.stream("GET", self._url + path, headers=self._headers(), auth=self._auth()) as answer:
            until = self._monotonic() + LONGEST
            try:
                return answer.status_code, read_body(answer, LARGEST, lambda: self._monotonic() <= until)
            except TooLargeError:
                raise ValueError(f"an answer of more than {LARGEST} bytes") from None
            except TimeoutError:
                raise ValueError(f"an answer that takes longer than {LONGEST:g} s") from None

    def _connect(self) -> httpx.Client:
        tls = self._settings.tls
        verify = ssl_context(tls, self._base_folder) if tls is not None else True
        return httpx.Client(verify=verify, timeout=TIMEOUT)

    def _headers(self) -> dict[str, str]:
        token = self._settings.token
        return {"Accept": _ACCEPT, **ASKED_FOR, **({"Authorization": f"Bearer {reveal(token)}"} if token else {})}

    def _auth(self) -> tuple[str, str] | None:
        settings = self._settings
        if settings.username is None or settings.password is None:
            return None
        return settings.username, reveal(settings.password)


def _text(found: Mapping[str, Any]) -> str:
    kind = found.get("schemaType") or "AVRO"
    if kind != "AVRO":
        raise SchemaUnusable(f"it is of type {kind!s:.20}, not AVRO")
    return str(found["schema"])


def _json(body: bytes) -> dict[str, Any]:
    try:
        answer = orjson.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _trouble(status: int) -> str:
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return f"it answers {status}; are username and password, or token, correct?"
    if status == httpx.codes.NOT_FOUND:
        return "it answers 404, but not as a registry does; is url correct?"
    if status == httpx.codes.OK:
        return "its answer holds no schema; is url correct?"
    return f"it answers {status}"


def _keep(kept: OrderedDict[int, T], number: int, value: T) -> None:
    kept[number] = value
    kept.move_to_end(number)
    if len(kept) > KEPT:
        kept.popitem(last=False)
