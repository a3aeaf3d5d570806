"""Paths in an XML document: a tree of the steps that lead to records and fields."""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import define, field

from inventory_sources.errors import ConfigurationError

__all__ = ["Node", "PathTree"]

_STEP = re.compile(r"(?P<attribute>@)?(?:\{(?P<uri>[^{}]*)\}|(?P<prefix>[\w.-]+):)?(?P<local>[\w.-]+)")
_SPLIT = re.compile(r"/(?![^{]*\})")  # a namespace may hold slashes

_Step = tuple[str | None, str]


@define(eq=False)
class Node:
    """An element on the way to something that is read.

    :param name: for messages.
    :param children: by namespace (``None``: whichever) and local name.
    :param attributes: the column that each attribute fills, by the same.
    :param column: that the element's text fills.
    :param is_record: whether it is a record.
    """

    name: str = "the document"
    children: dict[_Step, Node] = field(factory=dict)
    attributes: dict[_Step, int] = field(factory=dict)
    column: int | None = None
    is_record: bool = False
    _seen: dict[str, Node | None] = field(factory=dict)

    def child(self, name: str) -> Node | None:
        """The node of a child element, named ``namespace local`` as expat gives it."""
        try:
            return self._seen[name]
        except KeyError:
            uri, _, local = name.rpartition(" ")
            found = self._seen[name] = self.children.get((uri, local)) or self.children.get((None, local))
            return found

    def columns(self, name: str) -> int | None:
        """The column that an attribute fills."""
        uri, _, local = name.rpartition(" ")
        return self.attributes.get((uri, local), self.attributes.get((None, local)))

    def add(self, step: _Step) -> Node:
        """The node of a child, made where it is not there yet."""
        uri, local = step
        if step not in self.children:
            if any(known == local and (uri is None or other is None) for other, known in self.children):
                raise ConfigurationError(
                    f"below {self.name!r}, {local!r} is declared both with and without a namespace",
                    guidance="Write the step the same way in every path.",
                )
            self.children[step] = Node(local)
        return self.children[step]


@define
class PathTree:
    """The declared paths.

    :param top: above the root element.
    :param columns: the fields' names, in order.
    :param of_document: the columns of fields that stand outside of the records.
    """

    top: Node
    columns: tuple[str, ...]
    of_document: frozenset[int]

    @classmethod
    def of(cls, records: str, fields: Mapping[str, str], namespaces: Mapping[str, str]) -> PathTree:
        """The tree of these paths.

        :raises ConfigurationError: for a path that cannot be one, an unknown prefix, or two columns of one place.
        """
        top = Node()
        record = top
        steps = _steps(records.removeprefix("/"), namespaces)
        if not steps or any(attribute for attribute, _ in steps):
            raise ConfigurationError(f"{records!r} is no path to elements", guidance="Such as 'stock/levels/level'.")
        for _, step in steps:
            record = record.add(step)
        record.is_record = True
        outside = set()
        for column, path in enumerate(fields.values()):
            if path.startswith("/"):
                outside.add(column)
            _place(top if path.startswith("/") else record, path, column, namespaces)
        return cls(top, tuple(fields), frozenset(outside))


def _place(node: Node, path: str, column: int, namespaces: Mapping[str, str]) -> None:
    """Has the element or attribute at this path fill the column."""
    steps = [] if path == "." else _steps(path.removeprefix("/"), namespaces)
    if (path != "." and not steps) or any(attribute for attribute, _ in steps[:-1]):
        raise ConfigurationError(f"{path!r} is no path to a field", guidance="Such as 'Item/ID' or 'Quantity/@unit'.")
    for attribute, step in steps:
        if attribute:
            if node.attributes.setdefault(step, column) != column:
                raise ConfigurationError(f"two fields are declared at {path!r}")
            return
        node = node.add(step)
        if node.is_record and path.startswith("/"):
            raise ConfigurationError(f"the field {path!r} stands in the records; give its path from there")
    if node.column is not None:
        raise ConfigurationError(f"two fields are declared at {path!r}")
    node.column = column


def _steps(path: str, namespaces: Mapping[str, str]) -> list[tuple[bool, _Step]]:
    """Each step: whether it is an attribute, and its name."""
    found = []
    for text in _SPLIT.split(path) if path else ():
        match = _STEP.fullmatch(text)
        if match is None:
            raise ConfigurationError(f"{text!r} in the path {path!r} is no element's or attribute's name")
        uri, prefix = match["uri"], match["prefix"]
        if prefix is not None:
            uri = namespaces.get(prefix)
            if uri is None:
                raise ConfigurationError(
                    f"the prefix {prefix!r} in the path {path!r} is not declared", guidance="Declare it in namespaces."
                )
        found.append((match["attribute"] is not None, (uri, match["local"])))
    return found
