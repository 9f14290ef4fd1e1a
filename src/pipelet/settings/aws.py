"""The variables that programs which use S3 have in common. They are read from the environment only."""

from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipelet.settings.validators import BaseUrl


class AwsSettings(BaseSettings):
    """Each field is a variable `AWS_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix="AWS_", extra="ignore", env_ignore_empty=True)

    access_key_id: str = Field(
        default="", description="Access key. Empty: the role that AWS gave this machine or container."
    )
    secret_access_key: str = Field(default="", repr=False, description="Secret of the access key.")
    session_token: str = Field(default="", repr=False, description="Session token of temporary keys.")
    region: str = Field(default="", description="Region of the bucket. Empty: `AWS_DEFAULT_REGION`, then `us-east-1`.")
    default_region: str = Field(default="", description="Region of the bucket if `AWS_REGION` is empty.")
    endpoint_url: BaseUrl = Field(
        default="", description="URL of the S3 server, such as `http://minio:9000`. Empty: AWS."
    )
    endpoint_url_s3: BaseUrl = Field(
        default="", description="URL of the S3 server for S3 alone; it takes precedence over `AWS_ENDPOINT_URL`."
    )

    @model_validator(mode="after")
    def _require_both_keys(self) -> Self:
        if bool(self.access_key_id) != bool(self.secret_access_key):
            raise ValueError("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together, and one of them is empty")
        return self

    def to_environment(self) -> dict[str, str]:
        """Return the environment that gives another process the same values. Empty values are left out, so that the
        role of the other machine applies."""
        return {f"AWS_{name.upper()}": value for name, value in self.model_dump().items() if value}

    @property
    def endpoint(self) -> str:
        return self.endpoint_url_s3 or self.endpoint_url

    @property
    def bucket_region(self) -> str:
        return self.region or self.default_region or "us-east-1"
