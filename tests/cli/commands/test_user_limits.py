"""The limits of users, as operators set and see them, with the commands run in this process."""

import asyncio
import json
from typing import Any

import pytest

from pipelet.cli.database import CommandError
from pipelet.domain.accounts.limits import NO_LIMITS, Refusal, UserLimits, days_before
from pipelet.domain.errors import NotFound
from pipelet.store.sqlite import SqliteStore
from tests.cli.commands.conftest import Run


def limits_of(store: SqliteStore, user: str) -> UserLimits:
    return asyncio.run(store.limits.get(user))


def test_a_new_user_gets_the_operators_defaults(run: Run, store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are printed with the command that changes them, and are not given again with the next key of the user."""
    monkeypatch.setenv("PIPELET_DEFAULT_MAX_QUEUED_IMAGES", "7")
    monkeypatch.setenv("PIPELET_DEFAULT_MAX_STORED_GIB", "0.5")
    monkeypatch.setenv("PIPELET_DEFAULT_MAX_SUBMITS_PER_SECOND", "none")
    shown = run("keys", "create", "laptop", "--user", "ada")
    monkeypatch.setenv("PIPELET_DEFAULT_MAX_QUEUED_IMAGES", "9")
    run("keys", "limit", "--user", "ada", "--max-webhooks-per-minute", "3")
    run("keys", "create", "phone", "--user", "ada")

    assert (
        "for all keys together: --max-priority none, --max-queued-images 7, --max-running-images none, "
        "--max-submits-per-second none, --submit-burst 100, --max-stored-gib 0.5, --max-webhooks-per-minute 600. "
        "Change them with `pipelet keys limit --user ada`." in shown
    )
    expected = UserLimits(max_queued_images=7, max_stored_bytes=2**29, max_webhooks_per_minute=3)
    assert expected == limits_of(store, "ada")


def test_a_first_key_may_be_allowed_more_than_the_defaults(run: Run, store: SqliteStore) -> None:
    """Its user gets as much; what is narrower holds for the key alone."""
    run("keys", "create", "large", "--max-queued-images", "5000")
    run("keys", "create", "small", "--max-queued-images", "5")

    assert [5000, 1000] == [limits_of(store, user).max_queued_images for user in ("large", "small")]


def test_a_user_of_keys_with_every_scope_has_no_limits(run: Run, store: SqliteStore) -> None:
    """Until the first key to which limits apply."""
    shown = run("keys", "create", "root", "--admin")
    assert "do not apply to a key with every scope" in shown
    assert NO_LIMITS == limits_of(store, "root")

    run("keys", "create", "laptop", "--user", "root")

    assert 1000 == limits_of(store, "root").max_queued_images


def test_a_change_of_a_users_limits_leaves_the_others(run: Run, store: SqliteStore) -> None:
    """`none` lifts one; each change is in the audit trail with what it changed."""
    run("keys", "create", "laptop", "--user", "ada")

    changed = run("keys", "limit", "--user", "ada", "--max-stored-gib", "1.5", "--max-priority", "-1")
    lifted = run("keys", "limit", "--user", "ada", "--max-queued-images", "none", "--submit-burst", "9")

    assert "--max-priority -1, --max-queued-images 1000" in changed
    assert "--max-stored-gib 1.5" in changed
    assert "--max-priority -1, --max-queued-images none" in lifted
    assert "--max-submits-per-second 10, --submit-burst 9" in lifted
    entry = next(each for each in asyncio.run(store.audit.list_entries(9)) if each.action == "limits.change")
    assert ("ada", {"max_queued_images": 1000, "submit_burst": 100}) == (entry.target, entry.before)
    assert {"max_queued_images": None, "submit_burst": 9} == entry.after


def test_what_is_used_and_was_refused_is_shown(run: Run, store: SqliteStore) -> None:
    """By the user alone, for people and as JSON."""
    run("keys", "create", "laptop", "--user", "ada")
    today = days_before(store.clock.now(), 0)
    asyncio.run(store.limits.add_refusals(Refusal(today, "ada", "storage"), 4))

    shown, as_json = run("keys", "limit", "--user", "ada"), run("keys", "limit", "--user", "ada", "--json")

    assert "Used: 0 images queued, 0 GiB stored, 100 submits left at once." in shown
    assert "Refused requests in 30 days: 4 by storage." in shown
    found: dict[str, Any] = json.loads(as_json)
    assert ("ada", 1000, 100) == (
        found["user"],
        found["limits"]["max_queued_images"],
        found["used"]["submits_left"],
    )


def test_wrong_changes_are_refused(run: Run) -> None:
    """Both a key and a user, neither, an unknown user, nonsense, and what a key cannot have."""
    run("keys", "create", "laptop", "--user", "ada")

    for arguments, why in (
        (["laptop", "--user", "ada"], "Give a key, or --user"),
        ([], "Give a key, or --user"),
        (["laptop", "--max-stored-gib", "3"], "pipelet keys limit --user ada"),
        (["laptop"], "No limit"),
    ):
        with pytest.raises(CommandError, match=why):
            run("keys", "limit", *arguments)
    with pytest.raises(NotFound, match=r"no user eve.*ada"):
        run("keys", "limit", "--user", "eve")
    for wrong in (["--max-stored-gib", "0"], ["--submit-burst", "none"], ["--max-submits-per-second", "-1"]):
        with pytest.raises(SystemExit):
            run("keys", "limit", "--user", "ada", *wrong)
