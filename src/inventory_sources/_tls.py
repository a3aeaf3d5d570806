"""TLS over a connection that was judged, the certificate verified for the server's name. Loaded at first use."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import frozen

from inventory_sources.errors import ConnectFailed, FetchTimeout, Recovery

if TYPE_CHECKING:
    import socket

__all__ = ["Advice", "verified"]

#: ``X509_V_ERR_*`` that mean an authority nobody here trusts: its certificate is missing, or is the server's own.
_UNKNOWN_AUTHORITY = {2, 18, 19, 20, 21}
#: What OpenSSL's versions say of an answer that is not TLS.
_NOT_TLS = {
    "WRONG_VERSION_NUMBER",
    "UNKNOWN_PROTOCOL",
    "HTTP_REQUEST",
    "PACKET_LENGTH_TOO_LONG",
    "RECORD_LAYER_FAILURE",
}


@frozen
class Advice:
    """What to do about a failure that does not pass by itself.

    :param trust: for a certificate whose authority is not known.
    :param no_tls: for a server that answers with something else than TLS.
    """

    trust: str
    no_tls: str


_HTTPS = Advice(
    "If its certificate is signed by a private authority, trust that: override tls() of the connector.",
    "The server speaks no TLS on this port: use its port for https.",
)


def verified(
    connection: socket.socket,
    host: str,
    context: ssl.SSLContext,
    wait: Callable[[], float],
    *,
    session: ssl.SSLSession | None = None,
    end_signed: bool = False,
    advice: Advice = _HTTPS,
) -> ssl.SSLSocket:
    """The connection under TLS, with the certificate verified for ``host`` by its name.

    :param session: an earlier one of the same context, to be resumed where the server agrees.
    :param end_signed: whether an end that the server did not sign (no ``close_notify``) is ``ssl.SSLEOFError`` when
        read, and not the end of the data.
    :raises ConnectFailed: when it is not, or the server speaks no TLS; neither passes by itself.
    :raises FetchTimeout: when the handshake takes too long.
    """
    connection.settimeout(wait())
    try:
        return context.wrap_socket(
            connection, server_hostname=host, session=session, suppress_ragged_eofs=not end_signed
        )
    except ssl.SSLCertVerificationError as error:
        raise ConnectFailed(
            f"the certificate of {host} is not valid: {error.verify_message}",
            recovery=Recovery.STOP,
            guidance=advice.trust
            if error.verify_code in _UNKNOWN_AUTHORITY
            else "Ask the server's operator for a certificate that is in date and valid for the name that is declared.",
        ) from None
    except TimeoutError:
        raise FetchTimeout(f"{host} did not complete the TLS handshake in time") from None
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror or "the connection was closed"
        if reason in _NOT_TLS:
            raise ConnectFailed(
                f"{host} answered with something else than TLS", recovery=Recovery.STOP, guidance=advice.no_tls
            ) from None
        raise ConnectFailed(f"no TLS connection to {host}: {reason}") from None
