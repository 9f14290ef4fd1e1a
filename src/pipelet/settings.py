"""The only reader of the environment and of `pipelet.toml`."""

import os
import re
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from pipelet.domain import database_url as database_urls
from pipelet.domain.addresses import host_and_port, networks, origins
from pipelet.domain.errors import Unusable
from pipelet.settings_errors import CONFIG_FILE, describe, describe_aws, unknown_variables
from pipelet.system.trust import refuse_untrusted

Seconds = Annotated[float, Field(ge=1, allow_inf_nan=False)]

_BUCKET = re.compile(
    r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?P<prefix>(/(?!\.{1,2}(/|$))[A-Za-z0-9_!.*'()-]+)*)/?"
)
_LONGEST_PRESIGNED = 7 * 86400
"""Seconds. S3 refuses URLs that claim more."""


def _base_url(value: str) -> str:
    if value and not _is_base_url(value):
        raise ValueError("must look like https://api.example.com, without a user and a password")
    return value.rstrip("/")


def _is_base_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc) and not re.search("[@?#]", value)


class Settings(BaseSettings):
    """Each field is a setting: `PIPELET_<NAME>` in the environment, else `<name>` in `pipelet.toml`."""

    model_config = SettingsConfigDict(
        env_prefix="PIPELET_", toml_file=CONFIG_FILE, extra="forbid", env_ignore_empty=True
    )

    data_dir: Path = Field(
        Path(".pipelet"), description="Where the embedded database, the files and the first key lie."
    )
    data_group: str = Field(
        "",
        description="Group, by name or number, whose members may read and write the data directory, for an API and "
        "workers under different users; empty: its owner alone.",
    )
    database_url: str = Field(
        "",
        repr=False,
        description="`postgresql://user:password@host/database`, `sqlite:///relative` or `sqlite:////absolute`; "
        "empty: `pipelet.sqlite` in the data directory.",
    )
    database_connections: int = Field(
        8, ge=2, le=1000, description="The most connections to PostgreSQL that one process opens."
    )
    blobs_url: str = Field(
        "",
        repr=False,
        description="`file:///absolute`, `s3://bucket` or `s3://bucket/prefix`; empty: `files` in the data directory.",
    )
    s3_public_url: str = Field(
        "",
        repr=False,
        description="How clients reach the S3 server, such as `https://s3.example.com`; empty: as we do, at "
        "`AWS_ENDPOINT_URL`.",
    )
    s3_addressing: Literal["auto", "path", "virtual"] = Field(
        "auto",
        description="Where the bucket stands in URLs: in the `path`, or in the host's name (`virtual`); `auto`: in the "
        "path where `AWS_ENDPOINT_URL` is set.",
    )
    public_url: str = Field(
        "",
        repr=False,
        description="How clients reach the service, such as `https://api.example.com`; empty: as each request came in.",
    )
    allowed_networks: str = Field(
        "",
        description="Networks that URLs in requests (pictures to edit, webhooks) may lead to although they are not "
        "public, such as `127.0.0.0/8,::1/128,10.1.0.0/16`; empty: none.",
    )
    allowed_origins: str = Field(
        "*",
        description="Whose web pages may call the API from a browser, with a key: `*` for any, `none`, or origins such "
        "as `https://app.example.com,http://localhost:3000`.",
    )
    trusted_proxies: str = Field(
        "127.0.0.0/8,::1/128",
        description="Addresses and networks of proxies whose `X-Forwarded-For`, `-Proto` and `-Host` headers are "
        "believed; `none` for no proxy.",
    )
    url: str = Field(
        "", repr=False, description="Where the command line finds the service; empty: this machine, at `port`."
    )
    key: str = Field(
        "", repr=False, description="API key of the command line; empty: the first key, from the data directory."
    )
    host: str = Field("127.0.0.1", description="Address the API listens on; `0.0.0.0` for every interface.")
    port: int = Field(8000, ge=0, le=65535, description="Port the API listens on; 0 takes a free one.")
    metrics_address: str = Field(
        "",
        description="Where `/metrics` is served without a key, such as `127.0.0.1:9464` or `[::1]:9464`; empty: "
        "nowhere. Only the monitoring should reach it.",
    )
    workers: int = Field(
        -1,
        ge=-1,
        le=64,
        description="Workers beside the API; -1: one for each GPU, or one on the CPU; 0: the API alone.",
    )
    model: str = Field(
        "",
        description="What the apps draw with: a name in the catalog, a hub id or a folder. An image-edit app that "
        "names a model of its own keeps it; an app that the model cannot serve is not served.",
    )
    app: str = Field(
        "",
        description="Needed only if the apps of the catalog use several models: workers load the model of this app, "
        "and serve every app that uses it.",
    )
    catalog: Path | None = Field(
        None, description="A file of the shape of `catalog.toml` whose entries are laid over ours."
    )
    device: str = Field("auto", description="`auto`, `cpu`, `cuda`, `cuda:1`, `mps`: where the model runs.")
    threads: int = Field(0, ge=0, le=1024, description="CPU threads of the model; 0 leaves the choice to the engine.")
    lease_seconds: Seconds = Field(15, description="A worker that was not heard of for so long has lost its request.")
    grace_seconds: float = Field(
        30, ge=0, allow_inf_nan=False, description="How long running requests may go on after SIGTERM."
    )
    stall_seconds: Seconds = Field(600, description="An engine without progress for so long is stopped.")
    load_seconds: Seconds = Field(1800, description="A model that is not loaded after so long is given up.")
    retention_days: float = Field(
        7, gt=0, allow_inf_nan=False, description="Days after which finished requests and their files are deleted."
    )
    image_metadata: Literal["full", "none"] = Field(
        "full",
        description="What image files say about how they were made: `full`: prompt, seed, model and the other "
        "parameters; `none`: nothing.",
    )
    url_seconds: Seconds = Field(7200, description="How long the URL of a file can be used after the result was read.")
    open_streams: int = Field(
        10_000,
        ge=1,
        description="The most status streams and calls of `/fal/run` that an API process keeps open, some 34 KiB each; "
        "one user has half of them at most.",
    )
    webhook_seconds: Seconds = Field(
        15, description="How long the receiver of a webhook may take to answer; then the try has failed."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="`json`: one object a line; `console`: for people; `auto`: for people where a terminal is."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least that is logged.")

    @field_validator("public_url", "url", "s3_public_url")
    @classmethod
    def _is_a_base_url(cls, value: str) -> str:
        return _base_url(value)

    @field_validator("allowed_networks", "allowed_origins", "metrics_address", "trusted_proxies")
    @classmethod
    def _can_be_read(cls, value: str, info: ValidationInfo) -> str:
        read = {"allowed_origins": origins, "metrics_address": host_and_port}
        read.get(str(info.field_name), networks)(value)
        return value

    @field_validator("database_url")
    @classmethod
    def _is_a_known_database(cls, value: str) -> str:
        value = value.strip()  # files with secrets end in a line break
        if value and not value.startswith(("sqlite:///", "postgresql://", "postgres://")):
            raise ValueError("must begin with sqlite:/// or postgresql://")
        if value.startswith("postgres") and (fault := database_urls.fault_of(value)):
            raise ValueError(fault)
        return value

    @field_validator("blobs_url")
    @classmethod
    def _is_a_known_blob_store(cls, value: str) -> str:
        if value and not value.startswith("file:///") and not _BUCKET.fullmatch(value):
            raise ValueError("must look like file:///folder, s3://bucket or s3://bucket/prefix")
        return value

    @field_validator("url_seconds")
    @classmethod
    def _can_be_presigned(cls, value: float, info: ValidationInfo) -> float:
        if info.data.get("blobs_url", "").startswith("s3://") and value > _LONGEST_PRESIGNED:
            raise ValueError(f"must be {_LONGEST_PRESIGNED} (a week) at most on S3")
        return value

    def as_environment(self) -> dict[str, str]:
        """What makes another process come to these very settings, wherever it runs."""
        values = self.model_dump(mode="json", exclude_none=True, exclude={"url", "key"})  # those of its callers
        values["data_dir"] = str(self.data_dir.resolve())
        if self.catalog is not None:
            values["catalog"] = str(self.catalog.resolve())
        return {f"PIPELET_{name.upper()}": str(value) for name, value in values.items()}

    @property
    def metrics_host_and_port(self) -> tuple[str, int] | None:
        """What `metrics_address` names."""
        return host_and_port(self.metrics_address)

    @property
    def networks_beside_public(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """What `allowed_networks` names."""
        return networks(self.allowed_networks)

    @property
    def origins(self) -> tuple[str, ...]:
        """What `allowed_origins` names; `*` for any."""
        return origins(self.allowed_origins)

    @property
    def is_shared(self) -> bool:
        """Whether the database is PostgreSQL."""
        return self.database_url.startswith("postgres")

    @property
    def database_path(self) -> Path:
        """Of the embedded database."""
        if self.database_url and not self.is_shared:
            return Path(self.database_url.removeprefix("sqlite:///"))
        return self.data_dir / "pipelet.sqlite"

    @property
    def database_name(self) -> str:
        """What to call the database in a message: without its password."""
        return database_urls.name_of(self.database_url) if self.is_shared else str(self.database_path)

    @property
    def bucket(self) -> tuple[str, str] | None:
        """Its name and the prefix in it, where files are kept on S3."""
        found = _BUCKET.fullmatch(self.blobs_url)
        return (found["bucket"], found["prefix"].removeprefix("/")) if found else None

    @property
    def files_folder(self) -> Path:
        """Where files are kept on disk."""
        return Path(self.blobs_url.removeprefix("file://")) if self.blobs_url else self.data_dir / "files"

    @property
    def service_url(self) -> str:
        """Where a caller on this machine finds the service."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - nobody can connect to these
        return self.url or f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

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


class Aws(BaseSettings):
    """The variables that programs which use S3 have in common."""

    model_config = SettingsConfigDict(env_prefix="AWS_", extra="ignore", env_ignore_empty=True)

    access_key_id: str = Field(default="", description="Empty: the role that AWS gave this machine or container.")
    secret_access_key: str = Field(default="", repr=False, description="What belongs to it.")
    session_token: str = Field(default="", repr=False, description="Of temporary keys.")
    region: str = Field(default="", description="Of the bucket; empty: `AWS_DEFAULT_REGION`, or else `us-east-1`.")
    default_region: str = Field(default="", description="Of the bucket, where `AWS_REGION` is empty.")
    endpoint_url: str = Field(default="", description="Of the server, such as `http://minio:9000`; empty: AWS.")
    endpoint_url_s3: str = Field(default="", description="The same, for S3 alone; it goes before `AWS_ENDPOINT_URL`.")

    @field_validator("endpoint_url", "endpoint_url_s3")
    @classmethod
    def _is_a_base_url(cls, value: str) -> str:
        return _base_url(value)

    @model_validator(mode="after")
    def _keys_are_whole(self) -> Self:
        if bool(self.access_key_id) != bool(self.secret_access_key):
            raise ValueError("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together, and one of them is empty")
        return self

    def as_environment(self) -> dict[str, str]:
        """What makes another process come to these very values; what is left to a machine's role stays left to it."""
        return {f"AWS_{name.upper()}": value for name, value in self.model_dump().items() if value}

    @property
    def endpoint(self) -> str:
        return self.endpoint_url_s3 or self.endpoint_url

    @property
    def bucket_region(self) -> str:
        return self.region or self.default_region or "us-east-1"


def visible_gpus() -> int | None:
    """How many GPUs NVIDIA's own variable leaves in sight; None where it is not set."""
    value = os.environ.get("CUDA_VISIBLE_DEVICES")
    return None if value is None else sum(1 for part in value.split(",") if part.strip() not in ("", "-1"))


def load(**flags: object) -> Settings:
    """The settings; `flags` are what the command line gave, None where it gave nothing.

    Raises:
        Unusable: one message that names every bad value, where it can be set and what is wrong with it.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    refuse_untrusted(Path(CONFIG_FILE))
    faults = unknown_variables(Settings.model_fields, os.environ)
    try:
        settings = Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        faults += [describe(fault, Settings.model_fields, flags) for fault in error.errors()]
    except (ValueError, OSError) as error:  # the file is not TOML, or cannot be read
        faults.append(f"{CONFIG_FILE} cannot be read: {error}")
    else:
        faults += _faults_of_aws() if settings.bucket else []
    if faults:
        raise Unusable("\n  ".join(["These settings have to be changed:", *faults]))
    return settings


def _faults_of_aws() -> list[str]:
    try:
        Aws()
    except ValidationError as error:
        return list(map(describe_aws, error.errors()))
    return []
