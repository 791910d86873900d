"""Whose socket is at the other end of a loopback connection.

The sandbox's tokens are known to everybody, and its commands run as the user who started it: on a machine with several
users the loopback address alone would not be enough. (The client's key is safe in a file that only its owner reads.)
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["is_own_user"]

# One for connections made to 127.0.0.1 and one for those made through IPv6 sockets.
_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))


def is_own_user(client_port: int, server_port: int) -> bool:
    """Tell whether the client's socket belongs to this user or to root; on machines without /proc nobody can tell: yes.

    Source: proc_net_tcp.rst of the Linux kernel: local address, remote address and, eighth, the user's id.
    """
    tables = [table for table in _TABLES if table.exists()]
    for table in tables:
        for line in table.read_text().splitlines()[1:]:
            columns = line.split()
            ports = [int(address.rsplit(":", 1)[1], 16) for address in columns[1:3]]
            if ports == [client_port, server_port]:
                return int(columns[7]) in (0, os.getuid())
    return not tables
