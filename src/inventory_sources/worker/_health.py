"""Whether a worker lives, for whoever restarts it."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from types import TracebackType
from typing import Any, Self

from attrs import define, field

from inventory_sources.errors import ConfigurationError
from inventory_sources.protocols.clock import Clock

__all__ = ["Health", "HealthServer"]


@define
class Health:
    """How a worker is.

    :param within: seconds in which its loop must have turned.
    :param file: touched at each turn.
    """

    clock: Clock
    within: float
    file: Path | None = None
    _turned_at: float = field(init=False)
    _answered: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._turned_at = self.clock.monotonic()

    @property
    def alive(self) -> bool:
        """Whether the loop turns; a worker that does not is to be restarted."""
        return self.clock.monotonic() - self._turned_at <= self.within

    @property
    def ready(self) -> bool:
        """Whether it works: the loop turns, the store answered it last time, and it was not asked to stop."""
        return self.alive and self._answered

    def turned(self, *, answered: bool) -> None:
        """The loop has turned.

        :param answered: whether the store did.
        :raises OSError: when the file cannot be touched.
        """
        self._turned_at = self.clock.monotonic()
        self._answered = answered
        if self.file is not None:
            self.file.touch()


class HealthServer:
    """Answers ``GET /healthz`` and ``/readyz`` with 200 or 503, in threads of its own, while it is entered.

    :param address: ``127.0.0.1:8081``, ``[::1]:8081``, or ``0.0.0.0:8081`` for probes from outside; port 0 takes a free
        one. Whoever reaches it learns whether the worker lives, and nothing else.
    :raises ConfigurationError: for an address that is none, or that it cannot listen on.
    """

    def __init__(self, health: Health, address: str) -> None:
        host, _, port = address.rpartition(":")
        if not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
            raise ConfigurationError(
                f"{address!r} is no address to listen on", guidance="Write host:port, such as 127.0.0.1:8081."
            )
        try:
            self._server = _Server(health, host.strip("[]"), int(port))
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ConfigurationError(f"the health endpoint cannot listen on {address}: {reason}") from None
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="inventory-health", daemon=True
        )

    @property
    def address(self) -> str:
        """Where it listens."""
        host, port = self._server.server_address[:2]
        shown = f"[{host!s}]" if ":" in str(host) else str(host)
        return f"{shown}:{port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, health: Health, host: str, port: int) -> None:
        self.health = health
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Probe)


class _Probe(BaseHTTPRequestHandler):
    server_version, sys_version = "inventory-sources", ""
    timeout = 5

    def do_GET(self) -> None:
        health: Health = self.server.health  # type: ignore[attr-defined]
        states = {"/healthz": health.alive, "/readyz": health.ready}
        good = states.get(self.path.partition("?")[0])
        status, body = (404, b"not found\n") if good is None else (200, b"ok\n") if good else (503, b"no\n")
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the name of the method it overrides
        """Probes are not worth a line."""
