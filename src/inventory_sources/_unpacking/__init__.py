"""Packed files, for every connector that gets files."""

from inventory_sources._unpacking._packing import Compression
from inventory_sources._unpacking._unpack import Unpack, unpacked, unpacked_head

__all__ = ["Compression", "Unpack", "unpacked", "unpacked_head"]
