"""A TCP proxy to the server whose connections can be cut."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Literal

COMMIT = b"COMMIT\x00"


class Proxy:
    """Forwards everything. `cut` ends each connection at its next COMMIT: before the server receives it, or after the
    server has answered and before the answer is forwarded. `sever` ends all connections, also those opened meanwhile.
    `hush` discards all data from now on, like a dropped route, on existing and on new connections. These connections
    stay silent.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._cut: Literal["", "before", "after"] = ""
        self.cuts = 0
        self._hushed = self._severed = False
        self._lines: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, when: Literal["", "before", "after"]) -> None:
        self._cut = when

    def hush(self, hushed: bool) -> None:
        self._hushed = hushed

    def sever(self, severed: bool) -> None:
        self._severed = severed
        if severed:
            self._end(*self._lines.copy())

    def connect(self) -> socket.socket:
        """Connect to the server. Raise OSError if it is not reachable."""
        return socket.create_connection(("127.0.0.1", self._target))

    def _swallow(self, line: socket.socket) -> None:
        """Discard everything, so that the other end sees no data and no end of the connection."""
        with contextlib.suppress(OSError):
            while line.recv(65536):
                pass

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = self.connect()
                except OSError:
                    client.close()
                    continue
                self._lines |= {client, server}
                if self._severed:
                    self._end(client, server)
                if self._hushed:
                    continue
                threading.Thread(target=self._up, args=(client, server), daemon=True).start()
                threading.Thread(target=self._down, args=(server, client), daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if self._hushed:
                    self._swallow(client)
                    return
                if self._cut == "before" and COMMIT in data:
                    self._cut_now()
                    return
                server.sendall(data)
        self._end(client, server)

    def _down(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if self._hushed:
                    self._swallow(server)
                    return
                if self._cut == "after" and COMMIT in data:  # the server's answer names the command
                    self._cut_now()
                    return
                client.sendall(data)
        self._end(client, server)

    def _cut_now(self) -> None:
        self._cut = ""
        self.cuts += 1
        self._end(*self._lines.copy())

    def _end(self, *lines: socket.socket) -> None:
        self._lines.difference_update(lines)
        for line in lines:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
            line.close()

    def close(self) -> None:
        self._end(self._listener, *self._lines)
