"""Checks of single settings."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from pipelet.domain import database_url as database_urls

BUCKET = re.compile(
    r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?P<prefix>(/(?!\.{1,2}(/|$))[A-Za-z0-9_!.*'()-]+)*)/?"
)


def base_url(value: str) -> str:
    if value and not _is_base_url(value):
        raise ValueError("must look like https://api.example.com, without a user and a password")
    return value.rstrip("/")


def _is_base_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc) and not re.search("[@?#]", value)


def database_url(value: str) -> str:
    value = value.strip()  # files with secrets end in a line break
    if value and not value.startswith(("sqlite:///", "postgresql://", "postgres://")):
        raise ValueError("must begin with sqlite:/// or postgresql://")
    if value.startswith("postgres") and (fault := database_urls.fault_of(value)):
        raise ValueError(fault)
    return value


def blobs_url(value: str) -> str:
    if value and not value.startswith("file:///") and not BUCKET.fullmatch(value):
        raise ValueError("must look like file:///folder, s3://bucket or s3://bucket/prefix")
    return value


Seconds = Annotated[float, Field(ge=1, allow_inf_nan=False)]
BaseUrl = Annotated[str, AfterValidator(base_url)]
DatabaseUrl = Annotated[str, AfterValidator(database_url)]
BlobsUrl = Annotated[str, AfterValidator(blobs_url)]
