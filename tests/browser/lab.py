"""A real JupyterLab in a headless Chromium, and the few things that a reader of a notebook does there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, sync_playwright

from tests.jupyter_servers import jupyter_server

_MILLISECONDS = 60_000
# Without these Chromium looks for its makers' servers at every start.
_QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-dev-shm-usage",
]


class Lab:
    """One notebook, open in JupyterLab."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def run_all(self) -> None:
        """Run every cell; errors stop it, as for everybody."""
        self.page.locator(".lm-MenuBar-itemLabel", has_text="Run").click()
        self.page.locator(".lm-Menu-itemLabel", has_text="Run All Cells").first.click()

    def cell(self, mark: str) -> Locator:
        """Give the code cell whose source holds a text."""
        return self.page.locator(".jp-CodeCell").filter(has_text=mark).first

    def output(self, mark: str) -> Locator:
        """Give the output area of that cell."""
        return self.cell(mark).locator(".jp-OutputArea-child .jp-OutputArea-output")

    def wait_for_output(self, mark: str, text: str) -> None:
        """Wait until that cell's output holds a text; outside the view JupyterLab renders none."""
        self.cell(mark).scroll_into_view_if_needed()
        self.output(mark).filter(has_text=text).first.wait_for(timeout=_MILLISECONDS)

    def wait_until_idle(self) -> None:
        """Wait until no cell is running or waiting to."""
        self.page.wait_for_function(
            "() => ![...document.querySelectorAll('.jp-InputPrompt')].some(e => e.textContent.includes('*'))",
            timeout=_MILLISECONDS,
        )

    def interrupt(self) -> None:
        """Press the stop square of the toolbar."""
        self.page.locator('[data-command="notebook:interrupt-kernel"]').first.click()

    def take_picture(self, path: Path, last: str) -> None:
        """Save a picture of the notebook, from its top to the end of the cell with that text."""
        self.page.locator(".jp-Notebook-footer").first.click()
        self.page.keyboard.press("Escape")
        panel = self.page.locator(".jp-NotebookPanel-notebook").bounding_box()
        end = self.cell(last).bounding_box()
        assert panel is not None
        assert end is not None
        clip = {
            "x": panel["x"],
            "y": panel["y"],
            "width": panel["width"],
            "height": end["y"] + end["height"] - panel["y"],
        }
        self.page.screenshot(path=path, clip=clip)  # type: ignore[arg-type]


@contextmanager
def lab(notebook: Path, kubeconfig: Path, folder: Path) -> Iterator[Lab]:
    """Open a copy of a notebook in a JupyterLab of its own, its kernel on that kubeconfig."""
    shutil.copy(notebook, folder / notebook.name)
    with _server(folder, kubeconfig) as (url, token), _browser() as browser:
        page = browser.new_page(viewport={"width": 1100, "height": 1000}, device_scale_factor=1.5)
        page.goto(f"{url}lab/tree/{notebook.name}?token={token}", timeout=_MILLISECONDS)
        page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=_MILLISECONDS)
        # Before its session is connected JupyterLab asks for a kernel instead of running a cell.
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=_MILLISECONDS)
        yield Lab(page)


@contextmanager
def _browser() -> Iterator[Browser]:
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    if executable is None:
        raise FileNotFoundError("the browser tests need Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=_QUIET)
        yield browser
        browser.close()


@contextmanager
def _server(folder: Path, kubeconfig: Path) -> Iterator[tuple[str, str]]:
    home = folder / "home"
    notifications = home / "lab" / "@jupyterlab" / "apputils-extension"
    notifications.mkdir(parents=True)
    (notifications / "notification.jupyterlab-settings").write_text('{"fetchNews": "false", "checkForUpdates": false}')
    environment = {"KUBECONFIG": str(kubeconfig), "JUPYTERLAB_SETTINGS_DIR": str(home / "lab")}
    with jupyter_server(("jupyter", "lab"), folder, home, environment) as found:
        yield found
