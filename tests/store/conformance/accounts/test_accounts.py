"""What every store guarantees for scopes, rotated secrets, sessions, login codes and the audit trail."""

import asyncio
from dataclasses import replace

from pipelet.domain.accounts.api_keys import ApiKey, KeyUse, hash_secret
from pipelet.domain.accounts.audit import Action, Actor, AuditEntry
from pipelet.domain.accounts.scopes import ALL_SCOPES, Scope
from pipelet.domain.accounts.sessions import IDLE_SECONDS, LoginCode, Session
from pipelet.domain.ids import new_token
from pipelet.domain.ports.store import Store
from tests.support.jobs import make_job, make_key

NOW = 1_000_000.0
ANN = Actor(name="ann", key_id="k1", address="192.0.2.1")


def entry(action: Action = Action.CHANGE_KEY, *, actor: Actor = ANN, at: float = NOW) -> AuditEntry:
    return AuditEntry(at=at, actor=actor, action=action, target="x", before={"max_priority": 1}, after={"a": None})


async def new_key(store: Store, **values: object) -> ApiKey:
    key = make_key(**values)
    await store.api_keys.add(key)
    return key


def session_of(key: ApiKey, *, seen_at: float = NOW, expires_at: float = NOW + 1e6) -> Session:
    return Session(
        id=new_token(),
        hash=hash_secret(new_token()),
        key_id=key.id,
        created_at=NOW,
        last_seen_at=seen_at,
        expires_at=expires_at,
        user_agent="Firefox",
    )


async def test_a_change_of_a_key_names_only_what_it_changes(store: Store, second_store: Store) -> None:
    """The rest stays; None lifts a limit or an expiry; an unknown key is told from one that nothing changes."""
    key = await new_key(store, max_priority=3, max_queued_images=9, expires_at=NOW)

    renamed = await store.api_keys.update(key.id, {"name": "new", "scopes": frozenset({Scope.KEYS})})
    lifted = await second_store.api_keys.update(key.id, {"max_priority": None, "expires_at": None})

    assert renamed == replace(key, name="new", scopes=frozenset({Scope.KEYS}))
    assert lifted == replace(renamed, max_priority=None, expires_at=None) == await store.api_keys.get(key.id)
    assert await store.api_keys.update(key.id, {}) == lifted
    assert await store.api_keys.update("unknown", {"name": "x"}) is None


async def test_a_rotated_key_has_two_secrets_until_the_overlap_ends(store: Store) -> None:
    """The key stays the same otherwise, and a second rotation keeps the overlap of the first."""
    key, second, third = await new_key(store, max_priority=3), hash_secret("second"), hash_secret("third")

    rotated = await store.api_keys.rotate(key, second, NOW + 60)
    assert rotated == replace(key, hash=second)
    again = await store.api_keys.rotate(rotated, third, NOW + 30)

    assert again == replace(key, hash=third) == await store.api_keys.find(third)
    assert [None, None] == [await store.api_keys.find(old) for old in (key.hash, second)]
    for now, works in ((NOW, [True, True]), (NOW + 30, [True, False]), (NOW + 60, [False, False])):
        found = [await store.api_keys.find_replaced(old, now) for old in (key.hash, second)]
        assert works == [each == again for each in found]
    await store.api_keys.delete_replaced(NOW + 60)
    assert await store.api_keys.find_replaced(key.hash, NOW) is None


async def test_of_two_rotations_at_once_one_wins(store: Store, second_store: Store) -> None:
    """No caller gets a secret that does not work."""
    key = await new_key(store)

    hashes = [hash_secret("one"), hash_secret("two")]
    done = await asyncio.gather(
        *(each.api_keys.rotate(key, new, NOW) for each, new in zip((store, second_store), hashes, strict=True))
    )

    [winner] = [each for each in done if each is not None]
    assert winner == await store.api_keys.get(key.id)
    await store.api_keys.revoke(key.id, NOW)
    assert await store.api_keys.rotate(winner, hash_secret("three"), NOW) is None


async def test_the_last_use_is_kept_a_minute_apart(store: Store, second_store: Store) -> None:
    """Several processes write a key once a minute together; the time never goes back, and unknown ids are fine."""
    keys = [await new_key(store) for _ in range(2)]
    times = []
    for where, at in ((store, NOW), (second_store, NOW + 59), (second_store, NOW + 60), (store, NOW + 1)):
        await where.api_keys.note_used({keys[0].id: at, "unknown": at})
        found = await store.api_keys.get(keys[0].id)
        assert found is not None
        times.append(found.last_used_at)

    assert [NOW, NOW, NOW + 60, NOW + 60] == times
    assert keys[1] == await store.api_keys.get(keys[1].id)


async def test_what_is_used_of_a_key(store: Store) -> None:
    """Images of its queued requests count, where it has a limit of images."""
    key = await new_key(store, max_queued_images=9)
    await store.jobs.submit(make_job(key=key, batch_size=3))

    assert KeyUse(queued_images=3, running_images=0) == await store.api_keys.use(key.id)
    assert await store.api_keys.use("unknown") is None


