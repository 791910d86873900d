"""The REST side: discovery, objects, selectors, pages, rights, and the few changes."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from kexec_magic.sandbox import Sandbox
from tests.sandbox import plain
from tests.sandbox.plain import V5, Access

PODS = "/api/v1/namespaces/default/pods"


def names(access: Access, path: str = PODS, **query: str) -> list[str]:
    response = plain.get(access, f"{path}?{urlencode(query)}")
    assert response.status == 200, response.body
    return [one["metadata"]["name"] for one in response.json()["items"]]


def change(access: Access, method: str, path: str, body: Any = None, **options: Any) -> plain.Response:
    content = json.dumps(body).encode() if body is not None else b""
    with plain.request(access, path, method=method, body=content, **options) as connection:
        return connection.response


def test_the_pods_are_those_of_the_test_cluster_and_a_second_namespace(access: Access) -> None:
    expected = ["done", "example", "multi", "noshell", "pending", "tools", "web-1", "web-2", "web-3", "web-4"]
    assert names(access) == expected
    assert names(access, "/api/v1/namespaces/shop/pods") == ["api-0", "api-1", "db-0"]
    assert names(access, "/api/v1/pods") == [*expected, "api-0", "api-1", "db-0"]
    assert names(access, "/api/v1/namespaces/nowhere/pods") == []


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("app=web", ["web-1", "web-2", "web-3", "web-4"]),
        ("app==example", ["example"]),
        ("app!=web,app!=example", ["done", "multi", "noshell", "pending", "tools"]),
        ("app in (tools, multi)", ["multi", "tools"]),
        ("app in (tools),app notin (multi)", ["tools"]),
        ("app notin (web, example, done)", ["multi", "noshell", "pending", "tools"]),
        ("app , app = tools", ["tools"]),
        ("!app", []),
        ("nothing", []),
        ("!nothing,app=done", ["done"]),
        ("app=", []),
        ("in=x", []),
        ("number > 3", []),
    ],
)
def test_label_selectors_follow_the_grammar(access: Access, selector: str, found: list[str]) -> None:
    assert names(access, labelSelector=selector) == found


def test_labels_with_prefixes_are_selected(access: Access) -> None:
    selector = "statefulset.kubernetes.io/pod-name in (api-1),tier"
    assert names(access, "/api/v1/pods", labelSelector=selector) == ["api-1"]


@pytest.mark.parametrize("selector", ["a b c", "app=(x)", "=x", "app in web", "app in (web", "-x", "a,,b", "app=x y"])
def test_a_selector_that_is_none_is_a_bad_request(access: Access, selector: str) -> None:
    response = plain.get(access, f"{PODS}?{urlencode({'labelSelector': selector})}")
    assert (response.status, response.json()["reason"]) == (400, "BadRequest")


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("metadata.name=web-2", ["web-2"]),
        ("status.phase!=Running", ["done", "pending"]),
        ("status.phase==Pending", ["pending"]),
        ("spec.nodeName=localhost,status.phase=Succeeded", ["done"]),
        ("metadata.namespace=shop", []),
        ("spec.nodeName=", ["pending"]),
    ],
)
def test_field_selectors_select(access: Access, selector: str, found: list[str]) -> None:
    assert names(access, fieldSelector=selector) == found


def test_a_field_without_an_index_is_a_bad_request(access: Access) -> None:
    response = plain.get(access, f"{PODS}?fieldSelector=spec.color%3Dred")
    assert (response.status, response.json()["message"]) == (400, "field label not supported: spec.color")


def test_pages_together_are_the_list(access: Access) -> None:
    found, token, remaining = [], "", [7, 4, 1, None]
    for left in remaining:
        page = plain.get(access, f"{PODS}?{urlencode({'limit': '3', 'continue': token})}").json()
        found += [one["metadata"]["name"] for one in page["items"]]
        assert page["metadata"].get("remainingItemCount") == left
        token = page["metadata"].get("continue", "")
    assert (found, token) == (names(access), "")


def test_a_token_that_is_none_is_a_bad_request(access: Access) -> None:
    response = plain.get(access, f"{PODS}?limit=1&continue=bad")
    assert response.status == 400
    assert response.json()["message"].startswith("invalid continue token: continue key is not valid")


def test_a_token_of_another_server_has_expired(access: Access, old_access: Access) -> None:
    token = plain.get(old_access, f"{PODS}?limit=1").json()["metadata"]["continue"]
    response = plain.get(access, f"{PODS}?limit=1&continue={token}")
    assert (response.status, response.json()["reason"]) == (410, "Expired")


def test_a_pod_says_what_a_real_one_says(access: Access) -> None:
    pod = plain.get(access, f"{PODS}/web-1").json()
    assert pod["spec"]["nodeName"] == "localhost"
    assert pod["metadata"]["labels"] == {"app": "web"}
    assert [owner["kind"] for owner in pod["metadata"]["ownerReferences"]] == ["ReplicaSet"]
    assert {one["type"]: one["status"] for one in pod["status"]["conditions"]}["Ready"] == "True"
    (container,) = pod["status"]["containerStatuses"]
    assert (container["ready"], container["restartCount"]) == (True, 0)
    assert container["containerID"].startswith("containerd://")
    assert pod == plain.get(access, f"{PODS}/web-1").json()


def test_the_workloads_own_and_select_their_pods(access: Access) -> None:
    deployment = plain.get(access, "/apis/apps/v1/namespaces/default/deployments/web").json()
    (replica_set,) = plain.get(access, "/apis/apps/v1/namespaces/default/replicasets").json()["items"]
    assert replica_set["metadata"]["ownerReferences"][0]["uid"] == deployment["metadata"]["uid"]
    pod = plain.get(access, f"{PODS}/web-1").json()
    assert pod["metadata"]["ownerReferences"][0]["uid"] == replica_set["metadata"]["uid"]
    assert deployment["spec"]["selector"]["matchLabels"] == {"app": "web"}
    assert deployment["status"]["readyReplicas"] == 4
    service = plain.get(access, "/api/v1/namespaces/default/services/web").json()
    assert service["spec"]["selector"] == {"app": "web"}
    assert names(access, "/apis/apps/v1/namespaces/shop/statefulsets") == ["api"]
    assert names(access, "/apis/batch/v1/jobs") == []


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (f"{PODS}/nope", 'pods "nope" not found'),
        ("/api/v1/namespaces/nope", 'namespaces "nope" not found'),
        ("/apis/apps/v1/namespaces/default/deployments/nope", 'deployments.apps "nope" not found'),
        ("/api/v1/secrets", "the server could not find the requested resource"),
        ("/apis/nope/v1", "the server could not find the requested resource"),
        (f"{PODS}/example/nope", "the server could not find the requested resource"),
        ("/", "the server could not find the requested resource"),
    ],
)
def test_what_is_not_there_is_not_found(access: Access, path: str, message: str) -> None:
    response = plain.get(access, path)
    assert (response.status, response.json()["reason"], response.json()["message"]) == (404, "NotFound", message)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (PODS, 'pods is forbidden: User "bob" cannot list resource "pods" in API group "" in the namespace "default"'),
        (
            "/api/v1/pods",
            'pods is forbidden: User "bob" cannot list resource "pods" in API group "" at the cluster scope',
        ),
        (
            "/apis/apps/v1/namespaces/default/deployments/web",
            'deployments.apps "web" is forbidden: User "bob" cannot get resource "deployments"'
            ' in API group "apps" in the namespace "default"',
        ),
        (
            "/api/v1/namespaces/default",
            'namespaces "default" is forbidden: User "bob" cannot get resource "namespaces" in API group ""'
            ' in the namespace "default"',
        ),
    ],
)
def test_a_user_without_rights_reads_nothing(access: Access, path: str, message: str) -> None:
    response = plain.get(access, path, token="bobtoken")
    assert (response.status, response.json()["message"]) == (403, message)


def test_without_credentials_only_the_version_is_told(access: Access) -> None:
    assert plain.get(access, "/version", certificate=False).status == 200
    assert plain.get(access, "/api", certificate=False).status == 403
    assert 'User "system:anonymous"' in plain.get(access, PODS, certificate=False).json()["message"]


@pytest.mark.parametrize("token", ["wrong", "admintoken "])
def test_tokens_are_compared_whole(access: Access, token: str) -> None:
    assert plain.get(access, PODS, token=token).status == (401 if token == "wrong" else 200)


@pytest.mark.parametrize(
    ("token", "verb", "allowed"),
    [
        ("execonlytoken", "create", True),
        ("getonlytoken", "create", False),
        ("getonlytoken", "get", True),
        ("bobtoken", "get", False),
    ],
)
def test_access_reviews_tell_what_one_may_do(access: Access, token: str, verb: str, allowed: bool) -> None:
    wanted = {"namespace": "default", "verb": verb, "resource": "pods", "subresource": "exec"}
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    review = {"kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": wanted}}
    response = change(access, "POST", path, review, token=token)
    assert (response.status, response.json()["status"]["allowed"]) == (201, allowed)


@pytest.mark.parametrize("body", [b"", b"[]", b"k8s\0\xff", b"k8s\0\x0d\x01"])
def test_a_review_that_is_none_is_a_bad_request(access: Access, body: bytes) -> None:
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    with plain.request(access, path, method="POST", body=body) as connection:
        assert connection.response.status == 400


def test_rights_to_exec_alone_are_enough_and_only_in_their_namespace(access: Access) -> None:
    for namespace, pod, status in (("default", "example", 101), ("shop", "db-0", 403)):
        path = plain.exec_path(pod, "true", namespace=namespace)
        with plain.upgrade(access, path, [V5], token="execonlytoken") as connection:
            assert connection.response.status == status


def test_a_log_has_lines(access: Access) -> None:
    whole = plain.get(access, f"{PODS}/example/log").body.splitlines()
    assert plain.get(access, f"{PODS}/example/log?tailLines=1").body.splitlines() == whole[-1:]
    assert plain.get(access, f"{PODS}/example/log?container=nope").status == 400
    assert plain.get(access, f"{PODS}/nope/log").status == 404


def _pod(name: str) -> dict[str, Any]:
    spec = {"containers": [{"name": "main", "image": "docker.io/library/busybox:local"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"made": "here"}}, "spec": spec}


def test_a_created_pod_runs_and_deleting_it_kills_its_commands(access: Access) -> None:
    assert change(access, "POST", PODS, _pod("victim")).status == 201
    assert change(access, "POST", PODS, _pod("victim")).json()["reason"] == "AlreadyExists"
    assert names(access, labelSelector="made=here") == ["victim"]
    with plain.upgrade(access, plain.exec_path("victim", "sh", "-c", "echo in; sleep 1000"), [V5]) as connection:
        connection.until(1, b"in\n")
        assert change(access, "DELETE", f"{PODS}/victim").status == 200
        assert connection.drain().exit_code == 137
    assert change(access, "DELETE", f"{PODS}/victim").status == 404
    assert "victim" not in names(access)


@pytest.mark.parametrize(
    "body", [{}, [], {"metadata": {"name": "UPPER"}}, _pod("../x"), {"metadata": {"name": "x"}, "spec": {}}]
)
def test_what_is_no_pod_is_not_created(access: Access, body: Any) -> None:
    assert change(access, "POST", PODS, body).status == 422


def test_nothing_else_can_be_changed(access: Access) -> None:
    assert change(access, "DELETE", "/api/v1/namespaces/default").status == 405
    assert change(access, "PATCH", f"{PODS}/example", {}).status == 405
    assert change(access, "DELETE", f"{PODS}/example", token="bobtoken").status == 403


def test_a_container_that_restarts_kills_its_commands_and_forgets_its_files(sandbox: Sandbox, access: Access) -> None:
    with plain.upgrade(
        access, plain.exec_path("web-4", "sh", "-c", "touch /data/x; echo in; cat", stdin="1"), [V5]
    ) as c:
        c.until(1, b"in\n")
        sandbox.restart_container("web-4")
        assert c.drain().exit_code == 137
    assert plain.run(access, "web-4", "ls", "/data").stdout == b""
    assert plain.get(access, f"{PODS}/web-4").json()["status"]["containerStatuses"][0]["restartCount"] == 1


def test_only_a_running_container_restarts(sandbox: Sandbox) -> None:
    for pod in ("nope", "pending", "done"):
        with pytest.raises(LookupError, match=pod):
            sandbox.restart_container(pod)
