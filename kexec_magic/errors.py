"""Every error of kexec_magic, in one tree.

    KexecError
     |- ConfigurationError         something here must be corrected before a request can be sent
     |   |- KubeconfigError            a kubeconfig is missing, malformed or contradicts itself
     |   |   `- UnsupportedField           it says something that is understood, but not supported yet
     |   `- OptionError                an option or an argument that nobody defined, or a wrong value for one
     |- ClusterError               the cluster was asked, and did not give what was asked for
     |   |- ClusterUnreachable         no connection, no TLS, or no answer
     |   |- ApiError                   a refusal with an HTTP status
     |   |   |- Unauthorized               401: the credentials
     |   |   `- Forbidden                  403: the rights
     |   `- ProtocolError              an answer outside the rules of the exec WebSocket
     |- TargetError                the name or selector does not lead to one container to run in
     |   |- InvalidName                not a name that Kubernetes allows
     |   |- PodNotFound
     |   |- PodNotRunning              pending, completed or failed
     |   |- ContainerNotFound
     |   `- TargetAmbiguous            a selector that more or fewer than one pod matches
     |- OutputError                what a run printed is not what it was asked to be read as
     `- RunError                   a run that was not a success; carries its result
         |- CommandFailed              the exit code is proved, and is not among those that are ok
         |- CommandNotStarted          it never ran
         |- TimedOut
         `- ConnectionLost             it was running when the connection went away

    CommandInterrupted             a KeyboardInterrupt, so that nothing that catches Exception can hold it

A message says what happened, with the names involved; `hint` says what to type next. Neither ever holds a credential.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kexec_magic.execution.result import ExecResult

__all__ = [
    "ApiError",
    "ClusterError",
    "ClusterUnreachable",
    "CommandFailed",
    "CommandInterrupted",
    "CommandNotStarted",
    "ConfigurationError",
    "ConnectionLost",
    "ContainerNotFound",
    "Forbidden",
    "InvalidName",
    "KexecError",
    "KubeconfigError",
    "OptionError",
    "OutputError",
    "PodNotFound",
    "PodNotRunning",
    "ProtocolError",
    "RunError",
    "TargetAmbiguous",
    "TargetError",
    "TimedOut",
    "Unauthorized",
    "UnsupportedField",
]


class KexecError(Exception):
    """The root: a message, and a `hint` that says what to type next (None where there is nothing to advise)."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\nhint: {self.hint}"

    def _render_traceback_(self) -> list[str]:
        """Show two or three lines instead of a Python traceback; IPython looks for this name."""
        return f"{type(self).__name__}: {self}".splitlines()


class ConfigurationError(KexecError):
    """Something on this side must be corrected before a request can be sent."""


