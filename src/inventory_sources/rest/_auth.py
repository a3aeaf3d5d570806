"""Auth: how a request shows who asks. A declaration; what is won at run time (a token) it keeps to itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from inventory_sources._http import HttpRequest
    from inventory_sources.rest._session import RestSession

__all__ = ["Auth"]


class Auth(Protocol):
    """Signs requests; safe to use from several threads."""

    def sign(self, request: HttpRequest, session: RestSession) -> HttpRequest:
        """The request with what shows who asks; may send requests of its own by ``session.plain``.

        :raises FetchError: when a token cannot be had.
        """

    def renew(self, session: RestSession) -> bool:
        """Told that a signed request was refused: gives whether another signature may be taken, which is tried once."""
