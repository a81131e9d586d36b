"""A real browser without a window: Debian's Chromium, driven by Playwright, checked by axe."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import CDPSession, Page, sync_playwright

PROGRAM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
needs_browser = pytest.mark.skipif(PROGRAM is None, reason="there is no Chromium on this machine")

READY = "globalThis.recorderPage && document.querySelector('#lanes')?.dataset.drawn"
"""True once a page of a call has drawn itself."""

_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--mute-audio", "--disable-dev-shm-usage",
    "--disable-background-networking", "--autoplay-policy=no-user-gesture-required",
)  # fmt: skip


class Browser:
    """One page of it. `page` is Playwright's, for whatever has no word here."""

    def __init__(self, page: Page, protocol: CDPSession) -> None:
        self.page, self._protocol = page, protocol
        self._troubles: list[str] = []
        self._requests: list[str] = []
        page.on("console", lambda said: self._complain(said.text, said.type == "error"))
        page.on("pageerror", lambda error: self._complain(str(error)))
        page.on("crash", lambda _: self._complain("the page crashed"))
        page.on("request", lambda request: self._requests.append(request.url))

    def _complain(self, words: str, bad: bool = True) -> None:
        if bad:
            self._troubles.append(words)

    def call(self, method: str, **params: Any) -> Any:
        """One command of the DevTools protocol, and its result."""
        return self._protocol.send(method, params)

    def open(
        self, page: Path | str, link: str = "", *, width: int = 1280, dark: bool = False,
        ready: str = READY,
    ) -> None:  # fmt: skip
        """Open a file or an address at this width, and wait until `ready` is true in it."""
        self.page.emulate_media(color_scheme="dark" if dark else "light", media="screen")
        self.page.set_viewport_size({"width": width, "height": 1000})
        self.page.goto("about:blank")
        self._troubles.clear()
        self._requests.clear()
        self.page.goto((page.as_uri() if isinstance(page, Path) else page) + link)
        self.until(ready)

    def run(self, script: str) -> Any:
        """The value of an expression in the page; a promise is waited for."""
        return self.page.evaluate(script)

    def until(self, script: str, seconds: float = 20) -> Any:
        """Wait until the expression is true: from outside, for the page's policy forbids the
        `eval` with which Playwright would do so inside."""
        end = time.monotonic() + seconds
        while not (found := self.run(script)):
            if time.monotonic() > end:
                shown = self.run("document.body?.innerText.slice(0, 400)")
                raise AssertionError(f"never true: {script}; {self.troubles()}; shown: {shown!r}")
            self.page.wait_for_timeout(20)
        return found

    def text(self, selector: str) -> str:
        """The words of what it finds."""
        return str(self.run(f"document.querySelector({json.dumps(selector)}).textContent"))

    def click(self, x: float, y: float) -> None:
        """The left button, at this place of the window."""
        self.page.mouse.click(x, y)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """The left button held from one place to another."""
        self.page.mouse.move(*start)
        self.page.mouse.down()
        self.page.mouse.move(*end, steps=5)
        self.page.mouse.up()

    def press(self, key: str) -> None:
        """A key, down and up; `Shift+ArrowLeft` with another."""
        self.page.keyboard.press(key)

    def type(self, text: str) -> None:
        """Words into what has the focus."""
        self.page.keyboard.insert_text(text)

    def settle(self) -> None:
        """Wait until what was asked for is drawn."""
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def picture(self, file: Path) -> None:
        """What is seen, as PNG."""
        self.page.screenshot(path=file)

    def troubles(self) -> list[str]:
        """Errors on the console, exceptions, and what the policy of the page refused."""
        self.run("0")  # Playwright hears of them while it waits for an answer
        return list(self._troubles)

    def requests(self) -> list[str]:
        """The addresses that were asked for, the page's own first."""
        self.run("0")
        return list(self._requests)

    def barriers(self) -> list[str]:
        """What axe finds serious or critical for people who use other means than eyes and mouse."""
        found = Axe().run(self.page).response["violations"]
        return [f"{each['id']} ({each['impact']}): {each['help']}: {_places(each)}"
                for each in found if each["impact"] in ("serious", "critical")]  # fmt: skip


def _places(violation: dict[str, Any]) -> str:
    return "; ".join(f"{node['target']} {node['failureSummary']}" for node in violation["nodes"])


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser with a profile of its own, gone at the end."""
    with sync_playwright() as playwright:
        program = playwright.chromium.launch(executable_path=PROGRAM, args=list(_FLAGS))
        try:
            context = program.new_context(permissions=["clipboard-read", "clipboard-write"])
            page = context.new_page()
            yield Browser(page, context.new_cdp_session(page))
        finally:
            program.close()
