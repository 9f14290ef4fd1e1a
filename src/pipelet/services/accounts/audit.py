"""The audit trail: what administrative acts leave behind."""

from collections.abc import Sequence

from pipelet.domain.accounts.audit import Action, Actor, AuditEntry, Values
from pipelet.domain.ports.accounts import AuditStore
from pipelet.domain.ports.clock import Clock
from pipelet.domain.ports.store import Store

_PERIOD_SECONDS = 3600
_MAX_NOTED = 100_000
"""Reads that are remembered, so that they are not written again; about 10 MB."""


async def record(
    store: Store,
    actor: Actor,
    action: Action,
    target: str,
    *,
    before: Values | None = None,
    after: Values | None = None,
) -> None:
    """Add an entry about what `actor` has just done. Values are ids and numbers, never texts of users.

    Args:
        target: id or name of what was acted on.
    """
    at = store.clock.now()
    await store.audit.add(AuditEntry(at=at, actor=actor, action=action, target=target, before=before, after=after))


class ContentReads:
    """Notes whose content was read with the scope `content`: one entry for each request, reader and hour."""

    def __init__(self, audit: AuditStore, clock: Clock) -> None:
        self._audit = audit
        self._clock = clock
        self._hour = 0
        self._noted: set[tuple[str | None, str]] = set()

    async def note(self, actor: Actor, request_ids: Sequence[str]) -> None:
        """Call it before the content leaves the service."""
        now = self._clock.now()
        hour = int(now // _PERIOD_SECONDS)
        if hour != self._hour or len(self._noted) > _MAX_NOTED:
            self._hour = hour
            self._noted.clear()
        new = [each for each in dict.fromkeys(request_ids) if (actor.key_id, each) not in self._noted]
        if new:
            entry = AuditEntry(at=now, actor=actor, action=Action.READ_CONTENT, target="")
            await self._audit.add_reads(entry, new, str(hour))
            self._noted.update((actor.key_id, each) for each in new)
