"""The options that carry the notebook's own values into a pod, in a real kernel."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import Place
from tests.notebook.kernels import Executed, Kernel, kernel

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def notebook(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with kernel(place.kubeconfig, tmp_path_factory.mktemp("options")) as found:
        yield found


def short_error(executed: Executed) -> str:
    """Give the lines of a cell's error, which are few and no Python traceback."""
    lines = executed.only("error")["traceback"]
    assert len(lines) <= 4
    return "\n".join(lines)


def test_variables_and_arguments_come_from_the_line_and_from_the_notebook(notebook: Kernel) -> None:
    notebook.run("WHO = 'the notebook\\'s \"own\"'; number = 41")
    executed = notebook.run(
        '%%kexec example --env WHO --env "GIVEN=a b" --arg number+1 --arg WHO\necho "$WHO/$GIVEN/$1/$2"'
    )
    assert executed.stream("stdout") == 'the notebook\'s "own"/a b/42/the notebook\'s "own"\n'


def test_a_variable_that_the_notebook_lacks_is_never_taken_from_the_kernels_environment(notebook: Kernel) -> None:
    executed = notebook.run("%%kexec example --env KUBECONFIG\necho never")
    assert (executed.status, executed.stream("stdout")) == ("error", "")
    assert "no variable of that name" in short_error(executed)


def test_an_expression_without_a_value_is_named(notebook: Kernel) -> None:
    executed = notebook.run("%%kexec example --arg nosuch\necho never")
    assert "--arg 'nosuch' has no value: NameError" in short_error(executed)


def test_input_is_an_expression_of_the_notebook(notebook: Kernel) -> None:
    notebook.run("rows = 'b\\na\\n'")
    assert notebook.run("%%kexec example --stdin rows\nsort").stream("stdout") == "a\nb\n"
    assert notebook.run("%kexec example --stdin rows -- wc -l").stream("stdout").strip() == "2"
    assert "already" in short_error(notebook.run("%%kexec example --stdin rows -- sort\nx"))


def test_another_shell_and_folder(notebook: Kernel) -> None:
    executed = notebook.run("%%kexec tools --shell python3 --cwd /proc\nimport os\nprint(os.getcwd())")
    assert executed.stream("stdout") == "/proc\n"


def test_a_terminal_is_said_to_merge_stderr(notebook: Kernel) -> None:
    executed = notebook.run("%%kexec example -t\ntest -t 1 && echo terminal >&2")
    assert "terminal" in executed.stream("stdout")
    assert "stderr arrives on stdout" in executed.stream("stderr")


def test_what_still_runs_is_noted_and_recorded(notebook: Kernel) -> None:
    executed = notebook.run("%%kexec example\nsleep 5 & echo started")
    assert executed.status == "ok"
    assert "still runs in pod 'example'" in executed.stream("stderr")
    assert notebook.value("len(_kexec.still_running)") == "1"


def test_an_interrupt_says_what_ended_the_command(notebook: Kernel) -> None:
    executed = notebook.run("%%kexec example\necho on; sleep 100", interrupt_at="on")
    assert executed.only("error")["ename"] == "CommandInterrupted"
    assert "ended by SIGINT" in short_error(executed)
    assert notebook.value("_kexec.outcome.value, _kexec.exit_code, _kexec.stdout") == "('interrupted', 130, 'on\\n')"


def test_a_timeout_is_an_error_of_its_own(notebook: Kernel) -> None:
    executed = notebook.run("%%kexec example --timeout 1s\necho on; sleep 100")
    assert executed.only("error")["ename"] == "TimedOut"
    assert "no end within 1.0 s; ended by SIGINT" in short_error(executed)


def test_a_program_without_a_supervisor_is_asked_for_by_direct(notebook: Kernel) -> None:
    assert notebook.run("%kexec example --direct -- echo bare").stream("stdout") == "bare\n"
    assert "leave out --direct" in short_error(notebook.run("%%kexec example --direct\necho never"))
