"""Kubeconfig files: which ones are read, how they are merged, and what the chosen context comes to.

Source: client-go tools/clientcmd (loader.go, client_config.go, validation.go, merged_client_builder.go).
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import yaml

from kexec_magic.cluster.access import Access
from kexec_magic.cluster.entries import Entry, build_access
from kexec_magic.cluster.service_account import in_cluster_access
from kexec_magic.errors import KubeconfigError

__all__ = ["ContextInfo", "Kubeconfig", "list_contexts", "load_access", "load_kubeconfig"]

# The C loader reads a kubeconfig with a dozen certificates in a millisecond, the Python one in thirty.
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]  # which of the two it is shows only when it is imported
    """Reads `namespace: 2024-01-01` as text, as kubectl does: no field of a kubeconfig is a date."""

    yaml_implicit_resolvers: ClassVar = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in _Base.yaml_implicit_resolvers.items()
    }


_KINDS = {"clusters": "cluster", "users": "user", "contexts": "context"}


@dataclass(frozen=True, slots=True)
class ContextInfo:
    """A context by its names; `namespace` is '' where the entry names none."""

    name: str
    cluster: str
    user: str
    namespace: str
    is_current: bool


@dataclass(slots=True)
class Kubeconfig:
    """Several files merged into one: the first that defines a name wins, with its whole entry."""

    current_context: str = ""
    contexts: dict[str, Entry] = field(default_factory=dict)
    clusters: dict[str, Entry] = field(default_factory=dict)
    users: dict[str, Entry] = field(default_factory=dict)
    sources: list[Path] = field(default_factory=list)

    def entries(self, section: str) -> dict[str, Entry]:
        """Give the entries of 'clusters', 'users' or 'contexts' by name."""
        found: dict[str, Entry] = getattr(self, section)
        return found

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing that could lead to a server; then a pod's service account is looked for."""
        return not (self.current_context or self.contexts or self.clusters or self.users)


def load_access(
    context: str | None = None,
    kubeconfig: str | os.PathLike[str] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
) -> Access:
    """Find the cluster and the credentials that a context means.

    Args:
        context: None for the current one.
        kubeconfig: A file that has to exist; None for $KUBECONFIG, then ~/.kube/config, then the service account of
            the pod that this runs in.
        environ: The environment to read, None for this process's.

    Raises:
        KubeconfigError: If nothing usable is found, naming the file and what is wrong in it.
    """
    environ = os.environ if environ is None else environ
    config = load_kubeconfig(kubeconfig, environ=environ)
    if config.is_empty and kubeconfig is None and context is None:
        found = in_cluster_access(environ)
        if found is not None:
            return found
    return _choose(config, context, searched=_describe_search(kubeconfig, environ))


def list_contexts(
    kubeconfig: str | os.PathLike[str] | None = None, *, environ: Mapping[str, str] | None = None
) -> list[ContextInfo]:
    """Give the contexts of the merged kubeconfig, in the order in which the files name them.

    Raises:
        KubeconfigError: If a file is missing that was named, or is malformed.
    """
    config = load_kubeconfig(kubeconfig, environ=os.environ if environ is None else environ)
    return [
        ContextInfo(
            name=name,
            cluster=entry.text("cluster"),
            user=entry.text("user"),
            namespace=entry.text("namespace"),
            is_current=name == config.current_context,
        )
        for name, entry in config.contexts.items()
    ]


def load_kubeconfig(kubeconfig: str | os.PathLike[str] | None, *, environ: Mapping[str, str]) -> Kubeconfig:
    """Read and merge the files that kubectl would read.

    Raises:
        KubeconfigError: If a file is missing that was named, or is malformed.
    """
    merged = Kubeconfig()
    if kubeconfig is not None:
        path = Path(kubeconfig)
        if not _exists(path):
            raise KubeconfigError(
                f"there is no kubeconfig {path}",
                path=str(path),
                hint="check --kubeconfig, or leave it out for the default",
            )
        paths = [path]
    else:
        paths = [path for path in _default_paths(environ) if _exists(path)]
    for path in paths:
        _merge(merged, path)
    return merged


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        # A name that is too long, or a folder that may not be searched.
        raise KubeconfigError(
            f"the kubeconfig {str(path)[:200]} cannot be looked for: {error.strerror}",
            path=str(path),
            hint="check KUBECONFIG, and the permissions of the folder",
        ) from error


def _default_paths(environ: Mapping[str, str]) -> list[Path]:
    listed = environ.get("KUBECONFIG", "")
    if listed:
        return [Path(name) for name in dict.fromkeys(listed.split(os.pathsep)) if name]
    home = environ.get("HOME") or str(Path.home())
    return [Path(home, ".kube", "config")]


