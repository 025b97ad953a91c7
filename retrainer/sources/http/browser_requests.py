"""PURE: distinguishes requests that a web page makes a browser send from those of programs.

A page can send requests to any address, and can later point its own name to any address (DNS rebinding). It cannot
control what the browser reports about it: Host, Origin and Sec-Fetch-Site.
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
    """``any_host``: accept any name in Host. Else it must be in ``hosts``, a loopback name, or an IP address.

    ``origins``: pages that may send, such as ``https://console.example.org``. All values are in lower case.
    """

    any_host: bool = False
    hosts: Collection[str] = ()
    origins: Collection[str] = ()
    beyond_loopback: bool = False
    """Whether other machines can send requests."""
    wrong_tokens: int = 100
    """Wrong tokens and signatures that one address may send in a minute."""

    @classmethod
    def of(cls, http: Http) -> Doors:
        """A daemon on loopback accepts loopback names only, unless the settings name others."""
        hosts = {name.lower().rstrip(".") for name in http.allowed_hosts}
        origins = {origin.lower() for origin in http.allowed_origins}
        beyond = not is_loopback(http.host)
        any_host = not hosts and beyond
        if http.external_url is not None:
            outside = urlsplit(http.external_url.lower())
            hosts.add(outside.hostname or "")
            origins.add(f"{outside.scheme}://{outside.netloc}")
        return cls(any_host, frozenset(hosts), frozenset(origins), beyond, http.max_wrong_tokens)

    def check_host(self, headers: Mapping[str, str]) -> None:
        """Raise Refusal 421 for a name that a page may have rebound to our address."""
        name = host_of(headers)
        if not self.any_host and not self._ours(name):
            raise Refusal(
                421, f"the host name {name!r:.100} is not allowed: add it to http.allowed_hosts if it should be"
            )

    def check_origin(self, headers: Mapping[str, str], *, proven: bool = False) -> None:
        """Raise Refusal 403 for a request from a page of another origin. Programs send no Origin.

        ``proven``: the request carries a secret that no page has, so any Host is accepted.
        """
        origin = headers.get("origin")
        if origin is not None and origin.lower() in self.origins:
            return
        if origin is not None and not (_same(origin, headers) and (proven or self._ours(host_of(headers)))):
            raise Refusal(403, "requests from pages of another origin are refused (http.allowed_origins)")
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise Refusal(403, "requests from pages of another site are refused (http.allowed_origins)")

    def _ours(self, name: str) -> bool:
        """Names can be rebound; addresses cannot: a page at an address is served by its owner."""
        if is_loopback(name) or name.rstrip(".") in self.hosts:
            return True
        return bool(self.hosts) and _is_address(name)


def is_loopback(host: str) -> bool:
    """Return whether a host can only be this machine. Names other than localhost may point anywhere."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_of(headers: Mapping[str, str]) -> str:
    """Return the name in the Host header, in lower case and without its port; empty if there is none."""
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
