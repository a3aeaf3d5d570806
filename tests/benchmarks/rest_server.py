"""Pages of 250 records over the loopback, from a process of its own that does as little as it can for each.

``python rest_server.py PAGES`` prints its port; page N is at ``/items?page=N``.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys

RECORDS = 250
_PAGE = re.compile(rb"[?&]page=(\d+)")


def record(number: int) -> dict[str, object]:
    """A variant as shops answer it."""
    return {
        "id": 10_000_000 + number,
        "sku": f"SKU-{number:07}",
        "title": f'Shelf bracket {number}, 19", zinc',
        "price": "12.50",
        "inventory": {"available": number % 97, "incoming": 0, "location_id": 42},
        "updated_at": "2026-03-02T11:58:07Z",
        "tracked": True,
    }


def page(number: int, pages: int) -> bytes:
    """A whole answer."""
    first = (number - 1) * RECORDS
    items = [record(first + index) for index in range(RECORDS if number <= pages else 0)]
    body = json.dumps({"items": items, "page": number, "pages": pages}).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Pages(asyncio.Protocol):
    """Answers each request on a connection; clients here ask for one at a time."""

    def __init__(self, answers: list[bytes]) -> None:
        self.answers = answers
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps where to write to."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """A whole request: they are small and without a body."""
        found = _PAGE.search(data.partition(b"\r\n")[0])
        if self.transport is not None:
            self.transport.write(self.answers[int(found[1]) - 1 if found else 0])


async def main(pages: int) -> None:
    """Serves until it is killed."""
    answers = [page(number, pages) for number in range(1, pages + 2)]
    server = await asyncio.get_running_loop().create_server(lambda: Pages(answers), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
