"""What operators do to keys and to the queue straight in the database, with the commands run in this process."""

import asyncio
import json
import re
from dataclasses import replace
from typing import Any

import pytest

from pipelet.cli.database import CommandError
from pipelet.domain.accounts.api_keys import ApiKey
from pipelet.domain.errors import NotPossible, PipeletError
from pipelet.domain.jobs.job import Job, JobState
from pipelet.store.sqlite import SqliteStore
from tests.cli.commands.conftest import Run
from tests.support.jobs import make_job


def create(run: Run, *arguments: str) -> dict[str, Any]:
    return dict(json.loads(run("keys", "create", *arguments, "--json")))


def keys_by_name(run: Run) -> dict[str, dict[str, Any]]:
    return {key["name"]: key for key in json.loads(run("keys", "list", "--json"))}


def submit(store: SqliteStore, *, key: dict[str, Any], **options: Any) -> Job:
    made = ApiKey(id=key["id"], name="", user=key["user"], hash=b"", created_at=0.0)
    return asyncio.run(store.jobs.submit(replace(make_job(key=made, user=key["user"]), **options)))


def states(store: SqliteStore, *jobs: Job) -> list[JobState]:
    found = asyncio.run(store.jobs.get_many([job.id for job in jobs]))
    return [found[job.id].state for job in jobs]


def test_a_key_without_a_user_makes_a_new_user(run: Run) -> None:
    """Where there is one of the key's name, whose requests the key would read, it is refused until that is meant."""
    first = create(run, "ci")
    create(run, "laptop", "--user", "ann")
    run("keys", "revoke", first["id"])

    for name in ("ci", "ann"):
        with pytest.raises(NotPossible, match=rf"user {name} already.*\(.*\).*--user {name}"):
            run("keys", "create", name)

    assert "ci" == create(run, "ci", "--user", "ci")["user"]
    assert "laptop" == create(run, "laptop")["user"]
    assert 4 == len(json.loads(run("keys", "list", "--json")))


def test_a_new_key_comes_with_its_limits_and_their_flags(run: Run) -> None:
    """Also those that it does not have, and the command that changes them."""
    shown = run("keys", "create", "trial", "--max-queued-images", "20")

    assert "--max-priority none, --max-queued-images 20, --max-running-images none" in shown
    assert f"pipelet keys limit {keys_by_name(run)['trial']['id']}" in shown


def test_a_change_of_limits_leaves_the_others(run: Run) -> None:
    """Also the highest priority can be changed; `none` lifts one; nothing at all is refused, and so is nonsense."""
    create(run, "trial", "--max-queued-images", "40")

    changed = run("keys", "limit", "trial", "--max-running-images", "4", "--max-priority", "-2")
    lifted = run("keys", "limit", "trial", "--max-queued-images", "none")

    assert "--max-priority -2, --max-queued-images 40, --max-running-images 4." in changed
    assert "--max-priority -2, --max-queued-images none, --max-running-images 4." in lifted
    key = keys_by_name(run)["trial"]
    assert (-2, None, 4) == (key["max_priority"], key["max_queued_images"], key["max_running_images"])
    with pytest.raises(CommandError, match="--max-priority"):
        run("keys", "limit", "trial")
    for wrong in ("0", "many"):
        with pytest.raises(SystemExit):
            run("keys", "limit", "trial", "--max-running-images", wrong)


def test_keys_are_found_by_what_is_known_of_them(run: Run) -> None:
    """By id, by the key itself, by a name or a user that one valid key has; else the message lists what there is."""
    first, second = create(run, "laptop", "--user", "bob"), create(run, "phone", "--user", "bob")
    leaked, other = create(run, "leaked", "--user", "eve"), create(run, "other", "--user", "mia")

    with pytest.raises(CommandError, match=rf"Several keys .* bob.*{first['id']} \(laptop.*{second['id']} \(phone"):
        run("keys", "revoke", "bob")
    run("keys", "revoke", "phone")
    for name, text in (("laptop", "bob"), ("leaked", leaked["key"]), ("other", other["id"])):
        assert f"({name}, user" in run("keys", "revoke", text)
    with pytest.raises(CommandError, match=rf"No valid key .* bob.*{first['id']}"):
        run("keys", "revoke", "bob")
    with pytest.raises(CommandError, match=r"user ann.*keys list"):
        run("keys", "limit", "ann", "--max-priority", "1")

    assert {"revoked"} == {key["state"] for key in keys_by_name(run).values()}


def test_what_a_revoked_key_has_queued_can_be_cancelled_with_it(run: Run, store: SqliteStore) -> None:
    """Its requests that wait never run; those of the user's other keys stay."""
    lost, kept = create(run, "lost", "--user", "bob"), create(run, "kept", "--user", "bob")
    jobs = [submit(store, key=key) for key in (lost, kept, lost)]

    shown = run("keys", "revoke", "lost", "--cancel")

    assert "Cancelled: 2 requests." in shown
    assert [JobState.CANCELLED, JobState.QUEUED, JobState.CANCELLED] == states(store, *jobs)


def test_the_operator_cancels_by_request_user_and_key(run: Run, store: SqliteStore) -> None:
    """The count is printed; exactly one of the three is to be named, and what cannot be cancelled says why."""
    bobs, also_bobs, anns = (create(run, name, "--user", name[:3]) for name in ("bob1", "bob2", "ann1"))
    jobs = [submit(store, key=key) for key in (bobs, bobs, also_bobs, anns, anns)]

    shown = [
        run("queue", "cancel", jobs[0].id),
        run("queue", "cancel", "--key", "bob1"),
        run("queue", "cancel", "--user", "bob"),
        run("queue", "cancel", "--user", "bob"),
    ]

    assert [1, 1, 1, 0] == [int(re.findall(r"\d+", line)[0]) for line in shown]
    assert [JobState.CANCELLED] * 3 + [JobState.QUEUED] * 2 == states(store, *jobs)
    for arguments, why in (
        ([jobs[0].id], "has ended"),
        (["0" * 20], "no request"),
        (["--user", "eve"], "no user eve.*ann, bob"),
        (["--key", "ann2"], "No key"),
        ([], "Give one"),
        ([jobs[3].id, "--user", "ann"], "Give one"),
    ):
        with pytest.raises(PipeletError, match=why):
            run("queue", "cancel", *arguments)
