"""A real Jupyter server with its default limits, and a kernel behind it, used as a browser uses them."""

from __future__ import annotations

import json
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import websocket

from tests.jupyter_servers import jupyter_server
from tests.notebook.kernels import Executed

_SECONDS = 60


class ServedKernel:
    """A kernel at the other end of a server's WebSocket."""

    def __init__(self, connection: websocket.WebSocket) -> None:
        self._connection = connection

    def run(self, code: str) -> Executed:
        """Run a cell to its end, and give the messages that the server let through."""
        identity = uuid.uuid4().hex
        header = {"msg_id": identity, "msg_type": "execute_request", "session": "s", "username": "u", "version": "5.3"}
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": True, "stop_on_error": True}
        request = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
        self._connection.send(json.dumps(request))
        executed = Executed(status="")
        is_idle = False
        while not (is_idle and executed.status):
            message = json.loads(self._connection.recv())
            kind, content = message["header"]["msg_type"], message["content"]
            if message["parent_header"].get("msg_id") != identity:
                continue
            if kind == "execute_reply":
                executed.status = content["status"]
            elif kind == "status":
                is_idle = content["execution_state"] == "idle"
            elif message["channel"] == "iopub" and kind != "execute_input":
                executed.messages.append((kind, content))
        return executed


@contextmanager
def served_kernel(kubeconfig: Path, folder: Path) -> Iterator[ServedKernel]:
    """Start a server and a kernel with kexec_magic loaded and KUBECONFIG set."""
    environment = {
        "KUBECONFIG": str(kubeconfig),
        "JUPYTER_RUNTIME_DIR": str(folder),
        "IPYTHONDIR": str(folder / "ipython"),
    }
    with jupyter_server(("jupyter_server",), folder, folder, environment) as (url, token):
        request = urllib.request.Request(f"{url}api/kernels", data=b"{}", headers={"Authorization": f"token {token}"})
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
            kernel = json.load(answer)["id"]
        address = f"{url.replace('http:', 'ws:')}api/kernels/{kernel}/channels"
        connection = websocket.create_connection(address, timeout=_SECONDS, header={"Authorization": f"token {token}"})
        served = ServedKernel(connection)
        try:
            assert served.run("%load_ext kexec_magic").status == "ok"
            yield served
        finally:
            connection.close()
