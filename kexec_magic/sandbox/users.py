"""Who asks, and what they may do.

Source: kubernetes.io/docs/reference/access-authn-authz; the messages are apiserver's, as recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["ANONYMOUS", "TOKENS", "Action", "User", "authenticate"]


@dataclass(frozen=True, slots=True)
class Action:
    """What a request wants to do. `resource` includes the subresource; an empty `namespace` means all of them."""

    verb: str
    resource: str
    namespace: str = ""
    group: str = ""
    name: str = ""

    def refusal(self, user: User) -> str:
        """Say that a user may not, as the API server does."""
        subject = self.resource.split("/")[0]
        if self.group:
            subject += f".{self.group}"
        what = f'{subject} "{self.name}"' if self.name else subject
        where = f'in the namespace "{self.namespace}"' if self.namespace else "at the cluster scope"
        return (
            f'{what} is forbidden: User "{user.name}" cannot {self.verb} resource "{self.resource}"'
            f' in API group "{self.group}" {where}'
        )


@dataclass(frozen=True, slots=True)
class User:
    """A name, its groups, and a rule."""

    name: str
    groups: tuple[str, ...] = field(default=("system:authenticated",))
    may: Callable[[Action], bool] = field(default=lambda action: False)

    @property
    def is_anonymous(self) -> bool:
        return self.name == "system:anonymous"


def _anything(action: Action) -> bool:
    return True


def _exec_in_default(*verbs: str) -> Callable[[Action], bool]:
    def rule(action: Action) -> bool:
        return action.resource == "pods/exec" and action.namespace == "default" and action.verb in verbs

    return rule


_MASTERS = ("system:masters", "system:authenticated")

ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))
_ADMIN = User("admin", _MASTERS, _anything)

TOKENS = {
    "admintoken": User("tokenadmin", _MASTERS, _anything),
    "bobtoken": User("bob"),
    "execonlytoken": User("execonly", may=_exec_in_default("get", "create")),
    # Rights as they were given before 1.35 asked for `create` too.
    "getonlytoken": User("getonly", may=_exec_in_default("get")),
}


def authenticate(authorization: str | None, common_name: str | None) -> User | None:
    """Tell who sends a request.

    Args:
        authorization: The header, if there is one.
        common_name: That of the client's certificate, already verified, if there is one.

    Returns:
        The user; None if credentials were given and are not good.
    """
    if common_name is not None:
        return _ADMIN
    if authorization is None:
        return ANONYMOUS
    scheme, _, token = authorization.partition(" ")
    return TOKENS.get(token.strip()) if scheme.lower() == "bearer" else ANONYMOUS
