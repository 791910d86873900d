"""Bytes that grow: in memory at first, in a file without a name once they have to leave it."""

from __future__ import annotations

import os
import tempfile
import weakref
from threading import Lock
from typing import BinaryIO

__all__ = ["SPOOL_DIR", "Spool"]

SPOOL_DIR = "KEXEC_SPOOL_DIR"
"""The environment variable that names the folder for these files; without it, the system's for temporary files."""

# What comes after a spool has moved to its file is written in pieces of at least so many bytes.
_BLOCK = 256 * 1024


class Spool:
    """An append-only row of bytes; usable from several threads.

    The file has no name from the moment of its creation, so that it is gone with this object or with the process,
    however that ends; no other user can open it.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._memory = bytearray()  # what follows on what is in the file
        self._in_file = 0
        self._file: BinaryIO | None = None

    @property
    def size(self) -> int:
        """How many bytes there are."""
        with self._lock:
            return self._in_file + len(self._memory)

    @property
    def in_memory(self) -> int:
        """How many of them memory holds."""
        return len(self._memory)

    def append(self, data: bytes) -> None:
        """Add bytes, in memory."""
        with self._lock:
            self._memory += data

    def flush(self) -> None:
        """Write what has gathered in memory, if that is worth it, and there is a file.

        Raises:
            OSError: If the file cannot take it; then memory still has it.
        """
        with self._lock:
            if self._file is not None and len(self._memory) >= _BLOCK:
                self._write(self._file)

    def replace(self, offset: int, data: bytes) -> bool:
        """Put other bytes in the place of some that memory still holds; False where it does not."""
        with self._lock:
            start = offset - self._in_file
            if start < 0:
                return False
            self._memory[start : start + len(data)] = data
            return True

    def spill(self) -> None:
        """Move all to the file.

        Raises:
            OSError: If there is no place for it; then all stays as it was.
        """
        with self._lock:
            if self._file is None:
                file = tempfile.TemporaryFile(buffering=0, prefix="kexec-", dir=os.environ.get(SPOOL_DIR) or None)  # noqa: SIM115 - it lives as long as this object
                weakref.finalize(self, file.close)
                self._file = file
            self._write(self._file)

    def _write(self, file: BinaryIO) -> None:
        descriptor = file.fileno()
        with memoryview(self._memory) as view:
            written = 0
            try:
                while written < len(view):
                    written += os.pwrite(descriptor, view[written:], self._in_file + written)
            except OSError:
                # Give back what a full disk took of it: memory has it still.
                os.ftruncate(descriptor, self._in_file)
                raise
        self._in_file += written
        self._memory = bytearray()

    def read(self, offset: int, size: int) -> bytes:
        """Give up to `size` bytes from a place on; fewer only at the end."""
        with self._lock:
            from_file = b""
            if offset < self._in_file and self._file is not None:
                from_file = self._pread(self._file.fileno(), offset, min(size, self._in_file - offset))
            start = offset + len(from_file) - self._in_file
            return from_file + bytes(self._memory[max(0, start) : max(0, start) + size - len(from_file)])

    @staticmethod
    def _pread(descriptor: int, offset: int, size: int) -> bytes:
        parts = []
        while size:
            part = os.pread(descriptor, size, offset)
            if not part:
                raise OSError("the spool file is shorter than what was written to it")
            parts.append(part)
            offset += len(part)
            size -= len(part)
        return b"".join(parts) if len(parts) != 1 else parts[0]
