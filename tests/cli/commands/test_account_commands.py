"""Keys, logins and the audit trail straight in the database, with the commands run in this process."""

import asyncio
import io
import json
import os
import pwd
import re
from pathlib import Path
from typing import Any

import pytest
import structlog

from pipelet.cli.commands.operator.serve import _new_login_code
from pipelet.cli.database import CommandError
from pipelet.domain.accounts.api_keys import hash_secret
from pipelet.domain.accounts.scopes import ALL_SCOPES, DEFAULT_SCOPES
from pipelet.domain.errors import NotFound, NotPossible
from pipelet.settings import load
from pipelet.store.sqlite import SqliteStore
from pipelet.wiring.keys import ensure_local_key
from tests.cli.commands.conftest import Run


def create(run: Run, *arguments: str) -> dict[str, Any]:
    return dict(json.loads(run("keys", "create", *arguments, "--json")))


def keys_of(run: Run) -> dict[str, Any]:
    """The listed keys by name."""
    return {each["name"]: each for each in json.loads(run("keys", "list", "--json"))}


def test_scopes_are_given_one_by_one_or_all(run: Run) -> None:
    """`--admin` gives every scope and no limits; no name implies it; scopes that do not exist are refused."""
    assert ["generate"] == create(run, "admin")["scopes"]
    assert ["observe", "keys"] == create(run, "ops", "--scope", "keys", "--scope", "observe")["scopes"]
    assert sorted(ALL_SCOPES) == sorted(create(run, "root", "--admin")["scopes"])

    for flags in (("--max-priority", "1"), ("--scope", "observe")):
        with pytest.raises(CommandError, match="--admin"):
            run("keys", "create", "x", "--admin", *flags)
    assert {"admin", "ops", "root"} == keys_of(run).keys()


def test_a_change_names_only_what_it_changes(run: Run) -> None:
    """Scopes, name and expiry of a key; its limits and user stay."""
    made = create(run, "laptop", "--max-priority", "3", "--expires", "1d")

    run("keys", "change", made["id"], "--scope", "generate", "--scope", "observe", "--name", "desk")
    run("keys", "change", made["id"], "--expires", "none")

    changed = keys_of(run)["desk"]
    assert (["generate", "observe"], "laptop", 3) == (changed["scopes"], changed["user"], changed["max_priority"])
    assert changed["expires_at"] is None
    with pytest.raises(CommandError, match="--scope"):
        run("keys", "change", made["id"])


def test_a_key_is_rotated_and_found(
    run: Run,
    store: SqliteStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both secrets find the key, from standard input; a mistyped one is told from another service's."""
    made = create(run, "ci")
    rotated = json.loads(run("keys", "rotate", made["id"], "--overlap", "7d", "--json"))

    def find(text: str) -> str:
        monkeypatch.setattr("sys.stdin", io.StringIO(f"  {text}\n"))
        return run("keys", "find")

    assert made["id"] == rotated["id"]
    assert made["key"] != rotated["key"]
    for secret in (made["key"], rotated["key"]):
        assert made["id"] in find(secret)
    with pytest.raises(NotFound, match="checksum"):
        find(made["key"][:-1] + ("x" if made["key"][-1] != "x" else "y"))
    with pytest.raises(NotFound, match="not a key of this service"):
        find("sk-" + "a" * 48)
    run("keys", "revoke", made["id"])
    assert "revoked" in find(rotated["key"])
    with pytest.raises(NotPossible, match="revoked"):
        run("keys", "rotate", made["id"])


def test_the_audit_trail_names_the_user_of_the_system(run: Run) -> None:
    """Acts of the command line have neither key nor address; a failed act leaves nothing."""
    made = create(run, "x")
    run("keys", "limit", made["id"], "--max-priority", "2")
    run("queue", "pause", "z-image-text-to-image")
    with pytest.raises(NotPossible):
        run("queue", "resume", "z-image-image-edit")

    entries = json.loads(run("audit", "--json"))

    assert ["apps.pause", "keys.change", "keys.create"] == [each["action"] for each in entries]
    me = pwd.getpwuid(os.getuid()).pw_name
    assert {(me, None, None)} == {(each["user"], each["key"], each["address"]) for each in entries}
    assert ({"max_priority": None}, {"max_priority": 2}) == (entries[1]["before"], entries[1]["after"])
    assert re.search(rf"{me} .*keys\.change +{made['id']} +max_priority=none +max_priority=2", run("audit"))
    assert 1 == len(json.loads(run("audit", "--limit", "1", "--json")))


def test_a_login_prints_a_link_with_a_code(run: Run, store: SqliteStore) -> None:
    """For the key that is named, or the oldest with every scope; the code works once, and the key is not shown."""
    create(run, "plain")
    with pytest.raises(NotFound, match="keys create NAME --admin"):
        run("login")
    old, new = create(run, "old", "--admin"), create(run, "new", "--admin")

    for arguments, key in (((), old), (("--key-id", new["id"]), new)):
        shown = run("login", *arguments)
        found = re.search(r"http://127\.0\.0\.1:8000/ui/#code=([\w-]{22})\n", shown)
        assert found is not None
        assert key["id"] in shown
        assert key["key"] not in shown
        assert key["id"] == asyncio.run(store.sessions.redeem_code(hash_secret(found[1]), store.clock.now()))
    with pytest.raises(NotFound):
        run("login", "--key-id", "unknown")


def test_the_first_key_of_an_embedded_database_has_every_scope(tmp_path: Path, store: SqliteStore) -> None:
    """Also if a version without scopes made it; and `login` takes it."""
    chosen = load(data_dir=tmp_path)
    secret = asyncio.run(ensure_local_key(chosen, store))
    assert secret is not None
    key = asyncio.run(store.api_keys.find(hash_secret(secret)))
    assert key is not None
    assert ALL_SCOPES == key.scopes
    asyncio.run(store.api_keys.update(key.id, {"scopes": DEFAULT_SCOPES}))

    assert secret == asyncio.run(ensure_local_key(chosen, store))
    again = asyncio.run(store.api_keys.get(key.id))
    assert again == key


def test_a_service_without_a_key_for_keys_says_so(run: Run, store: SqliteStore, tmp_path: Path) -> None:
    """At its start, with the command; a login code is made on a terminal only."""
    chosen = load(data_dir=tmp_path)
    with structlog.testing.capture_logs() as lines:
        assert asyncio.run(_new_login_code(chosen, store, is_terminal=False)) is None
    [line] = lines
    assert ("keys.none_manages_keys", "warning") == (line["event"], line["log_level"])
    assert "pipelet keys create NAME --admin" in line["fix"]

    create(run, "root", "--admin")
    with structlog.testing.capture_logs() as lines:
        assert asyncio.run(_new_login_code(chosen, store, is_terminal=False)) is None
        assert asyncio.run(_new_login_code(chosen, store, is_terminal=True)) is not None
    assert [] == lines
