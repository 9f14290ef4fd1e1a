"""The store of image files."""

from urllib.parse import urlsplit

from pipelet.blobs.disk import DiskBlobStore
from pipelet.domain.errors import BlobStoreError
from pipelet.domain.ports.blobs import BlobStore
from pipelet.proxies import Proxy, ProxyUnusable, proxy_for
from pipelet.settings import Settings
from pipelet.settings.aws import AwsSettings
from pipelet.wiring.data_dir import permissions_of
from pipelet.wiring.secret_files import signing_key


def open_blobs(settings: Settings) -> BlobStore:
    if settings.bucket is not None:
        return _open_s3(settings, *settings.bucket)
    permissions = permissions_of(settings)
    for path in (settings.files_folder, settings.signing_key_file.parent):
        permissions.refuse_foreign(path)
    try:
        return DiskBlobStore(
            settings.files_folder,
            signing_key=signing_key(settings.signing_key_file, permissions),
            url_ttl_seconds=settings.signed_url_ttl_seconds,
            permissions=permissions,
        )
    except OSError as error:
        raise BlobStoreError(f"The folder {settings.files_folder} is not usable: {error.strerror}.") from error


def _open_s3(settings: Settings, bucket: str, prefix: str) -> BlobStore:
    from pipelet.blobs.s3 import S3BlobStore  # files on disk do not need its library

    aws = AwsSettings()
    return S3BlobStore(
        bucket,
        prefix=prefix,
        region=aws.bucket_region,
        endpoint=aws.endpoint,
        public_endpoint=settings.s3_public_url or aws.endpoint,
        # AWS itself wants the bucket in the host name, where it fits into the certificate: a dot in it does not.
        virtual_hosted=not aws.endpoint and "." not in bucket,
        access_key_id=aws.access_key_id,
        secret_access_key=aws.secret_access_key,
        session_token=aws.session_token,
        url_ttl_seconds=settings.signed_url_ttl_seconds,
        proxy=proxy_for_bucket(aws.endpoint),
    )


def image_origins(settings: Settings) -> list[str]:
    """Return the origins that signed URLs lead to, where that is not the address of the request."""
    if settings.bucket is None:
        urls = [settings.public_url] if settings.public_url else []
    elif endpoint := settings.s3_public_url or AwsSettings().endpoint:
        urls = [endpoint]
    else:
        bucket, region = settings.bucket[0], AwsSettings().bucket_region
        urls = [f"https://s3.{region}.amazonaws.com", f"https://{bucket}.s3.{region}.amazonaws.com"]
    return [f"{parts.scheme}://{parts.netloc}" for parts in map(urlsplit, urls)]


def proxy_for_bucket(endpoint: str) -> Proxy | None:
    """Return the proxy that the environment names for the S3 server.

    Raises:
        BlobStoreError: the proxy is not usable.
    """
    try:
        return proxy_for(endpoint or "https://s3.amazonaws.com")
    except ProxyUnusable as error:
        raise BlobStoreError(str(error)) from error
