"""A browser on the rendered book, without a network; skipped where Playwright, chromium or the book is missing."""

import functools
import os
import shutil
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from influence_lib.store import repository

HTML = Path(os.environ.get("INFLUENCE_BOOK", repository() / "_build" / "html"))
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PAGES = sorted(page.relative_to(HTML).as_posix() for page in HTML.glob("book/**/*.html") if "_static" not in page.parts)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each page of the book to the tests that ask for ``path``."""
    if "path" in metafunc.fixturenames:
        metafunc.parametrize("path", PAGES or [pytest.param("", marks=pytest.mark.skip("no book is rendered"))])


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def site() -> Iterator[str]:
    """Return the address of the rendered book, served on this machine."""
    if not PAGES:
        pytest.skip("no book is rendered: run `make book`")
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(HTML)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Return a started browser."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    with playwright.sync_playwright() as session:
        browser = session.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium: Any, site: str) -> Iterator[Any]:
    """Return an empty page whose requests to other machines fail; `problems` gathers what goes wrong."""
    context = chromium.new_context(viewport={"width": 1400, "height": 900})
    context.set_default_timeout(180_000)  # a busy machine needs a while for hundreds of formulas
    tab = context.new_page()
    tab.problems = []

    def route(request: Any) -> None:
        if request.request.url.startswith((site, "data:", "blob:")):
            request.continue_()
        else:
            tab.problems.append(f"asks for {request.request.url}")
            request.abort()

    context.route("**/*", route)
    tab.on("console", lambda said: tab.problems.append(said.text) if said.type == "error" else None)
    tab.on("pageerror", lambda error: tab.problems.append(str(error)))
    tab.on("response", lambda got: tab.problems.append(f"{got.status} for {got.url}") if got.status >= 400 else None)
    yield tab
    context.close()
