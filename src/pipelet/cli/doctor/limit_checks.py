"""The check of the limits that new users get."""

from pipelet.cli.doctor import Finding, ok
from pipelet.cli.limit_options import user_limits_text
from pipelet.settings import Settings


def default_limits(chosen: Settings) -> Finding:
    detail = f"a new user gets {user_limits_text(chosen.default_limits)}"
    if chosen.default_limits.max_priority is None:
        detail += (
            ". Any user may ask for a priority and go before all others: if your users are strangers to each other, "
            "set PIPELET_DEFAULT_MAX_PRIORITY=0"
        )
    return ok(detail)
