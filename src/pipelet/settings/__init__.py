"""The only reader of the environment and of `pipelet.toml`."""

import os
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from pipelet.domain import database_url as database_urls
from pipelet.domain.accounts.limits import UserLimits, to_bytes
from pipelet.domain.errors import OperationalError
from pipelet.settings.addresses import host_and_port, local_url, networks, origins
from pipelet.settings.aws import AwsSettings
from pipelet.settings.default_limits import (
    MaxPriority,
    MaxQueuedImages,
    MaxRunningImages,
    MaxStoredGib,
    MaxSubmitsPerSecond,
    MaxWebhooksPerMinute,
    SubmitBurst,
    optional,
)
from pipelet.settings.errors import CONFIG_FILE, describe_all, describe_aws, unknown_variables
from pipelet.settings.tls import Tls, TlsCert, TlsFiles, TlsKey, TlsName
from pipelet.settings.validators import BUCKET, BaseUrl, BlobsUrl, DatabaseUrl, Seconds
from pipelet.system.permissions import refuse_untrusted

_MAX_PRESIGNED_SECONDS = 7 * 86400
"""S3 refuses URLs with a longer lifetime."""
_MAX_RETENTION_DAYS = 1_000_000
"""Some 2,700 years: the time at which a request expires has to be one that dates can hold, until the year 9999."""


