"""Opens fsspec filesystems, from typed fields and never from a URL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inventory_sources.errors import ConfigurationError

__all__ = ["open_filesystem"]


def open_filesystem(protocol: str, options: Mapping[str, object]) -> Any:
    """A filesystem of this run's own: fsspec would share one, and its dead connection, between all sources.

    :raises ConfigurationError: when fsspec does not know it, lacks a package for it, or refuses the options.
    """
    import fsspec

    problem = f"filesystem {protocol!r} cannot be opened with these options"
    guidance = None
    try:
        return fsspec.filesystem(protocol, skip_instance_cache=True, **options)
    except ImportError:
        problem = f"filesystem {protocol!r} needs a package that is not installed"
        guidance = f"Install the fsspec package for {protocol!r}."
    except ValueError:
        problem = f"filesystem {protocol!r} is not known, or refuses these options"
    except Exception as error:  # noqa: BLE001 - each backend raises its own
        problem = f"{problem} ({type(error).__name__})"
    raise ConfigurationError(problem, guidance=guidance)
