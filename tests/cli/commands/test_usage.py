"""`pipelet usage`, run in this process on a database of its own."""

import asyncio
import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pipelet.cli import build
from pipelet.domain.errors import InvalidQuery
from tests.support import databases
from tests.support.jobs import claim_request, make_job, success

DAY = 86_400.0
NOW = 20_000 * DAY  # 2024-10-04

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `pipelet usage` where `ann` made two images on one day and `=bob` one on the next."""
    opened = databases.new_sqlite(tmp_path)

    async def end(user: str, images: int, now: float) -> None:
        async with opened() as store:
            await store.jobs.submit(replace(make_job(user=user, batch_size=images), submitted_at=now))
            lease = await store.leases.claim(claim_request(now=now))
            assert lease is not None
            assert await store.leases.finish(lease, success(*"abc"[:images]), now)

    asyncio.run(end("ann", 2, NOW))
    asyncio.run(end("=bob", 1, NOW + DAY))

    def run_command(*arguments: str) -> str:
        capsys.readouterr()
        command = ["usage", *arguments, "--data-dir", str(tmp_path)]
        build(command)(command, result_action="return_value")
        return capsys.readouterr().out

    return run_command


PERIOD = ("--from", "2024-10-04", "--to", "2024-10-05")


def test_a_table_is_shown(run: Run) -> None:
    """A line for each group, and their total."""
    lines = [line.split() for line in run(*PERIOD).splitlines()]

    assert ["day", "app", "requests", "images", "megapixels", "device", "seconds", "failed", "cancelled"] == lines[0]
    assert ["2024-10-04", "z-image-text-to-image", "1", "2", "0.0", "0.5", "0", "0"] == lines[1]
    assert ["total", "2", "3", "0.0", "1.0", "0", "0"] == lines[3]


def test_no_usage_is_said(run: Run) -> None:
    """Where no request ended, there is no empty table."""
    assert "No request ended from 2024-01-01 to 2024-01-02.\n" == run("--from", "2024-01-01", "--to", "2024-01-02")


def test_json_has_the_same_figures(run: Run) -> None:
    """One document, as the API sends it; of one user where one is named."""
    found = json.loads(run(*PERIOD, "--by", "user", "--user", "ann", "--json"))

    assert [("ann", 2)] == [(each["user"], each["images"]) for each in found["items"]]
    assert ("2024-10-04", "2024-10-05", 2) == (found["from"], found["to"], found["total"]["images"])


def test_csv_is_safe_to_open(run: Run) -> None:
    """A name that a spreadsheet would compute begins with an apostrophe."""
    [titles, *rows] = csv.reader(io.StringIO(run(*PERIOD, "--by", "user,day", "--csv")))

    assert ["day", "user", "requests"] == titles[:3]
    assert [["2024-10-04", "ann", "1"], ["2024-10-05", "'=bob", "1"]] == [row[:3] for row in rows]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("--by", "hour"), "day, user, key, app"), (("--from", "2024-10-05", "--to", "2024-10-04"), "Exchange them")],
)
def test_what_cannot_be_is_refused(run: Run, arguments: tuple[str, ...], message: str) -> None:
    """The error says what to ask for."""
    with pytest.raises(InvalidQuery, match=message):
        run(*arguments)
