"""Checks that the code keeps its shape: small functions and modules, narrow protocols, names that say something.

Run as a script it prints what breaks the budget, and notes on what comes near it.
"""

from __future__ import annotations

import ast
import statistics
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "src" / "inventory_sources"
BODY_MEDIAN = 8
BODY_MAX = 50
MODULE_AIM = 300
MODULE_MAX = 500
PARAMETERS_MAX = 7
PROTOCOL_MAX = 4
BANNED = {"utils", "util", "common", "helpers", "helper", "core", "base", "misc"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.AST) -> Iterator[Function]:
    """Every function and method of a module."""
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def body_lines(function: Function) -> int:
    """Lines from a function's first statement to its end; a docstring is not one."""
    statements = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (function.end_lineno or 0) - statements[0].lineno + 1 if statements else 0


def parameters(function: Function) -> int:
    """Parameters of a function without ``self`` or ``cls``."""
    given = function.args
    names = [argument.arg for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def protocols(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Name and number of own methods of each protocol; a property is no method."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and any(_is_protocol(base) for base in node.bases):
            yield node.name, sum(isinstance(member, Function) and not _is_property(member) for member in node.body)


def _is_protocol(base: ast.expr) -> bool:
    return isinstance(base, ast.Name) and base.id == "Protocol"


def _is_property(member: Function) -> bool:
    return any(isinstance(mark, ast.Name) and mark.id == "property" for mark in member.decorator_list)


def breaches(where: str, source: str) -> Iterator[str]:
    """What in one module breaks the budget."""
    tree = ast.parse(source)
    length = len(source.splitlines())
    if length > MODULE_MAX:
        yield f"{where}: {length} lines, {MODULE_MAX} at most"
    if banned := BANNED & set(Path(where).with_suffix("").parts):
        yield f"{where}: {', '.join(banned)} says nothing; name the module by what it holds"
    for function in functions(tree):
        at = f"{where}:{function.lineno}: {function.name}"
        if body_lines(function) > BODY_MAX:
            yield f"{at} has {body_lines(function)} lines, {BODY_MAX} at most"
        if parameters(function) > PARAMETERS_MAX:
            yield f"{at} has {parameters(function)} parameters, {PARAMETERS_MAX} at most"
    for name, methods in protocols(tree):
        if methods > PROTOCOL_MAX:
            yield f"{where}: protocol {name} has {methods} methods, {PROTOCOL_MAX} at most"


def median_breach(sources: Iterable[str]) -> Iterator[str]:
    """Whether the middle function is too long."""
    lengths = [body_lines(function) for source in sources for function in functions(ast.parse(source))]
    if lengths and statistics.median(lengths) > BODY_MEDIAN:
        yield f"half of the functions have more than {statistics.median(lengths)} lines, {BODY_MEDIAN} at most"


def main() -> int:
    """Prints what was found; 1 if anything breaks the budget."""
    modules = {str(path.relative_to(PACKAGE)): path.read_text("utf-8") for path in sorted(PACKAGE.rglob("*.py"))}
    found = [breach for where, source in modules.items() for breach in breaches(where, source)]
    found += median_breach(modules.values())
    notes = [
        f"note: {where}: {len(source.splitlines())} lines, {MODULE_AIM} is the aim"
        for where, source in modules.items()
        if MODULE_AIM < len(source.splitlines()) <= MODULE_MAX
    ]
    print(*notes, *found, f"{len(modules)} modules, {len(found)} breaches", sep="\n")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
