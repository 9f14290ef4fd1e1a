"""OpenAPI of the routes of sessions."""

from pydantic import Field

from pipelet.api.v1.description import operation
from pipelet.api.v1.limit_values import KeyLimitValues, UsedByUser, UserLimitValues
from pipelet.api.v1.schemas import Output
from pipelet.api.v1.session.handlers import NewSession


class SessionKey(Output):
    id: str
    name: str
    scopes: list[str]
    expires_at: str | None


class UsedOfLimits(Output):
    """What is used; null where nothing is limited, and so nothing counted."""

    queued_images: int | None
    running_images: int | None


class SessionInfo(Output):
    user: str
    key: SessionKey
    limits: KeyLimitValues
    used: UsedOfLimits
    user_limits: UserLimitValues
    used_by_user: UsedByUser
    version: str = Field(description="Version of the service.")


SIGN_IN = operation(
    "Sign in a browser",
    "Sets the cookie of a session, which opens `/api/v1` and nothing else. As every unsafe call by cookie, it needs "
    "`Content-Type: application/json`, `X-Pipelet: 1`, and `Sec-Fetch-Site: same-origin` or an `Origin` of this "
    "service.",
    answer="Signed in.",
    status=204,
    errors=[415, 421, 429],
    body=NewSession,
)
SHOW = operation(
    "Show who is signed in",
    "The user and the key of the session, or of the `Authorization` header.",
    answer=SessionInfo,
)
SIGN_OUT = operation(
    "Sign out",
    "Ends the session of the cookie; the key stays valid.",
    answer="Signed out.",
    status=204,
    errors=[415, 421],
)
