"""Reads the stock of an Acme warehouse: a connector in a package of its own, found by its entry point."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import field, frozen

from inventory_sources import Secret
from inventory_sources.protocols.connector import FetchContext, Fetched, Head
from inventory_sources.rest import Bearer, Cursor, Manners, RestConnector

__all__ = ["AcmeConnector"]


@frozen(kw_only=True)
class AcmeConnector:
    """The free stock of one warehouse, as ``sku`` and ``quantity``.

    :param url: of the API, such as ``https://api.acme.example/``.
    :param warehouse: its code.
    :param allow_private: ranges that may be reached although they are not public; for an operator to set.
    :param allow_plaintext: whether the token may be sent over ``http://``.
    """

    url: str = field(kw_only=False)
    token: Secret
    warehouse: str = "main"
    manners: Manners = field(factory=Manners)
    allow_private: tuple[str, ...] = ()
    allow_plaintext: bool = False

    def fetch(self, context: FetchContext) -> Iterator[Fetched]:
        """Yields a record for each SKU.

        :raises FetchError: when a page cannot be had.
        """
        return iter(self._list.fetch(context))

    def check(self, context: FetchContext) -> Head:
        """The head of the first page.

        :raises FetchError: as :meth:`fetch` would.
        """
        return self._list.check(context)

    @property
    def _list(self) -> RestConnector:
        return RestConnector(
            f"{self.url.rstrip('/')}/v1/stock",
            params={"warehouse": self.warehouse},
            auth=Bearer(self.token),
            records="items",
            key="sku",
            keep=("sku", "quantity"),
            pager=Cursor(next="next", param="after"),
            manners=self.manners,
            allow_private=self.allow_private,
            allow_plaintext=self.allow_plaintext,
        )
