"""The socket under a line, held by a second handle, so that it can be ended from outside.

Rule    requests and urllib3 bound every single read, but not the sum: a server that drips a byte now and
        then, in headers or body, would hold us for ever. A duplicate of the socket lets a watch end the
        whole connection, in whatever state it is.

Reads and writes nothing.
"""

from __future__ import annotations

import socket
from typing import Any

import urllib3
from requests.adapters import HTTPAdapter


class WatchedAdapter(HTTPAdapter):
    """An adapter whose one socket can be shut from outside, also during headers and handshake."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        self._sockets = sockets
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """As in requests, with connections that keep the second handle."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _watched_pools(self._sockets)


def _watched_pools(sockets: list[socket.socket]) -> dict[str, type[urllib3.HTTPConnectionPool]]:
    def watch(fresh: socket.socket) -> socket.socket:
        close_all(sockets)  # one thread, one connection: what came before is over
        sockets.append(fresh.dup())
        return fresh

    class Plain(urllib3.connection.HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return watch(super()._new_conn())

    class Secure(urllib3.connection.HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return watch(super()._new_conn())

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


def shut(sockets: list[socket.socket]) -> None:
    """End the connection from another thread: whoever reads from it sees its end."""
    for one in list(sockets):
        try:
            one.shutdown(socket.SHUT_RDWR)
        except OSError:
            continue  # it has ended already


def close_all(sockets: list[socket.socket]) -> None:
    """Let go of the handles; the connection itself belongs to the adapter."""
    while sockets:
        sockets.pop().close()
