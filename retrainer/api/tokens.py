"""The tokens of the API: who sends a request, and what the sender may do."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from retrainer.api import session
from retrainer.api.verbs import route_of
from retrainer.config.models import FromFile
from retrainer.config.settings import Verb
from retrainer.sources.http.refusal import Refusal, not_now
from retrainer.telemetry.secrets import reveal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from retrainer.api.session import Session
    from retrainer.config.models import Secret
    from retrainer.config.settings import Http

EVERYTHING: frozenset[Verb] = frozenset(get_args(Verb))
ANONYMOUS = "anonymous"
"""Name of all callers of a daemon without tokens."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request: the name of the token. ``namespaces`` is None for all of them."""

    name: str = ANONYMOUS
    verbs: frozenset[Verb] = EVERYTHING
    namespaces: frozenset[str] | None = None
    users: Mapping[str, frozenset[Verb]] = field(default_factory=dict)
    """Further verbs of the users that a proxy with this token names."""

    @property
    def proven(self) -> bool:
        """Whether a token was checked."""
        return self.name not in (ANONYMOUS, "")

    def with_user(self, user: str) -> str:
        """Return the name with the user that the request names, which nobody has checked."""
        if not self.proven:
            return user
        return f"{self.name} ({user})" if user else self.name


NOBODY = Caller("", frozenset(), frozenset())
"""A caller that has sent no token yet."""
WHO_AM_I = ("GET", "/-/session")
"""What nobody may ask: so that a page can find out whether to ask for a token."""


class RefusedToken(Refusal):
    """``reason`` is `none`, `unknown` or `verb`. ``caller`` is empty unless the token is known."""

    def __init__(self, status: int, detail: str, *, reason: str, caller: str = "") -> None:
        super().__init__(status, detail, {"WWW-Authenticate": "Bearer"} if status == 401 else None)
        self.reason, self.caller = reason, caller


@dataclass(frozen=True, slots=True)
class KnownSession:
    """The session of a request, and the time of the request (epoch seconds)."""

    session: Session
    now: float


def _unknown(bearer: str, *, ended: bool) -> RefusedToken:
    if ended:
        return RefusedToken(401, "the session has ended, or its token was rotated: sign in again", reason="none")
    wrong = "the token is unknown" if bearer else "no bearer token was sent"
    words = f"{wrong}: send that of http.token, or one of http.tokens, in the header Authorization"
    return RefusedToken(401, words, reason="unknown" if bearer else "none")


class _Token:
    """``place`` is its field in the settings."""

    def __init__(self, place: str, secret: Secret, caller: Caller) -> None:
        self.place, self.caller, self._secret = place, caller, secret
        self._read: tuple[tuple[int, ...] | None, bytes] = None, b""

    def digest(self) -> bytes:
        """Return the hash of its current value. Raise ValueError if it cannot be read."""
        stamp = self._stamp()
        if stamp is None or stamp != self._read[0]:
            self._read = stamp, sha256(reveal(self._secret).encode()).digest()
        return self._read[1]

    def _stamp(self) -> tuple[int, ...] | None:
        """Return what changes with a file, None for a variable. It is taken before the file is read."""
        if not isinstance(self._secret, FromFile):
            return None
        try:
            found = Path(self._secret.from_file).stat()
        except (OSError, ValueError):
            return None
        return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size


class Tokens:
    """All tokens of the settings."""

    def __init__(self, http: Http) -> None:
        self._tokens = list(_tokens(http))

    def check(self) -> None:
        """Raise ValueError if a token cannot be read, or if two are equal: it would be unclear who holds them."""
        places: dict[bytes, str] = {}
        for token in self._tokens:
            first = places.setdefault(token.digest(), token.place)
            if first != token.place:
                raise ValueError(f"{first} and {token.place} are the same token: give each its own")

    def session_of(self, name: str, now: float) -> str | None:
        """Return the value of a cookie that stands for a token from now on; None for callers without a token.

        Raise ValueError if the token cannot be read.
        """
        token = next((token for token in self._tokens if token.caller.name == name), None)
        return None if token is None else session.begin(name, token.digest(), now)

    def admit(
        self, method: str, path: str, authorization: str, known: KnownSession | None = None, user: str = ""
    ) -> Caller:
        """Return the sender of a request. Raise RefusedToken 401 or 403, or Refusal 503 if a token cannot be read.

        A session counts if there is no Authorization. ``user`` is whom the request names: one of the token's `users`
        has further verbs. The holder of the token, a proxy, has signed them in.
        """
        if not self._tokens:
            return Caller()
        scheme, _, given = authorization.partition(" ")
        bearer = given.strip() if scheme.lower() == "bearer" else ""
        in_use = None if authorization else known
        if in_use is not None:
            caller = self._in_session(in_use)
        else:
            caller = self._holder(bearer.encode("utf-8", "surrogatepass"))
        if caller is None and not authorization and (method, path) == WHO_AM_I:
            return NOBODY
        if caller is None:
            raise _unknown(bearer, ended=in_use is not None)
        if in_use is None and user in caller.users:
            caller = replace(caller, verbs=caller.verbs | caller.users[user])
        route = route_of(method, path)
        if route is not None and route[1] not in caller.verbs:
            permitted = ", ".join(verb for verb in get_args(Verb) if verb in caller.verbs)
            words = (
                f"the token {caller.name} permits {permitted}, and this needs {route[1]}: send another, or add the verb"
            )
            raise RefusedToken(403, f"{words} in http.tokens", reason="verb", caller=caller.name)
        return caller

    def _in_session(self, known: KnownSession) -> Caller | None:
        for token in self._tokens:
            if token.caller.name != known.session.token:
                continue
            try:
                digest = token.digest()
            except ValueError as error:
                raise not_now(f"{token.place}: {error}", 30) from None
            if known.session.holds(digest, known.now):
                return token.caller
        return None

    def _holder(self, bearer: bytes) -> Caller | None:
        given, unreadable = sha256(bearer).digest(), None
        for token in self._tokens:
            try:
                expected = token.digest()
            except ValueError as error:
                unreadable = not_now(f"{token.place}: {error}", 30)
                continue
            if hmac.compare_digest(given, expected):
                return token.caller
        if unreadable is not None:  # it may be this one
            raise unreadable
        return None


def _tokens(http: Http) -> Iterator[_Token]:
    if http.token is not None:
        yield _Token("http.token", http.token, Caller("http.token"))
    if http.read_token is not None and (http.token is not None or http.tokens):
        yield _Token("http.read_token", http.read_token, Caller("http.read_token", frozenset(("read",))))
    for token in http.tokens:
        namespaces = None if token.namespaces == "all" else frozenset(token.namespaces)
        users = {user: frozenset(verbs) for user, verbs in token.users.items()}
        caller = Caller(token.name, frozenset(token.verbs), namespaces, users)
        yield _Token(f"http.tokens.{token.name}", token.token, caller)
