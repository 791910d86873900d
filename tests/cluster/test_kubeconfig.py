"""Kubeconfigs: which are read, how they are merged (checked against kubectl), and what is refused by name."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kexec_magic.cluster.access import Access
from kexec_magic.cluster.credentials import Credentials, Secret
from kexec_magic.cluster.kubeconfig import list_contexts, load_access, load_kubeconfig
from kexec_magic.errors import KubeconfigError, UnsupportedField

KUBECTL = shutil.which("kubectl", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))

_AUTHORITY = trustme.CA()
CA = _AUTHORITY.cert_pem.bytes().decode()
_LEAF = _AUTHORITY.issue_cert("admin")
CERTIFICATE = _LEAF.cert_chain_pems[0].bytes().decode()
KEY = _LEAF.private_key_pem.bytes().decode()


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def config(
    *,
    cluster: dict[str, Any] | None = None,
    user: dict[str, Any] | None = None,
    context: dict[str, Any] | None = None,
    **top: Any,
) -> dict[str, Any]:
    """One cluster, user and context, each named 'it'."""
    return {
        "clusters": [{"name": "it", "cluster": {"server": "https://it:6443", **(cluster or {})}}],
        "users": [{"name": "it", "user": user or {}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it", **(context or {})}}],
        "current-context": "it",
        **top,
    }


def access_of(folder: Path, document: dict[str, Any], context: str | None = None) -> Access:
    return load_access(context, written(folder, "config", document), environ={})


def written(folder: Path, name: str, document: object) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    return path


def test_a_context_gives_its_server_namespace_and_sources(tmp_path: Path) -> None:
    found = access_of(tmp_path, config(context={"namespace": "shop"}))
    assert (found.context, found.cluster, found.namespace, found.server) == ("it", "it", "shop", "https://it:6443")
    assert found.sources == (str(tmp_path / "config"),)


def test_without_a_namespace_it_is_default(tmp_path: Path) -> None:
    assert access_of(tmp_path, config()).namespace == "default"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("https://a:1/", "https://a:1"),
        ("https://a/k8s/clusters/c-1/", "https://a/k8s/clusters/c-1"),
        ("https://a:1/?x=1#y", "https://a:1"),
        ("https://[::1]:6443", "https://[::1]:6443"),
        ("http://a:8080", "http://a:8080"),
        ("a:8080", "http://a:8080"),
    ],
)
def test_a_servers_url_keeps_its_path_and_drops_the_rest(tmp_path: Path, given: str, expected: str) -> None:
    assert access_of(tmp_path, config(cluster={"server": given})).server == expected


@pytest.mark.parametrize("server", ["", "ftp://a", "https://", "https://a:port", "https://user:secret@a"])
def test_a_server_that_is_none_is_refused_without_showing_a_password(tmp_path: Path, server: str) -> None:
    with pytest.raises(KubeconfigError, match="server") as caught:
        access_of(tmp_path, config(cluster={"server": server}))
    assert "secret" not in str(caught.value)


def test_files_and_inline_data_give_the_same(tmp_path: Path) -> None:
    for name, text in (("ca.pem", CA), ("cert.pem", CERTIFICATE), ("key.pem", KEY)):
        written(tmp_path, f"pki/{name}", text)
    by_file = access_of(
        tmp_path,
        config(
            cluster={"certificate-authority": "pki/ca.pem"},
            user={"client-certificate": "pki/cert.pem", "client-key": str(tmp_path / "pki/key.pem")},
        ),
    )
    inline = access_of(
        tmp_path,
        config(
            cluster={"certificate-authority-data": encoded(CA)},
            user={"client-certificate-data": encoded(CERTIFICATE), "client-key-data": encoded(KEY)},
        ),
    )
    assert by_file.tls.ca == inline.tls.ca == CA
    assert by_file.credentials == inline.credentials
    assert inline.credentials.client_key == Secret(KEY)


def test_inline_data_wins_over_a_file(tmp_path: Path) -> None:
    found = access_of(
        tmp_path, config(cluster={"certificate-authority": "nowhere", "certificate-authority-data": encoded(CA)})
    )
    assert found.tls.ca == CA


def test_a_relative_path_begins_at_its_own_file_and_not_at_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = written(tmp_path, "one/config", config(cluster={"certificate-authority": "ca.pem"}))
    written(tmp_path, "one/ca.pem", CA)
    written(tmp_path, "ca.pem", "the wrong one")
    monkeypatch.chdir(tmp_path)
    assert load_access(None, Path("one/config"), environ={}).tls.ca == CA
    assert load_access(None, first, environ={}).tls.ca == CA


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ({"token": "t"}, Credentials(token=Secret("t"))),
        ({"username": "u", "password": "p"}, Credentials(username="u", password=Secret("p"))),
        ({}, Credentials()),
        ({"token": "t", "exec": {"command": "x"}}, Credentials(token=Secret("t"))),
    ],
)
def test_credentials_are_read(tmp_path: Path, user: dict[str, Any], expected: Credentials) -> None:
    assert access_of(tmp_path, config(user=user)).credentials == expected


def test_a_server_without_tls_gets_no_credentials(tmp_path: Path) -> None:
    found = access_of(tmp_path, config(cluster={"server": "http://it:8080"}, user={"token": "t"}))
    assert found.credentials == Credentials()


def test_a_relative_token_file_begins_at_its_own_file(tmp_path: Path) -> None:
    found = access_of(tmp_path / "folder", config(user={"tokenFile": "sub/token"}))
    assert found.credentials.token_file == tmp_path / "folder" / "sub" / "token"


def test_tls_settings_are_read(tmp_path: Path) -> None:
    insecure = access_of(tmp_path, config(cluster={"insecure-skip-tls-verify": True}))
    named = access_of(tmp_path, config(cluster={"tls-server-name": "kubernetes"}))
    assert (insecure.tls.verify, named.tls.verify, named.tls.server_name) == (False, True, "kubernetes")


@pytest.mark.parametrize(
    ("part", "field"),
    [
        ({"user": {"exec": {"command": "aws"}}}, "exec"),
        ({"user": {"auth-provider": {"name": "gcp"}}}, "auth-provider"),
        ({"cluster": {"proxy-url": "http://proxy:3128"}}, "proxy-url"),
        ({"user": {"token": "t", "as": "someone"}}, "as"),
        ({"user": {"token": "t", "as-groups": ["g"]}}, "as-groups"),
        ({"user": {"token": "t", "as-uid": "1"}}, "as-uid"),
        ({"user": {"token": "t", "as-user-extra": {"k": ["v"]}}}, "as-user-extra"),
    ],
)
def test_what_is_not_supported_is_refused_by_its_name(tmp_path: Path, part: dict[str, Any], field: str) -> None:
    with pytest.raises(UnsupportedField) as caught:
        access_of(tmp_path, config(**part))
    assert caught.value.field == field
    assert field in caught.value.message


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"cluster": {"certificate-authority-data": encoded(CA), "insecure-skip-tls-verify": True}}, "insecure"),
        ({"user": {"token": "t", "username": "u"}}, "token"),
        ({"user": {"client-certificate-data": encoded(CERTIFICATE)}}, "client-key"),
        ({"user": {"client-key-data": encoded(KEY)}}, "client-certificate"),
        ({"user": {"exec": {"command": "x"}, "auth-provider": {"name": "gcp"}}}, "auth-provider"),
        ({"user": {"client-certificate": "nowhere.pem", "client-key": "nowhere.key"}}, "nowhere.pem"),
        ({"cluster": {"certificate-authority-data": "***"}}, "certificate-authority-data"),
        ({"user": {"token": 3}}, "token is not text"),
        ({"cluster": {"insecure-skip-tls-verify": "yes"}}, "neither true nor false"),
        ({"context": {"cluster": "nosuch"}}, "no cluster 'nosuch'"),
        ({"context": {"user": "nosuch"}}, "no user 'nosuch'"),
        ({"current-context": ""}, "no context is chosen"),
        ({"current-context": "nosuch"}, "no context 'nosuch'"),
        ({"current-context": 3}, "current-context"),
        ({"users": [{"name": "it", "user": {}}, {"name": "it", "user": {}}]}, "twice"),
        ({"users": [{"user": {}}]}, "no name"),
        ({"users": {"it": {}}}, "not a list"),
    ],
)
def test_a_contradiction_or_a_gap_is_refused_with_the_names_involved(
    tmp_path: Path, part: dict[str, Any], words: str
) -> None:
    with pytest.raises(KubeconfigError, match=words) as caught:
        access_of(tmp_path, config(**part))
    assert caught.value.hint


def test_a_malformed_file_is_told_with_its_line_and_without_its_content(tmp_path: Path) -> None:
    path = written(tmp_path, "config", "users:\n- name: x\n  user: {token: s3cr3t\n")
    with pytest.raises(KubeconfigError, match="line") as caught:
        load_access(None, path, environ={})
    assert "s3cr3t" not in str(caught.value)


def test_a_wrong_context_gives_the_closest_one(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError) as caught:
        access_of(tmp_path, config(), context="itt")
    assert "did you mean 'it'?" in str(caught.value)


def test_no_kubeconfig_at_all_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError) as caught:
        load_access(environ={"HOME": str(tmp_path)})
    assert str(tmp_path / ".kube" / "config") in str(caught.value)


def test_the_home_folders_file_is_the_default(tmp_path: Path) -> None:
    written(tmp_path, ".kube/config", config())
    assert load_access(environ={"HOME": str(tmp_path)}).context == "it"


def test_missing_and_empty_names_in_the_list_are_skipped(tmp_path: Path) -> None:
    path = written(tmp_path, "config", config())
    listed = os.pathsep.join(["", str(tmp_path / "nowhere"), str(path), "", str(path)])
    found = load_access(environ={"KUBECONFIG": listed, "HOME": "/nowhere"})
    assert found.sources == (str(path),)


def test_the_list_of_contexts_tells_the_current_one(tmp_path: Path) -> None:
    path = written(tmp_path, "config", config(context={"namespace": "shop"}))
    (found,) = list_contexts(path, environ={})
    assert (found.name, found.cluster, found.namespace, found.is_current) == ("it", "it", "shop", True)


def test_nothing_that_is_loaded_shows_a_credential(tmp_path: Path) -> None:
    document = config(
        user={
            "username": "u",
            "password": "p4ssw0rd",
            "client-key-data": encoded(KEY),
            "client-certificate-data": encoded(CERTIFICATE),
        }
    )
    path = written(tmp_path, "config", document)
    shown = repr(load_access(None, path, environ={})) + repr(load_kubeconfig(path, environ={}))
    assert "p4ssw0rd" not in shown
    assert "PRIVATE KEY" not in shown
    assert encoded(KEY) not in shown


# Against kubectl itself ---------------------------------------------------------------------------------------------

_names = st.sampled_from(["a", "b", "c"])
_cluster = st.fixed_dictionaries(
    {"server": st.sampled_from(["https://one:6443", "https://two/prefix", "http://three"])},
    optional={"tls-server-name": st.sampled_from(["kubernetes", "other"])},
)
# kubectl refuses a file and inline data together; which of them wins here has a test of its own.
_authority = st.sampled_from(
    [
        {},
        {"certificate-authority": "ca.pem"},
        {"certificate-authority": "sub/ca.pem"},
        {"certificate-authority-data": encoded(CA)},
    ]
)
_trusted_cluster = st.builds(lambda cluster, authority: {**cluster, **authority}, _cluster, _authority)
_user = st.fixed_dictionaries(
    {}, optional={"token": st.sampled_from(["t1", "t2"]), "tokenFile": st.sampled_from(["token", "sub/token"])}
)
_context = st.fixed_dictionaries({"cluster": _names, "user": _names}, optional={"namespace": _names})


def _section(kind: str, inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.dictionaries(_names, inner, max_size=3).map(
        lambda found: [{"name": name, kind: fields} for name, fields in found.items()]
    )


_document = st.fixed_dictionaries(
    {},
    optional={
        "current-context": st.sampled_from(["", "a", "b"]),
        "clusters": _section("cluster", _trusted_cluster),
        "users": _section("user", _user),
        "contexts": _section("context", _context),
    },
)


@settings(max_examples=40)
@given(st.lists(_document, min_size=1, max_size=3))
def test_several_files_are_merged_as_kubectl_merges_them(documents: list[dict[str, Any]]) -> None:
    assert KUBECTL
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = []
        for number, document in enumerate(documents):
            paths.append(written(folder, f"{number}/config", {"apiVersion": "v1", "kind": "Config", **document}))
            for path, text in (("ca.pem", CA), ("sub/ca.pem", CA), ("token", "from-file"), ("sub/token", "deeper")):
                written(folder, f"{number}/{path}", text)
        environ = {"KUBECONFIG": os.pathsep.join(map(str, paths)), "HOME": name, "PATH": os.environ["PATH"]}
        done = subprocess.run(
            [KUBECTL, "config", "view", "--flatten", "--merge", "--raw", "-o", "json"],
            env=environ, capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        theirs = json.loads(done.stdout)
        ours = load_kubeconfig(None, environ=environ)

        assert ours.current_context == theirs["current-context"]
        for section, kind in (("clusters", "cluster"), ("users", "user"), ("contexts", "context")):
            expected = {entry["name"]: entry[kind] for entry in theirs[section] or []}
            assert set(ours.entries(section)) == set(expected)
            for entry in ours.entries(section).values():
                _compare(entry, expected[entry.name])


def _compare(entry: Any, expected: dict[str, Any]) -> None:
    """Compare one entry with kubectl's, in which files are flattened into data; a tokenFile it leaves as it is."""
    for field in ("server", "tls-server-name", "token", "tokenFile", "cluster", "user", "namespace"):
        assert entry.text(field) == expected.get(field, "")
    authority = expected.get("certificate-authority-data")
    assert entry.pem("certificate-authority") == (base64.b64decode(authority).decode() if authority else None)
