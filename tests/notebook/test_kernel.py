"""The magics in a real kernel: which messages a notebook gets, in which order, and what is kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Place
from tests.notebook.kernels import Kernel, kernel

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def notebook(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with kernel(place.kubeconfig, tmp_path_factory.mktemp("kernel")) as found:
        yield found


def test_a_cell_streams_both_channels_and_ends_in_its_result(notebook: Kernel) -> None:
    executed = notebook.run("%%kexec example\necho out\necho err >&2")
    assert executed.status == "ok"
    assert (executed.stream("stdout"), executed.stream("stderr")) == ("out\n", "err\n")
    assert executed.kinds[-1] == "execute_result"
    data = executed.only("execute_result")["data"]
    assert data["text/plain"].startswith("<ExecResult exit code 0 · default/example/main · ")
    assert "<script" not in data["text/html"]


def test_output_reaches_the_notebook_while_the_command_runs(notebook: Kernel) -> None:
    executed = notebook.run("%%kexec example\necho first\nsleep 1\necho second")
    assert executed.texts("stdout") == ["first\n", "second\n"]
    assert executed.times[1] - executed.times[0] > 0.5


def test_many_small_writes_become_few_messages(notebook: Kernel) -> None:
    executed = notebook.run("%%kexec tools\nfor i in $(seq 2000); do echo $i; echo e$i >&2; done")
    assert executed.stream("stdout").split() == [str(number) for number in range(1, 2001)]
    assert executed.stream("stderr").split() == [f"e{number}" for number in range(1, 2001)]
    assert len(executed.messages) < 40


def test_nothing_is_expanded_by_ipython_in_line_or_cell(notebook: Kernel) -> None:
    notebook.run("x = 'from python'; pod = 'nosuch'")
    executed = notebook.run("%%kexec example -- cat\n{x} $x $HOME {pod}")
    assert executed.stream("stdout") == "{x} $x $HOME {pod}\n"
    executed = notebook.run("%kexec example -- echo {x} $x '{x}' \"$x\"")
    assert executed.stream("stdout") == "{x} $x {x} $x\n"


def test_a_failing_cell_is_an_error_of_a_few_lines_and_its_result_is_kept(notebook: Kernel) -> None:
    executed = notebook.run("%%kexec example --out kept\necho out\necho broken >&2\nexit 7")
    assert executed.status == "error"
    error = executed.only("error")
    assert error["ename"] == "CommandFailed"
    assert len(error["traceback"]) <= 4
    text = "\n".join(error["traceback"])
    assert "exit code 7" in text
    assert "stderr: broken" in text
    assert "hint:" in text
    assert "File " not in text
    assert notebook.value("kept.exit_code, kept.stdout, kept is _kexec") == "(7, 'out\\n', True)"


def test_no_raise_error_lets_the_cell_succeed_and_shows_the_code(notebook: Kernel) -> None:
    executed = notebook.run("%%kexec example --no-raise-error\nexit 7")
    assert executed.status == "ok"
    assert "exit code 7" in executed.only("execute_result")["data"]["text/plain"]


def test_a_quiet_cell_shows_nothing_and_keeps_it_all(notebook: Kernel) -> None:
    executed = notebook.run("%%kexec example --quiet --out kept\necho out")
    assert executed.messages == []
    assert notebook.value("kept.stdout") == "'out\\n'"


def test_a_line_gives_its_result_to_python(notebook: Kernel) -> None:
    assert notebook.run("r = %kexec --quiet example -- seq 3").messages == []
    assert notebook.value("r.lines()") == "['1', '2', '3']"


def test_an_interrupt_ends_the_cell_and_leaves_the_kernel_usable(notebook: Kernel) -> None:
    executed = notebook.run("%%kexec example\necho started\nsleep 5", interrupt_at="started")
    assert executed.status == "error"
    assert executed.only("error")["ename"] == "CommandInterrupted"
    assert notebook.value("_kexec.outcome.value, _kexec.stdout") == "('interrupted', 'started\\n')"
    assert notebook.run("%%kexec example\necho again").stream("stdout") == "again\n"


def test_an_interrupted_cell_raises_even_where_failures_do_not(notebook: Kernel) -> None:
    executed = notebook.run("%%kexec example --no-raise-error\necho started\nsleep 5", interrupt_at="started")
    assert executed.status == "error"


def test_a_character_cut_between_two_writes_is_shown_whole(notebook: Kernel) -> None:
    executed = notebook.run("%%kexec example\nprintf '\\342\\202'; sleep 0.5; printf '\\254\\n'")
    assert executed.stream("stdout") == "\N{EURO SIGN}\n"


def test_the_defaulted_container_is_noted_as_kubectl_notes_it(notebook: Kernel) -> None:
    executed = notebook.run("%%kexec multi\necho in")
    # The pod's annotation names its default container: then kubectl says nothing either.
    assert executed.stream("stderr") == ""
    assert "multi/side" in executed.only("execute_result")["data"]["text/plain"]


@pytest.mark.parametrize(
    ("line", "name", "words"),
    [
        ("exmple", "PodNotFound", ["exmple", "example"]),
        ("multi -c nosuch", "ContainerNotFound", ["nosuch", "main", "side"]),
        ("done", "CommandNotStarted", ["completed"]),
        ("pending", "CommandNotStarted", ["pending"]),
        ("-l app=web", "TargetAmbiguous", ["web-1", "web-4"]),
        ("example --namspace x", "OptionError", ["--namspace", "--namespace"]),
        ("example --kubeconfig /nowhere", "KubeconfigError", ["/nowhere"]),
        ("example --context nosuch", "KubeconfigError", ["nosuch"]),
        ("noshell", "CommandNotStarted", ["no shell"]),
        ("", "OptionError", ["pod"]),
    ],
)
def test_a_cell_that_cannot_run_says_why_without_a_traceback(
    notebook: Kernel, line: str, name: str, words: list[str]
) -> None:
    executed = notebook.run(f"%%kexec {line}\necho never")
    assert executed.status == "error"
    error = executed.only("error")
    assert error["ename"] == name
    text = "\n".join(error["traceback"])
    assert len(error["traceback"]) <= 4
    assert "hint:" in text
    assert all(word in text for word in words), text


def test_a_missing_program_is_no_exit_code(notebook: Kernel) -> None:
    error = notebook.run("%kexec example -- nosuchcommand").only("error")
    assert error["ename"] == "CommandNotStarted"
    assert "no command 'nosuchcommand'" in "\n".join(error["traceback"])


def test_a_line_without_a_command_says_how_to_give_one(notebook: Kernel) -> None:
    executed = notebook.run("%kexec example")
    assert "%kexec example -- " in "\n".join(executed.only("error")["traceback"])


def test_dry_run_shows_what_would_be_sent_and_sends_nothing(notebook: Kernel, place: Place) -> None:
    notebook.run("%kexec example -- true")
    before = notebook.value("id(_kexec)")
    if place.sandbox:
        place.sandbox.forget_requests()
    executed = notebook.run("%%kexec example --dry-run\necho not sent")
    text = executed.stream("stdout")
    assert "/pods/example/exec?command=sh&command=-c" in text
    assert "v5.channel.k8s.io, v4.channel.k8s.io" in text
    assert notebook.value("id(_kexec)") == before
    if place.sandbox:
        assert not [found.path for found in place.sandbox.requests if "/exec" in found.path]


def test_verbose_shows_the_requests_without_credentials(place: Place, tmp_path: Path) -> None:
    with kernel(place.with_token(place.exec_only_token), tmp_path) as notebook:
        text = notebook.run("%%kexec -v example -c main\necho out").stream("stderr")
    assert "GET https://" in text
    assert "/pods/example/exec?" in text
    assert " 101 v" in text
    assert "milliseconds" in text
    assert "Authorization: " in text
    assert place.exec_only_token not in text


def test_kuse_sets_shows_and_clears_defaults(notebook: Kernel) -> None:
    shown = notebook.run("%kuse -c side --timeout 30s").stream("stdout")
    assert "side" in shown
    assert "30s" in shown
    assert "multi/side" in notebook.run("%%kexec multi\ntrue").only("execute_result")["data"]["text/plain"]
    cleared = notebook.run("%kuse -c '' --timeout ''").stream("stdout")
    assert "the pod's default one" in cleared
    assert "none" in cleared


def test_kuse_refuses_a_context_that_does_not_exist_and_keeps_the_old_one(notebook: Kernel) -> None:
    assert notebook.run("%kuse nosuch").only("error")["ename"] == "KubeconfigError"
    assert notebook.run("%kexec example -- true").status == "ok"


def test_help_is_shown_by_h_and_by_the_question_mark(notebook: Kernel) -> None:
    assert "--no-raise-error" in notebook.run("%kexec -h").stream("stdout")
    assert "--timeout" in notebook.run("%kuse -h").stream("stdout")
    assert "--no-raise-error" in notebook.value("get_ipython().find_line_magic('kexec').__doc__")


def test_the_extension_unloads_and_loads_again(place: Place, tmp_path: Path) -> None:
    with kernel(place.kubeconfig, tmp_path) as notebook:
        notebook.run("%kexec example -- true")
        assert notebook.run("%unload_ext kexec_magic").status == "ok"
        assert "not found" in notebook.run("%kexec example -- true").stream("stderr")
        assert notebook.run("%load_ext kexec_magic").messages == []
        assert notebook.run("%kexec example -- echo back").stream("stdout") == "back\n"


def test_a_result_with_markup_in_it_is_shown_as_text(notebook: Kernel) -> None:
    executed = notebook.run("%%kexec example --no-raise-error -- '<img src=x>'\nx")
    html = executed.only("execute_result")["data"]["text/html"]
    assert "<img" not in html
