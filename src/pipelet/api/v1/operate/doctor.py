"""The checks of the installation."""

from typing import Any

from fastapi import Request
from fastapi.responses import Response
from pydantic import Field

from pipelet.api.errors import json_response
from pipelet.api.v1.dependencies import get_services
from pipelet.api.v1.description import operation
from pipelet.api.v1.schemas import Output
from pipelet.domain.errors import NotPossible
from pipelet.services.accounts.access import Caller


class CheckBody(Output):
    name: str
    state: str = Field(description="`ok`, `warn` or `fail`.")
    detail: str
    fix: str


class DoctorBody(Output):
    ok: bool
    version: str
    checks: list[CheckBody]
    settings: dict[str, Any] = Field(description="Without secrets.")


DOCTOR = operation(
    "Check the installation",
    "The checks of `pipelet doctor` that concern this process, and its settings. It takes up to seven seconds.",
    answer=DoctorBody,
    errors=[409],
)


async def show_doctor(request: Request, _: Caller) -> Response:
    diagnose = get_services(request).diagnose
    if diagnose is None:
        raise NotPossible("This process has no installation to check. Run `pipelet doctor` on its machine.")
    found = await diagnose()
    checks = [{"name": c.name, "state": c.state, "detail": c.detail, "fix": c.fix} for c in found.checks]
    is_ok = all(check.state != "fail" for check in found.checks)
    body = {"ok": is_ok, "version": request.app.version, "checks": checks, "settings": dict(found.settings)}
    return json_response(200, body)
