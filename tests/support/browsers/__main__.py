"""`python -m tests.support.browsers`, before tests that take minutes: exit 1 where a browser is wanted and missing."""

import sys

from tests.support.browsers import are_wanted, what_is_missing

if __name__ == "__main__":
    sys.exit((are_wanted() and what_is_missing()) or None)