def _describe_search(kubeconfig: str | os.PathLike[str] | None, environ: Mapping[str, str]) -> str:
    if kubeconfig is not None:
        return str(kubeconfig)
    return os.pathsep.join(str(path) for path in _default_paths(environ))


def _merge(merged: Kubeconfig, path: Path) -> None:
    document = _read(path)
    merged.sources.append(path)
    current = document.get("current-context")
    if current is not None and not isinstance(current, str):
        raise KubeconfigError(
            f"{path}: current-context is not text", path=str(path), hint="it is the name of a context"
        )
    merged.current_context = merged.current_context or current or ""
    for section, inner in _KINDS.items():
        known = merged.entries(section)
        for name, fields in _named(document.get(section), section, inner, path).items():
            known.setdefault(name, Entry(inner, name, fields, path))


def _read(path: Path) -> dict[str, Any]:
    try:
        document = yaml.load(path.read_bytes(), Loader=_Loader)
    except OSError as error:
        raise KubeconfigError(
            f"the kubeconfig {path} cannot be read: {error.strerror}", path=str(path), hint="check its permissions"
        ) from error
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        # Not the whole error: it quotes the lines around, and those can hold a token. A tag can be one itself: !secret.
        what = (None if isinstance(error, yaml.constructor.ConstructorError) else getattr(error, "problem", None)) or (
            "it holds what no kubeconfig has, such as a tag: values that begin with ! need quotes"
        )
        raise KubeconfigError(
            f"the kubeconfig {path}{where} is malformed: {what}",
            path=str(path),
            hint=f"`kubectl config view --kubeconfig {path}` says the same when it is mended or not",
        ) from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise KubeconfigError(
            f"the kubeconfig {path} is malformed: it is no mapping of clusters, users and contexts",
            path=str(path),
            hint="it has to begin like the output of `kubectl config view`",
        )
    return document


def _named(listed: object, section: str, inner: str, path: Path) -> dict[str, dict[str, Any]]:
    if listed is None:
        return {}
    hint = f"each of them is like `- name: NAME` with `{inner}: {{...}}`"
    if not isinstance(listed, list):
        raise KubeconfigError(f"{path}: {section} is not a list", path=str(path), hint=hint)
    found: dict[str, dict[str, Any]] = {}
    for item in listed:
        name = item.get("name") if isinstance(item, dict) else None
        fields = (item.get(inner) or {}) if isinstance(item, dict) else None
        if not isinstance(name, str) or not isinstance(fields, dict):
            raise KubeconfigError(
                f"{path}: an entry of {section} has no name, or no mapping in it", path=str(path), hint=hint
            )
        if name in found:
            raise KubeconfigError(
                f"{path}: {section} names {name!r} twice",
                path=str(path),
                hint="kubectl refuses that too; remove one of them",
            )
        found[name] = fields
    return found


def _choose(config: Kubeconfig, context: str | None, *, searched: str) -> Access:
    if config.is_empty:
        raise KubeconfigError(
            f"there is no kubeconfig to use: looked at {searched}",
            hint="pass --kubeconfig FILE or set KUBECONFIG; without a cluster, `%ksandbox` starts one to try things on",
        )
    name = context or config.current_context
    if not name:
        raise KubeconfigError(
            f"no context is chosen: {searched} has no current-context",
            hint=f"pass --context; there are {_listed(config.contexts)}",
        )
    found = _lookup(config, "contexts", name, asked_by="--context" if context else "current-context")
    cluster = _lookup(config, "clusters", found.text("cluster"), asked_by=f"context {name!r}")
    user_name = found.text("user")
    user = _lookup(config, "users", user_name, asked_by=f"context {name!r}") if user_name else None
    return build_access(
        context=name,
        namespace=found.text("namespace") or "default",
        cluster=cluster,
        user=user,
        sources=tuple(str(path) for path in config.sources),
    )


def _lookup(config: Kubeconfig, section: str, name: str, *, asked_by: str) -> Entry:
    known = config.entries(section)
    if name in known:
        return known[name]
    kind = _KINDS[section]
    close = difflib.get_close_matches(name, known, n=1)
    raise KubeconfigError(
        f"there is no {kind} {name!r} in the kubeconfig, which {asked_by} asks for",
        hint=(f"did you mean {close[0]!r}? " if close else "") + f"there are {_listed(known)}",
    )


def _listed(names: Mapping[str, object]) -> str:
    shown = [repr(name) for name in list(names)[:8]]
    return (", ".join(shown) + (", ..." if len(names) > 8 else "")) or "none"
