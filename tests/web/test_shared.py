"""The page of a service on PostgreSQL, with its files on S3."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.support.browsers.accounts import add_account
from tests.support.browsers.visits import Visits
from tests.support.servers.postgres import Server
from tests.support.servers.s3 import BUCKET, S3Server
from tests.support.service import Service
from tests.web.test_generate import APPLE, expect_image, generate, result
from tests.web.test_login import expect_signed_in, fill_login


@pytest.fixture
def shared_service(tmp_path: Path, postgres_server: Server, s3_server: S3Server) -> Iterator[Service]:
    settings = {"model": "demo", "database_url": postgres_server.new_database(), "blobs_url": f"s3://{BUCKET}/web"}
    with Service(tmp_path, settings=settings, variables=s3_server.variables()) as service:
        yield service


def test_a_shared_service_shows_its_images(visits: Visits, shared_service: Service, s3_server: S3Server) -> None:
    """Login, generation and a reload: the policy of the page lets it load the images from the bucket."""
    account = add_account(shared_service)
    page = visits.open(shared_service.url)
    fill_login(page, account.key)
    expect_signed_in(page, account.user)

    request_id = generate(page, APPLE)
    expect_image(page, APPLE)

    assert str(result(page).get_by_role("img", name=APPLE).get_attribute("src")).startswith(s3_server.endpoint)
    page.goto(f"{shared_service.url}/ui/#/history")
    expect(page.locator("main .thumbnail")).to_have_js_property("complete", True)
    page.goto(f"{shared_service.url}/ui/#/requests/{request_id}")
    page.reload()
    expect_image(page, APPLE)
