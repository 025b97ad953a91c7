"""The acts of a request, with who sent it."""

from dataclasses import replace
from typing import Annotated, Any

from fastapi import Depends
from starlette.requests import Request

from retrainer.api.context import ApiContext
from retrainer.api.guard import address_of
from retrainer.api.recorder import Recorder
from retrainer.api.sight import caller_of, user_of
from retrainer.api.tokens import Caller
from retrainer.engine.core.notifications import ActRecorded
from retrainer.telemetry.secrets import SECRETS


class Acting:
    """The acts of one request. ``user`` is whom the request names; nobody has checked that."""

    def __init__(self, context: ApiContext, caller: Caller, address: str, user: str) -> None:
        self._context, self._caller, self._address, self._user = context, caller, address, user

    def named(self, user: str = "") -> str:
        """Return who acts, for the cause of runs: the caller, and the user that the request names."""
        return self._caller.with_user(SECRETS.mask(user or self._user))

    def on(self, act: str, user: str = "", *, detail: str = "", **place: Any) -> Recorder:
        """Return what runs an act. ``place`` are further fields of `ActRecorded`: the rule, the run, the target."""
        return self._context.recording(self.record_of(act, user, detail=detail, **place))

    def record_of(self, act: str, user: str = "", *, detail: str = "", **place: Any) -> ActRecorded:
        """Return the record of an act, with the same fields as `on`."""
        who = ActRecorded(act, self._caller.name, SECRETS.mask(user or self._user), self._address)
        return replace(who, detail=SECRETS.mask(detail), **place)


async def _acting(request: Request) -> Acting:
    return Acting(request.app.state.context, caller_of(request), address_of(request), user_of(request))


Acts = Annotated[Acting, Depends(_acting)]
