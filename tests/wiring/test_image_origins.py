"""Where the page may load images from."""

import pytest

from pipelet.settings import Settings
from pipelet.wiring.blobs import image_origins


@pytest.mark.parametrize(
    ("settings", "origins"),
    [
        ({}, []),
        ({"public_url": "https://api.example.com/prefix"}, ["https://api.example.com"]),
        ({"blobs_url": "s3://bucket", "s3_public_url": "https://s3.example.com:9000"}, ["https://s3.example.com:9000"]),
        ({"blobs_url": "s3://bucket/prefix"}, ["https://s3.eu-west-1.amazonaws.com", "https://bucket.s3.eu-west-1.amazonaws.com"]),
    ],
)  # fmt: skip
def test_images_come_from_where_signed_urls_lead(
    settings: dict[str, str], origins: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files on disk are served by the service, under its public name where it has one; those of a bucket by that."""
    for name in ("AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert origins == image_origins(Settings(**settings))  # type: ignore[arg-type]
