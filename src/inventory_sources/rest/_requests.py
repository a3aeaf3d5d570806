"""Requests that differ from another in one thing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

from attrs import evolve

from inventory_sources._http import HttpRequest
from inventory_sources._url import WebAddress
from inventory_sources.errors import ConfigurationError, FetchError, Recovery, StructureInvalid

__all__ = ["difference", "onwards", "with_body_value"]


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


def difference(one: HttpRequest, other: HttpRequest) -> tuple[list[str], str]:
    """The parameters of another request that this one lacks or has otherwise, and the first of them as it is sent.

    They are those of the query and, dotted, of the JSON body. A value is only shown where it is a small number: a
    cursor may hold anything.
    """
    before, after = dict(_parameters(one)), dict(_parameters(other))
    changed = [place for place, value in after.items() if before.get(place) != value]
    if not changed:
        return [], ""
    name, part = changed[0]
    value = after[name, part]
    shown = value if value.isascii() and value.isdigit() and len(value) < 10 else "…"
    return [name for name, _ in changed], f"?{name}={shown}" if part == "query" else f"{name} = {shown} in its body"


def _parameters(request: HttpRequest) -> Iterator[tuple[tuple[str, str], str]]:
    for name, value in parse_qsl(urlsplit(request.url).query, keep_blank_values=True):
        yield (name, "query"), value
    with suppress(ValueError):
        for name, value in _leaves(json.loads(request.content or b"{}")):
            yield (name, "body"), value


def _leaves(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict | list):
        for step, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(inner, f"{path}.{step}" if path else str(step))
    else:
        yield path, str(value)
