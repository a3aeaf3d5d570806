"""TLS over a connection that was judged, the certificate verified for the server's name. Loaded at first use."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

from inventory_sources.errors import ConnectFailed, FetchTimeout

if TYPE_CHECKING:
    import socket

__all__ = ["verified"]


def verified(
    connection: socket.socket,
    host: str,
    context: ssl.SSLContext,
    wait: Callable[[], float],
    *,
    session: ssl.SSLSession | None = None,
    end_signed: bool = False,
) -> ssl.SSLSocket:
    """The connection under TLS, with the certificate verified for ``host`` by its name.

    :param session: an earlier one of the same context, to be resumed where the server agrees.
    :param end_signed: whether an end that the server did not sign (no ``close_notify``) is ``ssl.SSLEOFError`` when
        read, and not the end of the data.
    :raises ConnectFailed: when it is not, or the server speaks no TLS.
    :raises FetchTimeout: when the handshake takes too long.
    """
    connection.settimeout(wait())
    try:
        return context.wrap_socket(
            connection, server_hostname=host, session=session, suppress_ragged_eofs=not end_signed
        )
    except ssl.SSLCertVerificationError as error:
        raise ConnectFailed(f"the certificate of {host} is not valid: {error.verify_message}") from None
    except TimeoutError:
        raise FetchTimeout(f"{host} did not complete the TLS handshake in time") from None
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror or "the connection was closed"
        raise ConnectFailed(f"no TLS connection to {host}: {reason}") from None
