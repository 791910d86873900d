"""What the magics do: merge options with defaults, run, show, keep the result, and only then raise."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexec_magic.cluster.kubeconfig import list_contexts
from kexec_magic.errors import CommandInterrupted, OptionError
from kexec_magic.execution.cluster import Cluster
from kexec_magic.execution.interrupts import interrupts_held
from kexec_magic.execution.request import Request, as_words
from kexec_magic.execution.result import ExecResult, Outcome
from kexec_magic.execution.stdin import Stdin, as_stdin
from kexec_magic.notebook.expressions import evaluate, read_environment
from kexec_magic.notebook.options import (
    CellOptions,
    cell_help,
    parse_cell_line,
    parse_duration,
    parse_use_line,
    use_help,
)
from kexec_magic.notebook.view.audience import Audience
from kexec_magic.notebook.view.budget import Budget
from kexec_magic.notebook.view.display import StreamDisplay
from kexec_magic.notebook.view.screen import Screen
from kexec_magic.wire.channels import Channel

if TYPE_CHECKING:
    from kexec_magic.sandbox import Sandbox

__all__ = ["Cells", "Defaults"]

LAST_RESULT = "_kexec"

# Which files a Cluster was made from, and when each was written last, in nanoseconds (None: it is gone).
_Stamp = dict[Path, int | None]


@dataclass(frozen=True, slots=True)
class Defaults:
    """What `%kuse` has set; None where nothing is."""

    context: str | None = None
    namespace: str | None = None
    container: str | None = None
    kubeconfig: str | None = None
    timeout: str | None = None


class Cells:
    """The magics of one IPython.

    Args:
        user_ns: The notebook's variables; results are stored there.
        budget: What all runs together may show.
        audience: Tells who is in front of the cell that is being executed.
    """

    def __init__(self, user_ns: dict[str, Any], budget: Budget, audience: Callable[[], Audience]) -> None:
        self._user_ns = user_ns
        self._budget = budget
        self._audience = audience
        self._defaults = Defaults()
        self._clusters: dict[tuple[str | None, str | None, str | None], tuple[Cluster, _Stamp]] = {}
        self._sandbox: Sandbox | None = None

    def run(self, line: str, cell: str | None) -> ExecResult | None:
        """Run a line of `%kexec` (`cell` is None) or a cell of `%%kexec`.

        Raises:
            KexecError: Why nothing ran, or how the run failed; the result is stored before.
            CommandInterrupted: The user stopped it; the result is stored before.
        """
        options = parse_cell_line(line)
        if options.help:
            print(cell_help())
            return None
        request = self._request(options, cell)
        cluster = self._cluster(options)
        if options.dry_run:
            print(cluster.preview(request))
            return None
        audience = self._audience()
        screen = Screen(self._budget, audience)
        display = StreamDisplay(screen, show_output=not options.quiet, show_exchanges=options.verbose)
        # A run holds interrupts while it lasts; one that comes right after it must not cost the result.
        with interrupts_held() as late:
            try:
                result = cluster.execute(request, listener=display)
            except BaseException:
                screen.finish()  # what had arrived until then is shown, whatever came between
                raise
            self._user_ns[LAST_RESULT] = result
            if options.out:
                self._user_ns[options.out] = result
            screen.finish(result, name=options.out or LAST_RESULT)
            fails = not result.ok and (options.raise_error or result.outcome is Outcome.INTERRUPTED)
            # Logs of unattended notebooks hold no results. What a line gives may be meant for a variable, and is shown
            # as a result if it is not; a failure shows none.
            tells = not audience.sees_results and not options.quiet and (cell is not None or fails)
            if tells:
                screen.write_line(Channel.STDOUT if result.ok else Channel.STDERR, result.summary())
        if late.count and result.outcome is not Outcome.INTERRUPTED:
            raise CommandInterrupted(f"interrupted; the run had ended: {result.summary()}", result=result)
        if fails:
            result.check()
        # A quiet cell shows nothing; `r = %kexec --quiet ...` still gets its result.
        return None if tells or (options.quiet and cell is not None) else result

    def _request(self, options: CellOptions, cell: str | None) -> Request:
        if cell is None and options.argv is None:
            raise OptionError(
                "%kexec has no command to run",
                hint=f"`%kexec {options.target or 'POD'} -- ls /` runs one; `%%kexec` atop a cell runs the cell",
            )
        defaults = self._defaults
        timeout = options.timeout
        if timeout is None and defaults.timeout is not None:
            timeout = parse_duration(defaults.timeout)
        return Request(
            target=options.target,
            selector=options.selector,
            namespace=options.namespace or defaults.namespace,
            container=options.container or defaults.container,
            script=cell if options.argv is None else None,
            argv=options.argv,
            args=tuple(str(evaluate(text, self._user_ns, option="--arg")) for text in options.args),
            shell=as_words(options.shell),
            env=read_environment(options.env, self._user_ns),
            cwd=options.cwd,
            stdin=self._stdin(options, cell),
            tty=options.tty,
            direct=options.direct,
            timeout=timeout,
            keep_running=options.keep_running,
            orphan_after=options.orphan_after,
            ok=options.ok,
            max_capture=options.max_capture,
        )

    def _stdin(self, options: CellOptions, cell: str | None) -> Stdin | None:
        if options.stdin is None:
            return None if options.argv is None or cell is None else cell.encode()
        if options.argv is not None and cell is not None:
            raise OptionError(
                "the cell is the command's input already, and --stdin would be another",
                hint="leave out --stdin, or run the command by `%kexec` on a line",
            )
        return as_stdin(evaluate(options.stdin, self._user_ns, option="--stdin"))

    def _cluster(self, options: CellOptions) -> Cluster:
        kubeconfig = options.kubeconfig or self._defaults.kubeconfig
        context = options.context or self._defaults.context
        key = (context, kubeconfig, os.environ.get("KUBECONFIG"))
        known = self._clusters.get(key)
        if known is not None and known[1] == _stamp(known[0].sources):
            return known[0]
        cluster = Cluster(context, kubeconfig)
        self._clusters[key] = (cluster, _stamp(cluster.sources))
        if known is not None:
            known[0].close()
            if known[0].context != cluster.context:
                print(
                    f"the kubeconfig's current context is now {cluster.context!r}; it was {known[0].context!r}",
                    file=sys.stderr,
                )
        return cluster

    def use(self, line: str) -> None:
        """Set defaults from a line of `%kuse`, and show what holds then.

        Raises:
            KexecError: If the line or what it asks for makes no sense; then nothing is changed.
        """
        options = parse_use_line(line)
        if options.help:
            print(use_help())
            return
        given = {name: value for name, value in asdict(options).items() if name != "help" and value is not None}
        before = self._defaults
        self._defaults = replace(before, **{name: value or None for name, value in given.items()})
        try:
            print(self._description())
        except BaseException:
            self._defaults = before  # what cannot even be shown is not set
            raise

    def _description(self) -> str:
        defaults = self._defaults
        cluster = self._cluster(CellOptions())
        rows = {
            "context": f"{cluster.context}{'' if defaults.context else ' (the current one)'}",
            "cluster": cluster.server,
            "namespace": defaults.namespace or f"{cluster.namespace} (the context's)",
            "container": defaults.container or "the pod's default one",
            "timeout": defaults.timeout or "none",
            "kubeconfig": ", ".join(str(path) for path in cluster.sources),
        }
        contexts = [context.name for context in list_contexts(defaults.kubeconfig)]
        if len(contexts) > 1:
            rows["contexts"] = ", ".join(contexts)
        return _table(rows)

    def sandbox(self, line: str) -> None:
        """Start the sandbox and point the defaults at it, or stop it.

        Raises:
            OptionError: If the line is neither empty nor 'stop'.
        """
        from kexec_magic.sandbox import Sandbox  # an extra: the other magics work without it

        match line.split():
            case []:
                if self._sandbox is None:
                    sandbox = Sandbox()
                    sandbox.start()
                    self._sandbox = sandbox
                self._defaults = Defaults(kubeconfig=str(self._sandbox.kubeconfig))
                print(self._sandbox.isolation.describe())
                print(self._description())
            case ["stop"]:
                if self._sandbox is not None:
                    self._forget_sandbox(self._sandbox)
                print("the sandbox is stopped")
            case words:
                raise OptionError(
                    f"%ksandbox does not know {' '.join(words)!r}",
                    hint="`%ksandbox` starts it, `%ksandbox stop` ends it",
                )

    def _forget_sandbox(self, sandbox: Sandbox) -> None:
        if self._defaults.kubeconfig == str(sandbox.kubeconfig):
            self._defaults = Defaults()
        self._sandbox = None
        sandbox.close()

    def close(self) -> None:
        """Close idle connections, and stop the sandbox if it was started here."""
        for cluster, _ in self._clusters.values():
            cluster.close()
        self._clusters.clear()
        if self._sandbox is not None:
            self._forget_sandbox(self._sandbox)


def _stamp(sources: tuple[Path, ...]) -> _Stamp:
    return {path: path.stat().st_mtime_ns if path.exists() else None for path in sources}


def _table(rows: Mapping[str, str]) -> str:
    width = max(map(len, rows))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows.items())
