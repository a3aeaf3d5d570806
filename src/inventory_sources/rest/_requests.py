"""Requests that differ from another in one thing."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urljoin

from attrs import evolve

from inventory_sources._http import HttpRequest
from inventory_sources._url import WebAddress
from inventory_sources.errors import ConfigurationError, FetchError, Recovery, StructureInvalid

__all__ = ["onwards", "with_body_value"]


def with_body_value(request: HttpRequest, path: str, value: str) -> HttpRequest:
    """With a text at a dotted path of its JSON body; objects on the way are made.

    :raises ConfigurationError: when there is no body that could hold it.
    """
    body = json.loads(request.content) if request.content else {}
    holder: Any = body
    *above, last = path.split(".")
    for step in above:
        holder = holder.setdefault(step, {}) if isinstance(holder, dict) else None
    if not isinstance(holder, dict):
        raise ConfigurationError(f"the body has no object that {path!r} could stand in")
    holder[last] = value
    headers = request.headers
    if not any(name.lower() == "content-type" for name in headers):
        headers = {**headers, "Content-Type": "application/json"}
    return evolve(request, content=json.dumps(body).encode(), headers=headers)


def onwards(request: HttpRequest, link: object, where: str) -> HttpRequest:
    """The same request to the page that a link names, which may be relative.

    :param where: says in errors where the link stood.
    :raises StructureInvalid: when it is no link.
    :raises FetchError: when it leads to another origin, where no credentials may go.
    """
    here, there = WebAddress.parse(request.url), None
    if isinstance(link, str) and link:
        try:
            there = WebAddress.parse(urljoin(request.url, link.partition("#")[0]))
        except (ConfigurationError, ValueError):
            there = None
    if there is None:
        raise StructureInvalid(f"{where} is no link to a next page")
    if (here.scheme, here.host, here.port) != (there.scheme, there.host, there.port):
        raise FetchError(
            f"{where} leads from {here.scheme}://{here.authority} to {there.scheme}://{there.authority}",
            recovery=Recovery.STOP,
            guidance="Pages of another host are not asked for; check the URL, or have the server name its own address.",
        )
    return evolve(request, url=f"{there.scheme}://{there.authority}{there.target}")
