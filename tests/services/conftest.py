"""Every database behind one fixture, as for the stores."""

from tests.store.conftest import opener as opener
from tests.store.conftest import second_store as second_store
from tests.store.conftest import store as store
