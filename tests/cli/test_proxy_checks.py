"""What `pipelet doctor` says of the proxies in front."""

import pytest

from pipelet import settings
from pipelet.cli.doctor.checks import forwarded_headers
from pipelet.domain.errors import OperationalError


@pytest.fixture(autouse=True)
def _no_variable_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORWARDED_ALLOW_IPS", raising=False)


def test_it_says_what_it_makes_of_a_request() -> None:
    """Whose headers count, which client they name, and with what URLs in responses begin."""
    found = forwarded_headers(settings.load())
    fixed = forwarded_headers(settings.load(trusted_proxies="10.0.0.7", public_url="https://api.example.com/img"))

    assert "ok" == found.state
    assert "A request from 127.0.0.1 with x-forwarded-for: 203.0.113.7" in found.detail
    assert "counts as one of 203.0.113.7; the URLs in the response begin with https://proxy.example" in found.detail
    assert "A request from 10.0.0.7 " in fixed.detail
    assert fixed.detail.endswith("https://api.example.com/img")


def test_it_warns_of_what_lets_clients_claim_any_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Headers of every address are trusted; a variable of uvicorn's does nothing here. `none` trusts no address."""
    every_address = forwarded_headers(settings.load(trusted_proxies="0.0.0.0/0,::/0"))
    no_address = forwarded_headers(settings.load(trusted_proxies="none"))
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    another = forwarded_headers(settings.load())

    assert ["warn", "ok", "warn"] == [each.state for each in (every_address, no_address, another)]
    assert "from no address" in no_address.detail
    assert "PIPELET_TRUSTED_PROXIES" in every_address.fix
    assert "PIPELET_TRUSTED_PROXIES" in another.fix


def test_proxies_have_addresses() -> None:
    """Names and typing errors stop the start."""
    with pytest.raises(OperationalError, match="PIPELET_TRUSTED_PROXIES"):
        settings.load(trusted_proxies="proxy.example")
