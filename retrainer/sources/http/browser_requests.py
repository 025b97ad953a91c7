"""PURE: requests that a web page makes a browser send are told apart from those of programs.

A page can send requests to any address, and give its own name any address afterwards (DNS rebinding). It cannot choose
what the browser says of it: Host, Origin and Sec-Fetch-Site.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from retrainer.sources.http.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from retrainer.config.settings import Http


@dataclass(frozen=True, slots=True)
class Doors:
    """``any_host``: requests may give any name as Host; else a name of ``hosts``, of loopback, or an IP address.

    ``origins`` are pages' (``https://console.example.org``) that may send. All in lower case.
    """

    any_host: bool = False
    hosts: Collection[str] = ()
    origins: Collection[str] = ()
    beyond_loopback: bool = False
    """Others than those on this machine can send."""

    @classmethod
    def of(cls, http: Http) -> Doors:
        """Whoever listens on loopback alone is reached by that name alone, unless the settings name others."""
        hosts = frozenset(name.lower().rstrip(".") for name in http.allowed_hosts)
        origins = frozenset(origin.lower() for origin in http.allowed_origins)
        beyond = not is_loopback(http.host)
        return cls(not hosts and beyond, hosts, origins, beyond)

    def check_host(self, headers: Mapping[str, str]) -> None:
        """Raise Refusal 421 for a name that a page may have rebound to our address."""
        name = host_of(headers)
        if not self.any_host and not self._ours(name):
            raise Refusal(
                421, f"this daemon does not answer to the name {name!r:.100}: add it to http.allowed_hosts if it should"
            )

    def check_origin(self, headers: Mapping[str, str], *, proven: bool = False) -> None:
        """Raise Refusal 403 for what a page of another origin sends; programs send no Origin.

        ``proven``: it carries a secret that no page knows, so that any Host is believed.
        """
        origin = headers.get("origin")
        if origin is not None and origin.lower() in self.origins:
            return
        if origin is not None and not (_same(origin, headers) and (proven or self._ours(host_of(headers)))):
            raise Refusal(403, "requests from pages of another origin are refused (http.allowed_origins)")
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise Refusal(403, "requests from pages of another site are refused (http.allowed_origins)")

    def _ours(self, name: str) -> bool:
        """Names can be rebound, addresses cannot: a page at an address comes from whoever has it."""
        if is_loopback(name) or name.rstrip(".") in self.hosts:
            return True
        return bool(self.hosts) and _is_address(name)


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can mean it; a name other than localhost may point anywhere."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_of(headers: Mapping[str, str]) -> str:
    """Return the name in the Host header, in lower case and without its port; empty if it is none."""
    try:
        return (urlsplit(f"//{headers.get('host', '')}").hostname or "").lower()
    except ValueError:
        return ""


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _same(origin: str, headers: Mapping[str, str]) -> bool:
    try:
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower() != ""
    except ValueError:
        return False
