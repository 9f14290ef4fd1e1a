import json
from pathlib import Path
from typing import Any

from pipelet.domain.accounts.api_keys import PREFIX
from tests.support.jobs import APP
from tests.support.service import Service, pipelet
from tests.support.waiting import eventually


def create(service: Service, *arguments: str) -> dict[str, Any]:
    return dict(json.loads(service.run("keys", "create", *arguments, "--json").stdout))


def test_a_key_works_at_once_in_a_running_service(service: Service) -> None:
    """`keys create` prints the key alone on standard output, and it opens the service."""
    done = service.run("keys", "create", "laptop", "--user", "ada")

    key = done.stdout.strip()
    assert "not shown again" in done.stderr
    assert service.call("POST", f"/fal/queue/{APP}", {"prompt": "x", "width": 64, "height": 64}, key=key)[0] == 200


def test_keys_of_one_user_see_the_same_requests_and_others_do_not(service: Service) -> None:
    """Requests belong to the user, not to the key."""
    mine, also_mine, other = (create(service, name, "--user", user)["key"] for name, user in ("ab", "bb", "cc"))
    _, body = service.call("POST", f"/fal/queue/{APP}", {"prompt": "x", "width": 64, "height": 64}, key=mine)

    codes = [service.call("GET", body["status_url"], key=key)[0] for key in (also_mine, other)]

    assert codes[0] in (200, 202)
    assert codes[1] == 404


def test_a_revoked_key_stops_working_within_seconds(service: Service) -> None:
    """The service is not restarted for it."""
    made = create(service, "lost")
    assert _code(service, made["key"]) == 404

    done = service.run("keys", "revoke", made["id"])

    assert done.returncode == 0
    eventually(lambda: _code(service, made["key"]) == 401, within=5)


def test_a_key_expires(service: Service) -> None:
    """It works until then, and not afterwards."""
    made = create(service, "trial", "--expires", "2s")
    assert made["expires_at"] is not None
    assert _code(service, made["key"]) == 404

    eventually(lambda: _code(service, made["key"]) == 401, within=8)


def test_a_key_can_have_a_priority_ceiling(service: Service) -> None:
    """Requests that ask for more are refused."""
    key = create(service, "modest", "--max-priority", "3")["key"]

    done = service.run("generate", "x", "--priority", "4", "--key", key)

    assert done.returncode == 1
    assert "priority" in done.stderr


def test_a_key_can_have_limits(idle: Service) -> None:
    """They are shown with the key, and hold: what would exceed them exits with 1, and says what lifts them."""
    made = create(idle, "trial", "--max-queued-images", "3", "--max-running-images", "2")
    listed = next(key for key in json.loads(idle.run("keys", "list", "--json").stdout) if key["id"] == made["id"])
    line = next(line for line in idle.run("keys", "list").stdout.splitlines() if made["id"] in line)

    def generate(batch: str) -> tuple[int, str]:
        done = idle.run("generate", "x", "--batch-size", batch, "--no-wait", "--key", made["key"])
        return done.returncode, done.stdout.strip() or done.stderr

    taken, refused, too_large = generate("2"), generate("2"), generate("3")

    idle.call("PUT", f"/fal/queue/{APP}/requests/{taken[1]}/cancel", key=made["key"])
    assert (3, 2) == (listed["max_queued_images"], listed["max_running_images"])
    assert ["3", "2"] == line.split()[-2:]
    assert [0, 1, 1] == [code for code, _ in (taken, refused, too_large)]
    assert "2 of at most 3" in refused[1]
    assert "more than 2 images at once" in too_large[1]


def test_limits_of_a_key_can_be_changed(idle: Service) -> None:
    """A running service goes by them within seconds; `none` lifts one; an unknown key is named."""
    made = create(idle, "small", "--max-queued-images", "1", "--max-running-images", "1")
    body = {"prompt": "x", "width": 64, "height": 64, "batch_size": 2}
    assert 422 == idle.call("POST", f"/fal/queue/{APP}", body, key=made["key"])[0]

    changed = idle.run("keys", "limit", made["id"], "--max-queued-images", "2", "--max-running-images", "none")
    assert 0 == changed.returncode, changed.stderr
    eventually(lambda: idle.call("POST", f"/fal/queue/{APP}", body, key=made["key"])[0] == 200, within=5)
    assert 429 == idle.call("POST", f"/fal/queue/{APP}", body, key=made["key"])[0]
    assert 1 == idle.run("keys", "limit", "unknown").returncode


def test_the_list_knows_everything_but_the_keys(service: Service) -> None:
    """Names, users and states are shown; neither key nor hash is."""
    made = create(service, "listed", "--user", "eve", "--expires", "30d")
    service.run("keys", "revoke", made["id"])

    plain, as_json = service.run("keys", "list").stdout, service.run("keys", "list", "--json").stdout

    assert next(line for line in plain.splitlines() if made["id"] in line).split()[1:4] == ["listed", "eve", "revoked"]
    found = next(key for key in json.loads(as_json) if key["id"] == made["id"])
    assert {
        name: value for name, value in made.items() if name not in ("key", "user_limits", "state", "revoked_at")
    }.items() <= found.items()
    assert PREFIX not in plain + as_json
    assert "hash" not in found


def test_revoking_an_unknown_key_exits_with_1(service: Service) -> None:
    """The message says where to find the ids."""
    done = service.run("keys", "revoke", "000000000000")

    assert done.returncode == 1
    assert "keys list" in done.stderr


def test_wrong_flags_make_no_key(service: Service) -> None:
    """Durations, priorities and names that cannot be are the command line's fault."""
    before = service.run("keys", "list", "--json").stdout

    for flags in (
        ["--expires=soon"],
        ["--expires=-3d"],
        ["--max-priority=9999999999"],
        ["--user= "],
        ["--max-queued-images=0"],
    ):
        assert service.run("keys", "create", "wrong", *flags).returncode == 2, flags

    assert service.run("keys", "list", "--json").stdout == before


def test_without_a_database_it_exits_with_3(tmp_path: Path) -> None:
    """The message says how to create one; then keys can be made before the first start."""
    refused = pipelet("keys", "create", "early", cwd=tmp_path)
    pipelet("migrate", cwd=tmp_path)
    made = pipelet("keys", "create", "early", cwd=tmp_path)

    assert refused.returncode == 3
    assert "pipelet migrate" in refused.stderr
    assert made.stdout.startswith(PREFIX)


def _code(service: Service, key: str) -> int:
    """404 where the key is taken: the request does not exist."""
    return int(service.call("GET", f"/fal/queue/{APP}/requests/{'0' * 20}/status", key=key)[0])
