"""The seams: one module a protocol, each with its contract.

Every protocol but the small `Catalog` and `Clock` has a contract suite in :mod:`inventory_sources.testing`.
"""
