"""What goes wrong before anything runs: each gives two or three lines that say what happened and what to type next."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kexec_magic import (
    Cluster,
    ClusterUnreachable,
    CommandNotStarted,
    ContainerNotFound,
    Forbidden,
    InvalidName,
    KexecError,
    KubeconfigError,
    OptionError,
    Outcome,
    PodNotFound,
    Unauthorized,
    run,
)
from tests.conftest import Place

pytestmark = pytest.mark.cluster


def short(error: KexecError) -> str:
    """Give the text that a notebook shows, after checking that it is short, has a hint, and is no traceback."""
    lines = error._render_traceback_()
    assert 2 <= len(lines) <= 4, lines
    assert any(line.startswith("hint: ") for line in lines)
    assert "Traceback" not in "".join(lines)
    return "\n".join(lines)


def test_a_wrong_pod_name_gives_the_closest_ones(cluster: Cluster) -> None:
    with pytest.raises(PodNotFound) as caught:
        cluster.run("exmple", "true")
    assert "example" in short(caught.value)


def test_a_wrong_container_gives_those_that_the_pod_has(cluster: Cluster) -> None:
    with pytest.raises(ContainerNotFound) as caught:
        cluster.run("multi", "true", container="sidecar")
    text = short(caught.value)
    assert "main" in text
    assert "side" in text


@pytest.mark.parametrize(("pod", "word"), [("pending", "pending"), ("done", "completed")])
def test_a_pod_that_is_not_running_is_a_start_that_failed(cluster: Cluster, pod: str, word: str) -> None:
    result = cluster.run(pod, "true")
    assert (result.outcome, result.exit_code) == (Outcome.START_FAILED, None)
    with pytest.raises(CommandNotStarted, match=word) as caught:
        result.check()
    short(caught.value)


@pytest.mark.parametrize("pod", ["pending", "done"])
def test_the_same_is_said_when_the_container_is_given_and_nothing_was_looked_up(cluster: Cluster, pod: str) -> None:
    assert cluster.run(pod, "true", container="main").outcome is Outcome.START_FAILED


def test_a_user_without_rights_is_told_which(place: Place) -> None:
    with pytest.raises(Forbidden) as caught:
        run("example", "true", container="main", kubeconfig=place.with_token(place.no_rights_token))
    text = short(caught.value)
    assert "pods/exec" in text
    assert place.no_rights_token not in text


def test_rights_to_exec_alone_are_enough(place: Place) -> None:
    kubeconfig = place.with_token(place.exec_only_token)
    assert run("example", "echo in", container="main", kubeconfig=kubeconfig).stdout == "in\n"
    assert run("example", "echo in", kubeconfig=kubeconfig).stdout == "in\n"


def test_a_bad_token_is_told_without_showing_it(place: Place) -> None:
    with pytest.raises(Unauthorized) as caught:
        run("example", "true", kubeconfig=place.with_token("s3cr3t-t0ken"))
    assert "s3cr3t" not in short(caught.value)


def test_an_unreachable_server_is_named(place: Place) -> None:
    with pytest.raises(ClusterUnreachable) as caught:
        run("example", "true", kubeconfig=place.with_server("https://127.0.0.1:1"))
    assert "https://127.0.0.1:1" in short(caught.value)


@pytest.mark.parametrize("text", ["{", "a: [1,", "- just\n- a list\n", "\0", "clusters: 3\n"])
def test_a_malformed_kubeconfig_is_named_with_what_is_wrong(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.kubeconfig"
    path.write_text(text)
    with pytest.raises(KubeconfigError) as caught:
        run("example", "true", kubeconfig=path)
    assert str(path) in short(caught.value)


def test_a_missing_kubeconfig_is_named(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match="nowhere") as caught:
        run("example", "true", kubeconfig=tmp_path / "nowhere")
    short(caught.value)


def test_a_wrong_context_gives_those_that_there_are(place: Place) -> None:
    with pytest.raises(KubeconfigError) as caught:
        run("example", "true", context="nosuch", kubeconfig=place.kubeconfig)
    assert "nosuch" in short(caught.value)


@pytest.mark.parametrize("name", ["../secrets", "a/b?c", "UPPER", "", "-x", "a" * 300, "ä", "a\nb"])
def test_a_name_that_kubernetes_does_not_allow_never_reaches_the_server(cluster: Cluster, name: str) -> None:
    with pytest.raises((InvalidName, OptionError, KexecError)) as caught:
        cluster.run(name, "true")
    assert "valid" in str(caught.value) or isinstance(caught.value, OptionError)


@pytest.mark.parametrize(
    "call",
    [
        lambda cluster: cluster.run(script="true"),
        lambda cluster: cluster.run("example", "true", selector="app=web"),
        lambda cluster: cluster.run("example"),
        lambda cluster: cluster.run(script="true", selector=" "),
        lambda cluster: cluster.run("example", "true", argv=["true"]),
        lambda cluster: cluster.run("example", argv=[]),
        lambda cluster: cluster.run("example", argv=["true"], args=["x"]),
        lambda cluster: cluster.run("example", argv="true"),
        lambda cluster: cluster.run("example", "true", args="ab"),
        lambda cluster: cluster.run("example", "true", timeout=0),
        lambda cluster: cluster.run("example", "true", timeout=float("inf")),
        lambda cluster: cluster.run("example", "true", timeout=float("nan")),
        lambda cluster: cluster.run("example", "true", ok=()),
        lambda cluster: cluster.run("example", "true", ok=(256,)),
        lambda cluster: cluster.run("example", "true\0"),
        lambda cluster: cluster.run("example", argv=["echo", "x" * 200_000]),
        lambda cluster: cluster.run("example", "true", args=["x" * 200_000]),
        lambda cluster: cluster.run("example", "true", env={"X": "x" * 200_000}),
        lambda cluster: cluster.run("example", "true", env={"A-B": "x"}),
        lambda cluster: cluster.run("example", "true", env={"X": "a\0b"}),
        lambda cluster: cluster.run("example", "true", cwd="/a\0b"),
        lambda cluster: cluster.run("example", "true", shell="'"),
        lambda cluster: cluster.run("example", "true", shell=""),
        lambda cluster: cluster.run("example", "true", orphan_after=0),
        lambda cluster: cluster.run("example", "true", ladder=(-1, 1, 1)),
        lambda cluster: cluster.run("example", "true", direct=True),
        lambda cluster: cluster.run("example", argv=["true"], env={"X": "x"}, direct=True),
        lambda cluster: cluster.run("example", argv=["echo", *["x" * 100_000] * 4], direct=True),
        lambda cluster: cluster.run("example", "true", stdin=7),
        lambda cluster: cluster.run("example", "true", stdin=Path("/no/such/file")),
    ],
)
def test_a_request_that_cannot_be_meant_is_refused_before_it_is_sent(
    cluster: Cluster, call: Callable[[Cluster], object]
) -> None:
    with pytest.raises(OptionError) as caught:
        call(cluster)
    short(caught.value)


SECRET = "S3cretS3cret"


def kubeconfig_with(place: Place, user: str) -> Path:
    """Write the place's kubeconfig with another user, as YAML text."""
    config = place.read()
    config["users"] = []
    path = place.write("odd", config)
    path.write_text(path.read_text().replace("users: []", f"users:\n- name: token\n  user:\n{user}"))
    return path


