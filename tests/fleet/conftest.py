"""Both stores, as for the store's own suite."""

from tests.store.conftest import opener, store

__all__ = ["opener", "store"]
