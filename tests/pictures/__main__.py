"""Record the demo call, export its page, and take the README's two pictures of it.

    python -m tests.pictures            # anew, into this folder

Each is checked to be small enough for a repository.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.browser_kit import Browser, browser

HERE: Final = Path(__file__).parent
MOST_BYTES: Final = 150_000
WIDTH: Final = 1100


def whole_call(page: Browser, file: Path) -> None:
    """The whole call by day: lanes, transcript, turns."""
    page.open(file, "#t=6.4", width=WIDTH)
    page.page.set_viewport_size({"width": WIDTH, "height": 950})
    page.page.locator(".turn").nth(2).locator(".fall button").last.focus()
    page.run("(document.activeElement.blur(), scrollTo(0, 0))")


def barge_in(page: Browser, file: Path) -> None:
    """The assistant is talked over, by night: what nobody heard is grey; the raw events."""
    page.open(file, "#t=13.4&z=2.4", width=WIDTH, dark=True)
    page.page.set_viewport_size({"width": WIDTH, "height": 790})
    page.press("e")
    page.page.locator(".event").nth(6).click()
    page.run("scrollTo(0, 0)")


def exported(folder: Path) -> Path:
    """The demo's page."""
    recorder = [sys.executable, "-m", "recorder.cli", "--db", str(folder / "calls.db")]
    file = folder / "call.html"
    subprocess.run([*recorder, "demo", "-d", str(folder)], check=True, stdout=subprocess.DEVNULL)
    wanted = ["export", "html", "latest", "--full", "--yes", "-o", str(file)]
    subprocess.run([*recorder, *wanted], check=True)
    return file


def main() -> None:
    """Both pictures."""
    with tempfile.TemporaryDirectory(prefix="recorder-pictures-") as folder, browser() as page:
        file = exported(Path(folder))
        for take in (whole_call, barge_in):
            take(page, file)
            page.run("recorderPage.loadSound()")
            page.settle()
            picture = HERE / f"{take.__name__}.png"
            page.picture(picture)
            size = picture.stat().st_size
            print(f"{picture.name}: {size:,} bytes")
            if size > MOST_BYTES:
                sys.exit(f"{picture.name} is larger than {MOST_BYTES:,} bytes")


if __name__ == "__main__":
    main()
