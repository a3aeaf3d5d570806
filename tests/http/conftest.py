"""What the tests of HTTP share."""

from __future__ import annotations

from tests.connectors.conftest import context, make_context

__all__ = ["context", "make_context"]