class Settings(BaseSettings):
    """Each field is a setting: `PIPELET_<NAME>` in the environment, else `<name>` in `pipelet.toml`."""

    model_config = SettingsConfigDict(
        env_prefix="PIPELET_", toml_file=CONFIG_FILE, extra="forbid", env_ignore_empty=True
    )

    data_dir: Path = Field(
        Path(".pipelet"), description="Directory of the embedded database, the files and the first key."
    )
    data_group: str | None = Field(
        None,
        description="Group, by name or number, whose members may read and write the data directory, for an API and "
        "workers under different users. Empty: only its owner may.",
    )
    database_url: DatabaseUrl | None = Field(
        None,
        repr=False,
        description="`postgresql://user:password@host/database`, `sqlite:///relative` or `sqlite:////absolute`. "
        "Empty: `pipelet.sqlite` in the data directory.",
    )
    database_pool_size: int = Field(
        8, ge=2, le=1000, description="Maximum number of PostgreSQL connections that one process opens."
    )
    blobs_url: BlobsUrl | None = Field(
        None,
        repr=False,
        description="Where files are stored: `file:///absolute`, `s3://bucket` or `s3://bucket/prefix`. Empty: `files` "
        "in the data directory.",
    )
    s3_public_url: BaseUrl | None = Field(
        None,
        repr=False,
        description="URL at which clients reach the S3 server, such as `https://s3.example.com`. Empty: "
        "`AWS_ENDPOINT_URL`.",
    )
    public_url: BaseUrl | None = Field(
        None,
        repr=False,
        description="URL at which clients reach the service, such as `https://api.example.com`. Empty: the address "
        "that each request was sent to.",
    )
    allowed_networks: str = Field(
        "",
        description="Networks that URLs in requests (input images, webhooks) may lead to although they are not "
        "public, such as `127.0.0.0/8,::1/128,10.1.0.0/16`. Empty: none.",
    )
    allowed_origins: str = Field(
        "*",
        description="Origins whose web pages may call the API from a browser, with a key: `*` for any, `none`, or a "
        "list such as `https://app.example.com,http://localhost:3000`.",
    )
    ui: bool = Field(True, description="Serve the page for browsers at `/ui/`, and lead them there from `/`.")
    ui_over_http: bool = Field(
        False,
        description="Let browsers sign in over plain HTTP from other machines, with a cookie that anyone in the "
        "network can read. Off: over TLS and from this machine only.",
    )
    trusted_proxies: str = Field(
        "127.0.0.0/8,::1/128",
        description="Addresses and networks of proxies whose `X-Forwarded-For`, `-Proto` and `-Host` headers are "
        "trusted; `none` for no proxy.",
    )
    api_url: BaseUrl | None = Field(
        None, repr=False, description="URL at which the command line calls the service. Empty: this machine, at `port`."
    )
    api_key: str | None = Field(
        None, repr=False, description="API key of the command line. Empty: the first key, from the data directory."
    )
    host: str = Field("127.0.0.1", description="Address that the API listens on; `0.0.0.0` for every interface.")
    port: int = Field(8000, ge=0, le=65535, description="Port that the API listens on; 0 takes a free one.")
    tls: Tls = False
    tls_cert: TlsCert = None
    tls_key: TlsKey = None
    tls_name: TlsName = ""
    metrics_address: str | None = Field(
        None,
        description="Address that serves `/metrics` without a key, such as `127.0.0.1:9464` or `[::1]:9464`. Empty: "
        "none. Only the monitoring should reach it.",
    )
    workers: Annotated[int, Field(ge=0, le=64)] | Literal["auto"] = Field(
        "auto",
        description="Number of workers that `pipelet serve` starts for each model; `auto`: one per GPU, or one on the "
        "CPU; 0: the API alone.",
    )
    model: str | None = Field(
        None,
        description="Model that the apps generate with: a name in the catalog, a hub id or a folder. An image-edit app "
        "that names a model of its own keeps it; an app that the model does not support is not served.",
    )
    worker_app: str | None = Field(
        None,
        description="Workers load the model of this app, and serve every app that uses it. Empty: the models of all "
        "apps, each in a worker of its own; a fleet has one model, and needs it if the apps use several.",
    )
    catalog: Path | None = Field(
        None, description="A file in the format of `catalog.toml` whose entries are merged over the built-in ones."
    )
    device: str = Field("auto", description="Device that the model runs on: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.")
    queue_order: Literal["fair", "fifo"] = Field(
        "fair",
        description="Order of the queue in a new database: `fair`: within a priority, users take turns; `fifo`: first "
        "come, first served. `pipelet queue order` changes that of an existing one.",
    )
    lease_seconds: Seconds = Field(
        15, description="A request goes back to the queue when its worker sends no heartbeat for this many seconds."
    )
    shutdown_grace_seconds: float = Field(
        30, ge=0, allow_inf_nan=False, description="Seconds that running requests may take to finish after SIGTERM."
    )
    engine_stall_timeout_seconds: Seconds = Field(
        600, description="The engine is restarted after this many seconds without progress."
    )
    model_load_timeout_seconds: Seconds = Field(1800, description="Loading the model fails after this many seconds.")
    retention_days: float = Field(
        7,
        gt=0,
        le=_MAX_RETENTION_DAYS,
        allow_inf_nan=False,
        description="Days after which finished requests and their files are deleted; 1,000,000 at most.",
    )
    default_max_priority: MaxPriority = "none"
    default_max_queued_images: MaxQueuedImages = 1000
    default_max_running_images: MaxRunningImages = "none"
    default_max_submits_per_second: MaxSubmitsPerSecond = 10
    default_submit_burst: SubmitBurst = 100
    default_max_stored_gib: MaxStoredGib = 20
    default_max_webhooks_per_minute: MaxWebhooksPerMinute = 600
    image_metadata: Literal["full", "none"] = Field(
        "full",
        description="Metadata in image files: `full`: prompt, seed, model and the other parameters; `none`: nothing.",
    )
    signed_url_ttl_seconds: Seconds = Field(
        7200, description="Seconds for which the URL of a file is valid after the result was read."
    )
    max_open_streams: int = Field(
        10_000,
        ge=1,
        description="Maximum number of status streams and `/fal/run` calls that an API process keeps open, about 34 "
        "KiB each; one user may hold half of them.",
    )
    webhook_timeout_seconds: Seconds = Field(
        15, description="Seconds in which the endpoint of a webhook must respond; after that the attempt has failed."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto",
        description="`json`: one object per line; `console`: for people; `auto`: `console` on a terminal, else `json`.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Lowest level that is logged.")
    access_log: Literal["off", "writes", "requests", "all"] = Field(
        "requests",
        description="Requests that the API logs, one line each: `writes`: submits and cancels; `requests`: all but "
        "polls of status, health and metrics; `all`: polls, too.",
    )

    trace_sample_ratio: float = Field(
        0,
        ge=0,
        le=1,
        description="Share of the requests whose traces are exported over OTLP: 0 for none, 1 for all. Needs the extra "
        "`otel`; `OTEL_EXPORTER_OTLP_ENDPOINT` is the URL of the collector.",
    )

    @field_validator("allowed_networks", "allowed_origins", "metrics_address", "trusted_proxies")
    @classmethod
    def _check_format(cls, value: str | None, info: ValidationInfo) -> str | None:
        parsers = {"allowed_origins": origins, "metrics_address": host_and_port}
        if value is not None:
            parsers.get(str(info.field_name), networks)(value)
        return value

    @field_validator("signed_url_ttl_seconds")
    @classmethod
    def _check_presignable(cls, value: float, info: ValidationInfo) -> float:
        if (info.data.get("blobs_url") or "").startswith("s3://") and value > _MAX_PRESIGNED_SECONDS:
            raise ValueError(f"must be {_MAX_PRESIGNED_SECONDS} (a week) at most on S3")
        return value

    def to_environment(self) -> dict[str, str]:
        """Return the environment that gives another process the same settings, in any working directory."""
        values = self.model_dump(mode="json", exclude={"api_url", "api_key"})  # for clients only
        values["data_dir"] = str(self.data_dir.resolve())
        if self.catalog is not None:
            values["catalog"] = str(self.catalog.resolve())
        # Those that are not set travel, too, as empty ones: the other process may have some of its own.
        return {f"PIPELET_{name.upper()}": "" if value is None else str(value) for name, value in values.items()}

    @property
    def default_limits(self) -> UserLimits:
        """Limits of new users."""
        gib = optional(self.default_max_stored_gib)
        return UserLimits(
            max_priority=optional(self.default_max_priority),
            max_queued_images=optional(self.default_max_queued_images),
            max_running_images=optional(self.default_max_running_images),
            max_submits_per_second=optional(self.default_max_submits_per_second),
            submit_burst=self.default_submit_burst,
            max_stored_bytes=None if gib is None else to_bytes(gib),
            max_webhooks_per_minute=optional(self.default_max_webhooks_per_minute),
        )

    @property
    def extra_allowed_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """Parsed `allowed_networks`."""
        return networks(self.allowed_networks)

    @property
    def origins(self) -> tuple[str, ...]:
        """Parsed `allowed_origins`; `*` for any."""
        return origins(self.allowed_origins)

    @property
    def postgres_url(self) -> str | None:
        """URL of the shared database; None if the database is SQLite."""
        return self.database_url if self.database_url and self.database_url.startswith("postgres") else None

    @property
    def database_path(self) -> Path:
        """Path of the embedded database."""
        if self.database_url and not self.postgres_url:
            return Path(self.database_url.removeprefix("sqlite:///"))
        return self.data_dir / "pipelet.sqlite"

    @property
    def database_name(self) -> str:
        """Name of the database in messages: without its password."""
        return database_urls.name_of(self.postgres_url) if self.postgres_url else str(self.database_path)

    @property
    def bucket(self) -> tuple[str, str] | None:
        """Name of the bucket, and the prefix in it; None if files are stored on disk."""
        found = BUCKET.fullmatch(self.blobs_url or "")
        return (found["bucket"], found["prefix"].removeprefix("/")) if found else None

    @property
    def files_folder(self) -> Path:
        """Folder of the files on disk."""
        return Path(self.blobs_url.removeprefix("file://")) if self.blobs_url else self.data_dir / "files"

    @property
    def service_url(self) -> str:
        """URL at which a caller on this machine reaches the service."""
        return self.api_url or local_url(self.host, self.port, tls=self.serves_tls)

    @property
    def serves_tls(self) -> bool:
        return self.tls or self.tls_cert is not None

    @property
    def tls_files(self) -> TlsFiles:
        if self.tls_cert and self.tls_key:
            return TlsFiles(self.tls_cert, self.tls_key, is_own=False)
        folder = self.data_dir / "tls"
        return TlsFiles(folder / "certificate.pem", folder / "key.pem", is_own=True)

    def login_url(self, code: str, base_url: str | None = None) -> str:
        """Return the link that signs a browser in with a login code. A fragment reaches no log of a server.

        Args:
            base_url: URL of the service, where `public_url` is not set.
        """
        return f"{self.public_url or base_url or self.service_url}/ui/#code={code}"

    @property
    def local_key_file(self) -> Path:
        return self.data_dir / "local-key"

    @property
    def signing_key_file(self) -> Path:
        return self.data_dir / "signing-key"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls))


def load(**flags: object) -> Settings:
    """Return the settings.

    Args:
        flags: values from the command line, by the name of their setting; None where a flag was not given.

    Raises:
        OperationalError: one message that names every bad value, where it can be set and what is wrong with it.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    refuse_untrusted(Path(CONFIG_FILE))
    faults = unknown_variables(Settings.model_fields, os.environ)
    try:
        settings = Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        faults += describe_all(error.errors(), Settings.model_fields, flags)
    except (ValueError, OSError) as error:  # the file is not TOML, or cannot be read
        faults.append(f"{CONFIG_FILE} cannot be read: {error}")
    else:
        try:
            if settings.bucket:
                AwsSettings()
        except ValidationError as error:
            faults += map(describe_aws, error.errors())
    if faults:
        raise OperationalError("\n  ".join(["Change these settings:", *faults]))
    return settings
