"""Execute the quickstart with a real kernel, print what a reader would see, and save it as a notebook and a page.

python notebooks/demo.py                       on the sandbox, which it starts and stops
python notebooks/demo.py --kubeconfig FILE     on the pods of a cluster
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from traitlets.config import Config

from kexec_magic.sandbox import Sandbox

HERE = Path(__file__).resolve().parent
SECONDS_PER_CELL = 120


def main() -> int:
    """Run the demo; 0 if every cell did what the notebook expects of it."""
    parser = argparse.ArgumentParser(description="Execute notebooks/quickstart.ipynb and show its transcript.")
    parser.add_argument("--kubeconfig", type=Path, help="run on this cluster instead of the sandbox")
    parser.add_argument("--out", type=Path, default=HERE / "executed", help="folder for the executed copy and the page")
    options = parser.parse_args()

    with ExitStack() as stack:
        kubeconfig = options.kubeconfig
        if kubeconfig is None:
            sandbox = stack.enter_context(Sandbox())
            kubeconfig = sandbox.kubeconfig
            print(f"sandbox: {sandbox.url}\n         {sandbox.isolation.describe()}\n")
        os.environ["KUBECONFIG"] = str(kubeconfig)
        notebook = execute(HERE / "quickstart.ipynb")

    saved, page = save(notebook, options.out)
    print("\nAll cells did what they should.")
    print(f"  executed copy   {saved}")
    print(f"  as a page       {page}")
    print("  in JupyterLab   make lab, then open quickstart.ipynb (run %ksandbox in it if you have no cluster)")
    return 0


def execute(path: Path) -> Any:
    """Execute a notebook cell by cell, printing each with its outputs as soon as it is done."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=SECONDS_PER_CELL,
        kernel_name="python3",
        coalesce_streams=True,
        # Sockets of this user's own: over TCP the kernel warns that nothing is encrypted.
        config=Config({"KernelManager": {"transport": "ipc"}, "AsyncKernelManager": {"transport": "ipc"}}),
    )
    client.on_cell_executed = lambda cell, cell_index, execute_reply: show(cell)
    client.execute()
    return notebook


def show(cell: Any) -> None:
    """Print one code cell and its outputs, as a transcript."""
    print(f"In [{cell.execution_count}]:")
    print(indented(cell.source, "    "))
    for output in cell.outputs:
        match output.output_type:
            case "stream":
                print(indented(output.text, f"{output.name:>6} | "))
            case "error":
                print(indented("\n".join(output.traceback), " error | "))
            case "execute_result" | "display_data":
                print(indented(output.data.get("text/plain", ""), "result | "))
    print(flush=True)


def indented(text: str, margin: str) -> str:
    """Put a margin before every line."""
    return "\n".join(margin + line for line in text.rstrip("\n").split("\n"))


def save(notebook: Any, folder: Path) -> tuple[Path, Path]:
    """Write the executed notebook and an HTML page of it; give both paths."""
    folder.mkdir(parents=True, exist_ok=True)
    saved, page = folder / "quickstart.ipynb", folder / "quickstart.html"
    nbformat.write(notebook, saved)
    body, _ = HTMLExporter().from_notebook_node(notebook)
    page.write_text(body, encoding="utf-8")
    return saved, page


if __name__ == "__main__":
    sys.exit(main())
