"""Settings that depend on one another, and variables that are not ours."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipelet import settings
from pipelet.domain.errors import OperationalError
from pipelet.settings.aws import AwsSettings


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("s3://pictures", ("pictures", "")),
        ("s3://pictures/", ("pictures", "")),
        ("s3://my.pictures-1/some/pre_fix/", ("my.pictures-1", "some/pre_fix")),
        ("file:///srv/files", None),
        ("", None),
    ],
)
def test_a_bucket_may_have_a_prefix(url: str, place: tuple[str, str] | None) -> None:
    """With or without a slash at the end; files on disk have no bucket."""
    assert place == settings.load(blobs_url=url).bucket


@pytest.mark.parametrize(
    "url",
    ["s3://", "s3://a", "s3://Bucket_1/x", "s3://pictures/../x", "s3://pictures//x", "s3://pictures?a=b", "gs://x"],
)
def test_a_place_for_files_that_cannot_be_is_refused(url: str) -> None:
    """The message names the setting and the forms that there are."""
    with pytest.raises(OperationalError, match=r"PIPELET_BLOBS_URL.*s3://bucket/prefix"):
        settings.load(blobs_url=url)


def test_urls_on_s3_live_for_a_week_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 would refuse longer ones when a client fetches; our own disk takes them."""
    monkeypatch.setenv("PIPELET_SIGNED_URL_TTL_SECONDS", "604801")

    with pytest.raises(OperationalError, match=r"PIPELET_SIGNED_URL_TTL_SECONDS.*604800"):
        settings.load(blobs_url="s3://pictures")
    assert 604801 == settings.load().signed_url_ttl_seconds


def test_retention_ends_before_dates_do() -> None:
    """A time that no date can hold would break every response that shows when a request expires."""
    with pytest.raises(OperationalError, match=r"PIPELET_RETENTION_DAYS.*must be less than or equal to 1000000"):
        settings.load(retention_days=1_000_001)

    days = settings.load(retention_days=1_000_000).retention_days
    assert 4000 < (datetime.now(UTC) + timedelta(days=days)).year


def test_wrong_variables_of_s3_are_named_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a key and an address that is none stop the start only where files are on S3."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "minio:9000")
    with pytest.raises(OperationalError, match="AWS_ENDPOINT_URL: must look like"):
        settings.load(blobs_url="s3://pictures")

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://minio:9000")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    with pytest.raises(OperationalError, match="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together") as caught:
        settings.load(blobs_url="s3://pictures")

    assert "hush" not in str(caught.value)
    assert settings.load().bucket is None


