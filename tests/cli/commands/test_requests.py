"""`pipelet requests` against a service whose requests all wait."""

import json

import pytest

from pipelet.cli.request_table import live_table, request_row
from pipelet.client import Client
from pipelet.client_types import Conflict, RequestNotFound, ValidationError
from tests.support.service import Service


def test_list_shows_what_was_submitted(idle: Service) -> None:
    """Newest first, one line each, with state and prompt; filters leave others out, and --json has everything."""
    ids = [idle.submit(f"listed number {k}") for k in range(3)]

    header, *lines = idle.run("requests", "list", "--query", "LISTED number").stdout.splitlines()
    found = json.loads(idle.run("requests", "list", "--json", "-q", "listed number", "--limit", "2").stdout)

    assert header.split() == ["id", "app", "user", "state", "submitted", "size", "prompt"]
    assert ids[::-1] == [line.split()[0] for line in lines]
    assert "queued," in lines[0]
    assert lines[0].endswith("listed number 2")
    assert ids[:0:-1] == [each["id"] for each in found]
    assert 1 == len(idle.run("requests", "list", "--state", "failed").stdout.splitlines())


def test_delete_by_id_and_by_filter(idle: Service) -> None:
    """A filter needs the number of what it finds, which the refusal names; afterwards `show` knows none of them."""
    ids = [idle.submit("to be deleted") for _ in range(4)]

    assert "Deleted: 1 request." in idle.run("requests", "delete", ids[0]).stdout
    refused = idle.run("requests", "delete", "-q", "to be deleted")
    done = idle.run("requests", "delete", "-q", "to be deleted", "--expect", "3")

    assert (1, True) == (refused.returncode, "add --expect 3" in refused.stderr)
    assert (0, "Deleted: 3 requests.\n") == (done.returncode, done.stdout)
    for request_id in (ids[0], ids[3]):
        assert 1 == idle.run("requests", "show", request_id).returncode
    again = idle.run("requests", "delete", ids[0])
    assert (1, True) == (again.returncode, "None of them" in again.stderr)


def test_cancel_and_retry(idle: Service) -> None:
    """A cancelled request is queued again under a new id, and the old one shows why it ended."""
    request_id = idle.submit("to be tried again")

    assert "Cancelled: 1 request." in idle.run("requests", "cancel", request_id).stdout
    assert "Queued again: 1 request." in idle.run("requests", "retry", request_id, "0" * 20).stdout

    shown = idle.run("requests", "show", request_id).stdout.splitlines()
    assert "state: cancelled" in shown
    assert "error_type: client_cancelled" in shown
    states = [each["state"] for each in json.loads(idle.run("requests", "list", "-q", "tried again", "--json").stdout)]
    assert ["queued", "cancelled"] == states


def test_keep_and_unkeep(idle: Service) -> None:
    """A kept request says so until it is not kept any more; an unknown one exits with 1."""
    request_id = idle.submit("to be kept")
    for action, kept in (("keep", True), ("unkeep", False)):
        done = idle.run("requests", action, request_id)
        assert 0 == done.returncode, done.stderr
        assert kept == json.loads(idle.run("requests", "show", request_id, "--json").stdout)["kept"]

    assert 1 == idle.run("requests", "keep", "0" * 20).returncode


def test_an_action_needs_ids_or_a_filter(idle: Service) -> None:
    """Neither and both are refused, so that no command without arguments deletes everything."""
    for arguments in ([], ["0" * 20, "--state", "failed"]):
        done = idle.run("requests", "delete", *arguments)
        assert (1, True) == (done.returncode, "not both" in done.stderr)


def test_the_client_lists_and_deletes(idle: Service) -> None:
    """Pages, details and errors of its own kinds."""
    ids = [idle.submit("by the client") for _ in range(3)]
    with Client(idle.url, idle.key) as client:
        page = client.requests(limit=2, q="by the client")
        rest = client.requests(limit=2, after=page.next, q="by the client")
        assert ids[::-1] == [each["id"] for each in (*page.items, *rest.items)]
        assert "by the client" == client.request(ids[0])["input"]["prompt"]

        client.delete(ids[0])

        with pytest.raises(RequestNotFound):
            client.delete(ids[0])
        with pytest.raises(ValidationError, match="Did you mean 'state'"):
            client.requests(stat="failed")
        with pytest.raises(Conflict) as refused:
            client.act_on_requests("delete", filter={"q": "by the client"}, expect=5)
        assert 2 == refused.value.count


def test_a_watched_list_replaces_the_one_before(capsys: pytest.CaptureFixture[str]) -> None:
    """Each state is shown in a table, and texts of users cannot give orders to the terminal."""
    item = {
        "id": "a",
        "app": "app",
        "user": "ada",
        "state": "running",
        "submitted_at": "2026-11-30T09:00:00.000Z",
        "progress": {"done": 3, "total": 12},
        "width": 64,
        "height": 32,
        "batch_size": 2,
        "error_type": None,
        "input": {"prompt": "[red]\x1b[2J" + "x" * 60},
    }
    with live_table() as show:
        show([item])
        show([item | {"state": "failed", "error_type": "out_of_memory", "input": None}])

    shown = capsys.readouterr().out
    assert "out_of_memory" in shown
    assert "\x1b[2J" not in shown
    assert "running, 3/12" in request_row(item)
    assert "64x32 ×2" in request_row(item)