@pytest.mark.parametrize(
    "user",
    [
        f"    token: |\n      {SECRET}\n",
        f'    token: "{SECRET}\\nX-Injected: yes"\n',
        f'    token: "{SECRET}ä"\n',
        f"    username: me\n    password: !{SECRET}\n",
    ],
)
def test_a_credential_that_cannot_be_sent_is_refused_and_never_shown(place: Place, user: str) -> None:
    with pytest.raises(KubeconfigError) as caught:
        run("example", "true", container="main", kubeconfig=kubeconfig_with(place, user))
    assert SECRET not in short(caught.value)


def test_a_date_is_the_name_of_a_namespace_like_any_other(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "dated.kubeconfig"
    config = place.read()
    config["contexts"][0]["context"]["namespace"] = "DATE"
    path.write_text(place.write("dated", config).read_text().replace("DATE", "2024-01-01"))
    with Cluster(kubeconfig=path) as cluster:
        assert cluster.namespace == "2024-01-01"


def test_numbers_and_paths_that_cannot_be_are_errors_of_the_kubeconfig(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "odd.kubeconfig"
    path.write_text("current-context: 0x_\n")
    with pytest.raises(KubeconfigError) as caught:
        run("example", "true", kubeconfig=path)
    short(caught.value)
    monkeypatch.setenv("KUBECONFIG", "x" * 5000)
    with pytest.raises(KubeconfigError) as caught:
        run("example", "true")
    short(caught.value)


def test_a_wrong_path_of_the_server_is_no_missing_pod(place: Place) -> None:
    server = place.read()["clusters"][0]["cluster"]["server"]
    with pytest.raises(KexecError) as caught:
        run("example", "true", kubeconfig=place.with_server(f"{server}/wrong"))
    assert not isinstance(caught.value, PodNotFound)


def test_a_selector_that_is_none_is_told_in_the_servers_words(cluster: Cluster) -> None:
    with pytest.raises(KexecError) as caught:
        cluster.run(selector="a=b=c", script="true")
    assert "proxy" not in str(caught.value)
