"""A queue in memory in which users take turns: what the stores are compared with, and what simulations run."""

from collections import defaultdict
from dataclasses import dataclass

CLOCK_SHARE = 64
"""A started request advances its level's clock by at least this part of its cost."""


@dataclass(slots=True)
class Entry:
    """A request. Its place is `(-priority, turn, seq)`."""

    id: str
    user: str
    app: str
    model: str
    priority: int
    cost: int
    seq: int
    turn: int = 0
    charged: int | None = None
    """The priority whose account was charged."""

    @property
    def place(self) -> tuple[int, int, int]:
        return (-self.priority, self.turn, self.seq)


class FairQueue:
    """The rules of turns, with lists that are sorted again for each question."""

    def __init__(self) -> None:
        self.order, self.fifo_turn = "fair", 0
        self.waiting: dict[str, Entry] = {}
        self.running: dict[str, Entry] = {}
        self.clocks: dict[tuple[str, int], int] = {}
        self.accounts: defaultdict[tuple[str, int, str], int] = defaultdict(int)
        self._last_seq = self._front = 0

    def in_order(self, apps: tuple[str, ...]) -> list[Entry]:
        return sorted((each for each in self.waiting.values() if each.app in apps), key=lambda each: each.place)

    def next_turn(self, user: str, app: str, model: str, priority: int) -> tuple[int, int]:
        """Return what the user was charged until now, at least the clock's time, and the turn of a new request."""
        level = [each.turn for each in self.waiting.values() if (each.app, each.priority) == (app, priority)]
        clock = self.clocks.get((model, priority), min(level, default=0))
        start = max(clock, self.accounts[model, priority, user])
        own = [
            each.turn
            for each in self.waiting.values()
            if (each.model, each.priority, each.user) == (model, priority, user) and each.charged is not None
        ]
        return start, max([start, *own])

    def submit(self, job_id: str, user: str, *, app: str, model: str, priority: int, cost: int) -> Entry:
        self._last_seq += 1
        entry = Entry(job_id, user, app, model, priority, cost, self._last_seq)
        self._take_turn(entry, priority)
        self.waiting[job_id] = entry
        return entry

    def start(self, job_id: str) -> Entry:
        """Claim a request that waits."""
        entry = self.running[job_id] = self.waiting.pop(job_id)
        if entry.charged == entry.priority and entry.seq > 0:
            level = (entry.model, entry.priority)
            least = self.clocks[level] + entry.cost // CLOCK_SHARE if level in self.clocks else 0
            self.clocks[level] = max(least, entry.turn)
        return entry

    def requeue(self, job_id: str) -> None:
        self.waiting[job_id] = self.running.pop(job_id)

    def leave(self, job_id: str) -> None:
        """Take out a request that waits, before its start: cancelled, expired or deleted."""
        self._refund(self.waiting.pop(job_id))

    def move_to_front(self, job_id: str) -> None:
        self._front -= 1
        entry = self.waiting[job_id]
        entry.priority = max(each.priority for each in self.waiting.values())
        entry.turn, entry.seq = 0, self._front

    def set_priority(self, job_id: str, priority: int) -> None:
        if self.waiting[job_id].priority == priority:
            return
        entry = self.waiting.pop(job_id)
        self._refund(entry)
        self._take_turn(entry, priority)
        self.waiting[job_id] = entry

    def set_order(self, order: str) -> None:
        if order == self.order:
            return
        self.order = order
        if order == "fifo":
            self.fifo_turn = max([self.fifo_turn, *(each.turn for each in self.waiting.values())])
            return
        for level in {*self.clocks, *((each.model, each.priority) for each in self.waiting.values())}:
            self.clocks[level] = max(self.clocks.get(level, 0), self.fifo_turn)

    def delete_idle_accounts(self) -> None:
        """Drop the accounts that say nothing, and the clocks of levels without any."""
        busy = {(each.model, each.priority) for each in self.waiting.values() if each.charged is not None}
        for model, priority, user in list(self.accounts):
            level = (model, priority)
            if level not in busy or self.accounts[model, priority, user] <= self.clocks.get(level, 0):
                del self.accounts[model, priority, user]
        for level in self.clocks.keys() - busy - {(model, priority) for model, priority, _ in self.accounts}:
            del self.clocks[level]

    def _take_turn(self, entry: Entry, priority: int) -> None:
        entry.priority, entry.charged = priority, None
        if self.order == "fifo":
            entry.turn = self.fifo_turn
            return
        start, entry.turn = self.next_turn(entry.user, entry.app, entry.model, priority)
        self.accounts[entry.model, priority, entry.user] = start + entry.cost
        entry.charged = priority

    def _refund(self, entry: Entry) -> None:
        if entry.charged is not None:
            self.accounts[entry.model, entry.charged, entry.user] -= entry.cost
