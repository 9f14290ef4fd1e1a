"""Settings of HTTPS, and the files that they lead to."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo

from pipelet.settings.addresses import host_names


def _check_pair(value: Path | None, info: ValidationInfo) -> Path | None:
    if (value is None) != (info.data.get("tls_cert") is None):
        raise ValueError("must be set together with `tls_cert`")
    return value


def _check_names(value: str) -> str:
    host_names(value)
    return value


Tls = Annotated[
    bool,
    Field(
        description="Serve HTTPS, with `tls_cert` or else with a certificate that the first start makes in the data "
        "directory. Clients accept that one only if they are told to trust it."
    ),
]
TlsCert = Annotated[
    Path | None,
    Field(description="File with the certificate for HTTPS and its chain, in PEM. Needs `tls_key`, and implies `tls`."),
]
TlsKey = Annotated[
    Path | None,
    AfterValidator(_check_pair),
    Field(validate_default=True, description="File with the private key of `tls_cert`, in PEM."),
]
TlsName = Annotated[
    str,
    AfterValidator(_check_names),
    Field(
        description="Further host names and addresses for the certificate that is made, such as "
        "`gpu.lan,192.168.1.20`. It always has this machine's name, `localhost`, 127.0.0.1 and ::1."
    ),
]


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Paths of the files of HTTPS."""

    certificate: Path
    key: Path
    is_own: bool
    """Whether Pipelet makes them."""

    @property
    def ca_bundle(self) -> Path:
        """The certificates that this machine trusts, and the one that Pipelet has made."""
        return self.certificate.with_name("ca-bundle.pem")
