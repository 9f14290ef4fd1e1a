"""Clients whose connection is kept until something happens to their request: each costs memory and an open file."""

import contextlib
from collections import Counter
from collections.abc import Iterator

from pipelet.api.problems import Problem

_POLL = "Poll the status of some requests instead."


class Held:
    """Of one process. Nobody waits for room here: clients can poll."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._most_per_user = max(1, most // 2)
        self._by_user: Counter[str] = Counter()
        self._all = 0

    def refuse_one_more(self, user: str) -> None:
        """
        Raises:
            Problem: 429, `user` has half of all; 503, there are as many as there may be.
        """
        if self._by_user[user] >= self._most_per_user:
            message = f"One user may have {self._most_per_user} streams and calls of /fal/run open at once. {_POLL}"
            raise Problem(429, message, error_type="streams_limit")
        if self._all >= self._most:
            raise Problem(503, f"As many streams are open as this service keeps. Try again later. {_POLL}")

    @contextlib.contextmanager
    def hold(self, user: str) -> Iterator[None]:
        self._by_user[user] += 1
        self._all += 1
        try:
            yield
        finally:
            self._all -= 1
            self._by_user[user] -= 1
            if not self._by_user[user]:
                del self._by_user[user]
