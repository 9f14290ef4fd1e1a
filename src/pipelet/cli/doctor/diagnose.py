"""What the service says about its own installation: the checks that need neither torch nor a second service."""

from pipelet.cli.doctor import checks
from pipelet.cli.doctor.run import run_checks
from pipelet.domain.database_url import name_of
from pipelet.services.queue.diagnosis import CheckResult, Diagnosis
from pipelet.settings import Settings

_CHECKS = {"python", "data directory", "disk", "database", "files", "proxies"}
_SECRETS = {"api_key"}


async def diagnose(chosen: Settings) -> Diagnosis:
    plan = [*checks.checks_of_machine(), *checks.checks_of_installation(chosen)]
    findings = await run_checks([(name, check) for name, check in plan if name in _CHECKS])
    results = [CheckResult(name, found.state, found.detail, found.fix) for name, found in findings.items()]
    return Diagnosis(results, public_settings(chosen))


def public_settings(chosen: Settings) -> dict[str, object]:
    """Return the settings as JSON, without keys and without the password of the database."""
    found = chosen.model_dump(mode="json", exclude=_SECRETS)
    if chosen.database_url is not None:
        found["database_url"] = name_of(chosen.database_url)
    return found