async def test_a_session_is_found_until_it_ends(store: Store, second_store: Store) -> None:
    """By its hash, in every process; the time of its last use never goes back."""
    session = session_of(await new_key(store))
    await store.sessions.add(session)
    await store.sessions.note_seen({session.id: NOW + 5, "unknown": NOW})
    await second_store.sessions.note_seen({session.id: NOW + 1})

    assert replace(session, last_seen_at=NOW + 5) == await second_store.sessions.find(session.hash)
    assert await second_store.sessions.end(session.hash)
    assert not await store.sessions.end(session.hash)
    assert await store.sessions.find(session.hash) is None


async def test_sessions_that_are_over_are_deleted(store: Store) -> None:
    """Idle ones, old ones, and those of keys that were revoked or have expired; no others."""
    valid, revoked, expired = await new_key(store), await new_key(store), await new_key(store, expires_at=NOW)
    await store.api_keys.revoke(revoked.id, NOW)
    good = session_of(valid)
    over = [
        session_of(valid, seen_at=NOW - IDLE_SECONDS),
        session_of(valid, expires_at=NOW),
        session_of(revoked),
        session_of(expired),
    ]
    for session in (good, *over):
        await store.sessions.add(session)

    await store.sessions.delete_expired(NOW)

    assert good == await store.sessions.find(good.hash)
    assert [None] * 4 == [await store.sessions.find(session.hash) for session in over]


async def test_a_login_code_works_once(store: Store, second_store: Store) -> None:
    """Of several browsers with one code, one gets its key; an expired code gets none, and is not left behind."""
    key = await new_key(store)
    code, late, unused = (LoginCode(hash=hash_secret(text), key_id=key.id, expires_at=NOW + 300) for text in "abc")
    for each in (code, late, unused):
        await store.sessions.add_code(each)

    found = await asyncio.gather(
        *(each.sessions.redeem_code(code.hash, NOW) for each in (store, second_store, store, second_store))
    )

    assert [key.id] == [each for each in found if each is not None]
    assert await store.sessions.redeem_code(late.hash, NOW + 300) is None
    assert await store.sessions.redeem_code(late.hash, NOW) is None
    await store.sessions.delete_expired(NOW + 300)
    assert await store.sessions.redeem_code(unused.hash, NOW) is None


async def test_changes_of_keys_leave_entries(store: Store) -> None:
    """Each writes its entry with the change, and none if nothing changed."""
    key = make_key()
    await store.api_keys.add(key, entry(Action.CREATE_KEY))
    await store.api_keys.update(key.id, {"scopes": ALL_SCOPES}, entry(Action.CHANGE_KEY))
    await store.api_keys.update("unknown", {"scopes": ALL_SCOPES}, entry(Action.CHANGE_KEY))
    await store.api_keys.rotate(key, hash_secret("new"), NOW, entry(Action.ROTATE_KEY))
    await store.api_keys.rotate(key, hash_secret("newer"), NOW, entry(Action.ROTATE_KEY))
    for _ in range(2):
        assert await store.api_keys.revoke(key.id, NOW, entry(Action.REVOKE_KEY))
    assert not await store.api_keys.revoke("unknown", NOW, entry(Action.REVOKE_KEY))

    found = await store.audit.list_entries(10)

    assert ["keys.revoke", "keys.rotate", "keys.change", "keys.create"] == [each.action for each in found]
    first = found[-1]
    assert (NOW, ANN, "x") == (first.at, first.actor, first.target)
    assert ({"max_priority": 1}, {"a": None}) == (first.before, first.after)


async def test_the_audit_trail_has_pages(store: Store) -> None:
    """Newest first, in the order in which entries were written, whatever their clocks said; old ones are deleted."""
    for at in (NOW, NOW - 500, NOW + 3, NOW + 1):
        await store.audit.add(entry(at=at, actor=Actor(name="root")))

    pages, before = [], None
    while page := await store.audit.list_entries(3, before_id=before):
        pages.append([each.at - NOW for each in page])
        before = page[-1].id
    assert [[1, 3, -500], [0]] == pages

    assert 1 == await store.audit.delete_before(NOW, 10)
    assert 2 == await store.audit.delete_before(NOW + 2, 2)
    assert [NOW + 3] == [each.at for each in await store.audit.list_entries(10)]


async def test_a_reader_leaves_one_entry_for_each_request_and_period(store: Store, second_store: Store) -> None:
    """However often it reads, and in however many processes."""
    read, bob = Action.READ_CONTENT, Actor(name="bob", key_id="k2", address=None)
    await store.audit.add_reads(entry(read), ["a", "b"], "7")
    await second_store.audit.add_reads(entry(read), ["b", "c"], "7")
    await second_store.audit.add_reads(entry(read, actor=bob), ["a"], "7")
    await store.audit.add_reads(entry(read), ["a"], "8")

    found = await store.audit.list_entries(10)

    assert [("k1", "a"), ("k2", "a"), ("k1", "c"), ("k1", "b"), ("k1", "a")] == [
        (each.actor.key_id, each.target) for each in found
    ]
    assert {"requests.read_content"} == {each.action for each in found}