def test_what_is_for_s3_alone_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of endpoints that of S3, of regions the one that is not a default."""
    assert ("", "us-east-1") == (AwsSettings().endpoint, AwsSettings().bucket_region)

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://all:9000/")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert ("http://all:9000", "eu-west-1") == (AwsSettings().endpoint, AwsSettings().bucket_region)

    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://s3:9000")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    assert ("http://s3:9000", "eu-central-1") == (AwsSettings().endpoint, AwsSettings().bucket_region)


@pytest.mark.parametrize(
    ("value", "origins"),
    [
        ("*", ("*",)),
        ("none", ()),
        ("https://a.example.com, http://LOCALHOST:3000", ("https://a.example.com", "http://localhost:3000")),
        ("http://[::1]:3000", ("http://[::1]:3000",)),
    ],
)
def test_origins_are_any_none_or_named(value: str, origins: tuple[str, ...]) -> None:
    """Spaces do not matter, and browsers write names in small letters."""
    assert origins == settings.load(allowed_origins=value).origins


@pytest.mark.parametrize(
    "value", ["example.com", "https://example.com/", "https://*.example.com", "*,https://a.b", ","]
)
def test_what_is_no_origin_is_refused(value: str) -> None:
    """It would never be equal to what a browser sends, and the reason would be hidden."""
    with pytest.raises(OperationalError, match="PIPELET_ALLOWED_ORIGINS"):
        settings.load(allowed_origins=value)


def test_settings_travel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A process in another folder, given them as its environment, comes to the same settings and AWS variables."""
    monkeypatch.chdir(tmp_path)
    for name, value in {"ACCESS_KEY_ID": "id", "SECRET_ACCESS_KEY": "hush", "REGION": "eu-central-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    here = settings.load(data_dir=Path("data"), catalog=Path("catalog.toml"), blobs_url="s3://pictures", port=8001)
    aws = AwsSettings()
    given = here.to_environment() | aws.to_environment()

    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "REGION"):
        monkeypatch.delenv(f"AWS_{name}")
    monkeypatch.setenv("PIPELET_MODEL", "other")
    monkeypatch.setenv("PIPELET_PUBLIC_URL", "http://node.example.com")
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    there = settings.load()

    assert aws == AwsSettings()
    assert tmp_path / "catalog.toml" == there.catalog
    assert here.model_copy(update={"data_dir": tmp_path / "data", "catalog": there.catalog}) == there


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("database_url", "postgresql+asyncpg://pipelet:SECRET@db/x"),
        ("database_url", "postgresql://pipelet:p#SECRET@db/x"),
        ("database_url", "postgresql://pipelet:p?SECRET@db/x"),
        ("database_url", "postgresql://pipelet:p/SECRET@db/x"),
        ("blobs_url", "s3://KEY:SECRET@bucket"),
        ("api_url", "https://user:SECRET@api.example.com"),
        ("public_url", "https://[SECRET"),
        ("keyy", "pk_SECRET"),
    ],
)
def test_what_may_be_a_secret_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str
) -> None:
    """A refused value is named by its setting alone, where it holds a password and where its name is not known."""
    (tmp_path / "pipelet.toml").write_text(f"{name} = {value!r}\n")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(OperationalError, match=f"{name} in pipelet.toml") as caught:
        settings.load()

    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgresql://user:SECRET@db.example.com:5433/pipelet", "db.example.com:5433/pipelet"),
        ("postgresql://db.example.com/pipelet?user=u&password=SECRET", "db.example.com:5432/pipelet"),
        ("postgres://u:S%40CRET@one,two:5433/pipelet?sslmode=require", "one:5432,two:5433/pipelet"),
    ],
)
def test_the_name_of_a_database_has_no_password(url: str, name: str) -> None:
    """Messages show where it is, and nothing else of its URL."""
    assert name == settings.load(database_url=url).database_name


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('hots = "0.0.0.0"', "hots in pipelet.toml: no such setting. Did you mean host?"),
        ("lease-seconds = 5", "lease-seconds in pipelet.toml: no such setting. Did you mean lease_seconds?"),
        ("PIPELET_PORT = 8001", "PIPELET_PORT in pipelet.toml: no such setting. Did you mean port?"),
        ("zebra = 1", "zebra in pipelet.toml: no such setting."),
        ("[log]\nformat = 1", "[log] in pipelet.toml: the file has no tables, only lines such as port = 8001."),
        ("[models.x]\nsource = 'y'", "[models] in pipelet.toml: models and apps belong in a catalog, a separate file"),
        (
            "lease_seconds = 0",
            "PIPELET_LEASE_SECONDS (lease_seconds in pipelet.toml): must be greater than or equal to 1",
        ),
        (
            'public_url = "a.b"',
            "PIPELET_PUBLIC_URL (public_url in pipelet.toml): must look like https://api.example.com",
        ),
        ('port = "http"', "PIPELET_PORT (port in pipelet.toml, --port): must be a valid integer (it is 'http')"),
        ('log_format = "xml"', "PIPELET_LOG_FORMAT (log_format in pipelet.toml): must be 'auto', 'json' or 'console'"),
        ('allowed_networks = "10.0.0.0/99"', "PIPELET_ALLOWED_NETWORKS (allowed_networks in pipelet.toml): "),
    ],
)
def test_what_is_wrong_is_said_in_plain_words(
    line: str, told: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A wrong name gets the nearest one, and only flags that the command has are named."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pipelet.toml").write_text(line)

    with pytest.raises(OperationalError) as caught:
        settings.load(port=None)

    assert told in str(caught.value)
    for words in ("Value error", "Extra inputs", "Input should", "unable to parse"):
        assert words not in str(caught.value)


@pytest.mark.parametrize("name", ["DATABASE_URL", "DATABASE_URLS"])
def test_a_wrong_database_is_named_without_its_password(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does a misspelt variable say what it holds."""
    monkeypatch.setenv(f"PIPELET_{name}", "mysql://me:hush@localhost/images")

    with pytest.raises(OperationalError, match="PIPELET_DATABASE_URL") as caught:
        settings.load()

    assert "hush" not in str(caught.value)


def test_workers_are_a_number_or_automatic(monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` is the default; anything else that is not a count is refused in one line that names both forms."""
    assert "auto" == settings.load().workers
    monkeypatch.setenv("PIPELET_WORKERS", "3")
    assert 3 == settings.load().workers

    monkeypatch.setenv("PIPELET_WORKERS", "-1")
    with pytest.raises(OperationalError) as caught:
        settings.load(workers=None)

    assert str(caught.value).count("PIPELET_WORKERS (workers in pipelet.toml, --workers): must be ") == 1
    assert "greater than or equal to 0, or must be 'auto' (it is '-1')" in str(caught.value)
