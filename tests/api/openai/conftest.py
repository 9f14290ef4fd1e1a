"""Every database behind one fixture, as for the stores."""

from tests.store.conftest import opener as opener
