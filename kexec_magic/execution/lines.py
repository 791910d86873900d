"""The connections of one run: made, held together, and ended together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from kexec_magic.cluster.targets import Target
from kexec_magic.execution.connection import ExecConnection
from kexec_magic.execution.handshake import Attempt
from kexec_magic.execution.link import Link
from kexec_magic.execution.mailbox import Mailbox
from kexec_magic.execution.news import News
from kexec_magic.wire.protocol import Output

__all__ = ["Lines"]


class Lines:
    """Makes a run's connections and knows whether anything may have run on them; for several threads.

    Args:
        mailbox: Told of every upgrade and of every event.
        target: What is known of it before it is looked up.
        deadline: Monotonic time by which the run's own upgrade must be done; None for no limit of ours.
    """

    def __init__(self, link: Link, mailbox: Mailbox[News], *, target: Target, deadline: float | None) -> None:
        self._link, self._mailbox = link, mailbox
        self.target, self.deadline = target, deadline
        self._lock = threading.Lock()
        self._connections: list[ExecConnection] = []
        self._given_up = False
        self.may_have_run = False
        self.main: ExecConnection | None = None

    def post(self, item: News) -> None:
        """Tell the thread that runs the cell."""
        self._mailbox.put(item, size=len(item.data) if isinstance(item, Output) else 0)

    def connect(self, attempts: Sequence[Attempt]) -> ExecConnection:
        """Open the run's own connection, `main`.

        Raises:
            KexecError: Why the server did not accept it.
        """
        self.main = self.beside(deadline=self.deadline)
        self._link.remember(self.main.open(attempts))
        return self.main

    def beside(self, *, deadline: float | None) -> ExecConnection:
        """Give one more connection, not open yet."""
        connection = ExecConnection(
            self._link.dialer, self.target, deadline=deadline, on_exchange=self.post, on_failure=self.post
        )
        with self._lock:
            self._connections.append(connection)
            if self._given_up:
                connection.abort()
        return connection

    def begin(self, start: Callable[[], object]) -> bool:
        """Do what may start the command, and take note of that; False, and nothing, where it is too late for it."""
        with self._lock:
            if self._given_up:
                return False
            self.may_have_run = True
            start()
            return True

    def forestall(self) -> bool:
        """End all of it if nothing has run yet, and then nothing will; False if it may have."""
        with self._lock:
            if not self.may_have_run:
                self._abandon()
            return not self.may_have_run

    def abandon(self) -> None:
        """End all connections, those to come too."""
        with self._lock:
            self._abandon()

    def _abandon(self) -> None:
        self._given_up = True
        for connection in self._connections:
            connection.abort()