class KubeconfigError(ConfigurationError):
    """A kubeconfig is missing, malformed, or contradicts itself. `path` is the file, None where several are meant."""

    def __init__(self, message: str, *, path: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.path = path


class UnsupportedField(KubeconfigError):
    """A kubeconfig field that is understood but not supported: never ignored, since it decides who connects where."""

    def __init__(self, field: str, *, owner: str, path: str | None = None, hint: str | None = None) -> None:
        where = f" ({path})" if path else ""
        super().__init__(f"{owner} uses {field}, which kexec_magic does not support yet{where}", path=path, hint=hint)
        self.field = field


class OptionError(ConfigurationError):
    """An option or argument of a magic or of `run` that does not exist, is missing, or has a wrong value."""


class ClusterError(KexecError):
    """The cluster was asked, and did not give what was asked for."""


class ClusterUnreachable(ClusterError):
    """No connection, no TLS, or no answer from `server` (its URL, without credentials)."""

    def __init__(self, server: str, why: str, *, hint: str | None = None) -> None:
        super().__init__(f"cannot reach the API server {server}: {why}", hint=hint)
        self.server = server
        self.why = why


class ApiError(ClusterError):
    """The API server refused a request: `code` is the HTTP status, `reason` the Status reason ('' without one)."""

    def __init__(self, message: str, *, code: int, reason: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.reason = reason


class Unauthorized(ApiError):
    """HTTP 401: the API server does not accept the credentials."""


class Forbidden(ApiError):
    """HTTP 403 with a Status: the user lacks a right."""


class ProtocolError(ClusterError):
    """The server's answer is outside the rules of the exec WebSocket."""


class TargetError(KexecError):
    """The name or the selector does not lead to one container to run in."""


class InvalidName(TargetError):
    """A `kind` ('pod', 'namespace', 'container') name that Kubernetes does not allow."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(
            f"{name!r} is not a valid {kind} name",
            hint="names are lower-case letters, digits and '-' (in pods also '.'), a letter or digit at both ends",
        )
        self.kind = kind
        self.name = name


class PodNotFound(TargetError):
    """No pod of that `name` in `namespace`; `choices` are names that do exist, the most similar first."""

    def __init__(self, name: str, *, namespace: str, choices: Sequence[str] = (), hint: str | None = None) -> None:
        there = f"there are {', '.join(choices)}; " if choices else ""
        super().__init__(
            f"no pod {name!r} in namespace {namespace!r}", hint=hint or f"{there}another namespace is -n NAME"
        )
        self.name = name
        self.namespace = namespace
        self.choices = tuple(choices)


class PodNotRunning(TargetError):
    """The pod exists, but nothing can run in it: `phase` is 'Pending', 'Succeeded' or 'Failed'."""

    def __init__(self, name: str, *, phase: str, detail: str = "", hint: str | None = None) -> None:
        state = {"Succeeded": "has completed", "Failed": "has failed", "Pending": "is pending"}.get(
            phase, f"is {phase}"
        )
        super().__init__(f"pod {name!r} {state}{f': {detail}' if detail else ''}", hint=hint)
        self.name = name
        self.phase = phase
        self.detail = detail


class ContainerNotFound(TargetError):
    """The pod has no container `name`; `choices` are those that it has."""

    def __init__(self, name: str, *, pod: str, choices: Sequence[str] = ()) -> None:
        super().__init__(
            f"pod {pod!r} has no container {name!r}",
            hint=f"it has {', '.join(choices)}; pass one with -c" if choices else "leave out -c for the default one",
        )
        self.name = name
        self.pod = pod
        self.choices = tuple(choices)


class TargetAmbiguous(TargetError):
    """A selector that has to match exactly one pod; `candidates` are the names that it matches."""

    def __init__(self, selector: str, *, namespace: str, candidates: Sequence[str]) -> None:
        if candidates:
            shown = ", ".join(candidates[:8]) + (f", and {len(candidates) - 8} more" if len(candidates) > 8 else "")
            message = f"selector {selector!r} matches {len(candidates)} pods in namespace {namespace!r}: {shown}"
            hint = f"name one of them, as in `%%kexec {candidates[0]}`"
        else:
            message = f"selector {selector!r} matches no pod in namespace {namespace!r}"
            hint = f"`kubectl get pods -n {namespace} --show-labels` lists them; another namespace is -n NAME"
        super().__init__(message, hint=hint)
        self.selector = selector
        self.namespace = namespace
        self.candidates = tuple(candidates)


class OutputError(KexecError):
    """What a run printed is not what it was asked to be read as, such as JSON."""


class RunError(KexecError):
    """A run that was not a success. `result` holds all that is known, with the output up to then."""

    def __init__(self, message: str, *, result: ExecResult, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.result = result


class CommandFailed(RunError):
    """The command ended with an exit code that is not among those given as ok."""


class CommandNotStarted(RunError):
    """The command never ran: no such program, or a container that is not running. Safe to run again."""


class TimedOut(RunError):
    """The deadline passed before the command had ended."""


class ConnectionLost(RunError):
    """The connection went away before the end was proved; the command may have done all, part or nothing."""


class CommandInterrupted(KeyboardInterrupt):
    """The user interrupted the run. `result` holds the output up to then, with outcome 'interrupted'."""

    def __init__(self, message: str, *, result: ExecResult, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.result = result

    __str__ = KexecError.__str__
    _render_traceback_ = KexecError._render_traceback_
