"""The memory that all results of a process share for their output; what goes beyond it moves to disk."""

from __future__ import annotations

import os
import weakref
from collections import deque
from functools import cache
from threading import Lock

from kexec_magic.errors import OptionError
from kexec_magic.execution.quantities import parse_size
from kexec_magic.execution.spool import Spool

__all__ = ["Account", "MemoryBudget", "shared_budget"]

_VARIABLE = "KEXEC_CAPTURE_MEMORY"
_DEFAULT = 256 * 1024 * 1024


class Account:
    """What one spool was last seen to hold in memory. It outlives the spool until that is taken note of."""

    def __init__(self, spool: Spool) -> None:
        self.spool = weakref.ref(spool)
        self.held = 0


class MemoryBudget:
    """Counts what spools hold in memory, and moves the largest to disk when that is too much. For several threads.

    The largest, because that takes the fewest files.

    Args:
        limit: Bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = Lock()
        self._accounts: set[Account] = set()
        self._held = 0
        # Spools end in any thread at any moment, also in one that holds the lock: so their end only leaves a note here.
        self._left: deque[Account] = deque()

    def admit(self, spool: Spool) -> Account:
        """Open an account, which is closed when nobody has the spool any more."""
        account = Account(spool)
        with self._lock:
            self._accounts.add(account)
        weakref.finalize(spool, self._left.append, account)
        return account

    @property
    def held(self) -> int:
        """Bytes in memory, as last counted."""
        with self._lock:
            self._forget_the_left()
            return self._held

    def settle(self, account: Account) -> None:
        """Count a spool anew, and make room if that is too much.

        Raises:
            OSError: If it is too much, and the disk takes no more.
        """
        failure: OSError | None = None
        tried: set[Account] = set()
        while (victim := self._next_victim(account, tried)) is not None:
            tried.add(victim)
            spool = victim.spool()
            if spool is None:
                continue
            try:
                spool.spill()
            except OSError as error:
                failure = error
            else:
                failure = None
                self._count(victim)
        if failure is not None:
            raise failure

    def _next_victim(self, account: Account, tried: set[Account]) -> Account | None:
        """Count, and give the spool that is to leave memory, if any is; nothing else is locked meanwhile."""
        self._count(account)
        with self._lock:
            self._forget_the_left()
            if self._held <= self._limit:
                return None
            return max(self._accounts - tried, key=lambda found: found.held, default=None)

    def _count(self, account: Account) -> None:
        spool = account.spool()
        with self._lock:
            if spool is not None and account in self._accounts:
                self._held += spool.in_memory - account.held
                account.held = spool.in_memory

    def _forget_the_left(self) -> None:
        while self._left:
            account = self._left.popleft()
            self._accounts.discard(account)
            self._held -= account.held


@cache
def shared_budget() -> MemoryBudget:
    """Give the one budget of this process: 256 MiB, or what KEXEC_CAPTURE_MEMORY says.

    Raises:
        OptionError: If that is no size.
    """
    text = os.environ.get(_VARIABLE)
    if not text:
        return MemoryBudget(_DEFAULT)
    try:
        return MemoryBudget(parse_size(text))
    except OptionError as error:
        raise OptionError(f"{_VARIABLE}={text!r} is no size", hint=error.hint) from None
