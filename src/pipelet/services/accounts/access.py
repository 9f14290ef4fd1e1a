"""What the key of a caller allows."""

from dataclasses import dataclass

from pipelet.domain.accounts.api_keys import ApiKey
from pipelet.domain.accounts.audit import Actor
from pipelet.domain.accounts.scopes import Scope
from pipelet.domain.errors import MissingScope


@dataclass(frozen=True, slots=True)
class Caller:
    """A user and what their key allows."""

    key: ApiKey
    address: str | None = None
    """Network address of the client."""

    @property
    def actor(self) -> Actor:
        """The caller in the audit trail."""
        return Actor.of_key(self.key, self.address)

    @property
    def user(self) -> str:
        return self.key.user

    @property
    def scopes(self) -> frozenset[Scope]:
        return self.key.scopes

    def has(self, scope: Scope) -> bool:
        return scope in self.scopes

    def require(self, scope: Scope, purpose: str = "This call") -> None:
        """
        Args:
            purpose: what needs the scope, as the subject of a sentence.

        Raises:
            MissingScope: the key does not have it.
        """
        if not self.has(scope):
            raise MissingScope(
                f"{purpose} needs a key with the scope `{scope}`; this key has: {_listed(self.scopes)}. "
                "Ask the operator for a key that has it.",
                scope,
            )


def _listed(scopes: frozenset[Scope]) -> str:
    return ", ".join(f"`{scope}`" for scope in Scope if scope in scopes) or "none"
