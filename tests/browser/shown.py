"""A page in a real Chromium, and all that it did there beside being shown."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Dialog, Page

BINARY = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
    None,
)
# Nothing of the browser's own may ask the network, whatever a page does.
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update"),
    "--disable-sync",
)
# Of `COUNTING`: too much to be done before it is stopped, however slow the test is.
ENDLESS = ("--set", "rows=10000", "--set", "pause=0.05")
# Left to be looked at, in a folder that git ignores.
PICTURES = Path(__file__).parents[2] / "build" / "pages"
WIDTHS = (1280, 390)
SCHEMES = ("light", "dark")
_GRAVE = {"serious", "critical"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A page, and what it said and asked for.

    Attributes
    ----------
    complaints
        Words in the console, errors and dialogs.
    requests
        Addresses, the page's own first.
    """

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Note from now on what the page says and asks for."""

        def dismiss(dialog: Dialog) -> None:
            self.complaints.append(f"dialog: {dialog.message}")
            dialog.dismiss()

        self.page.on("console", lambda said: self.complaints.append(said.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("dialog", dismiss)

    @property
    def overflow(self) -> int:
        """Pixels by which the page can be scrolled sideways."""
        return self.page.evaluate(
            "() => { scrollTo(1e6, 0); const x = scrollX; scrollTo(0, 0); return x; }"
        )

    def unfold(self) -> None:
        """Open all that can be opened but the figures."""
        self.page.eval_on_selector_all(
            "details:not(.zoom)", "found => found.forEach(one => { one.open = true; })"
        )

    def grave_faults(self) -> list[str]:
        """Return what axe-core calls serious or critical, by rule and element."""
        from axe_playwright_python.sync_playwright import Axe

        # With preload it would ask for the styles once more, and be refused aloud.
        options = {"resultTypes": ["violations"], "preload": False}
        found = Axe().run(self.page, options=options).response["violations"]
        return [
            f"{one['id']}: {node['target']}"
            for one in found
            if one["impact"] in _GRAVE
            for node in one["nodes"]
        ]

    def picture(self, name: str) -> Path:
        """Keep how the whole page looks."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        path = PICTURES / f"{name}.png"
        self.page.screenshot(path=path, full_page=True)
        return path


@contextmanager
def shown(
    browser: Browser, path: Path, *, width: int = 1280, scheme: str = "light"
) -> Iterator[Shown]:
    """Open a file as a person does, in a window of that width."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme
    )
    try:
        seen = Shown(page=context.new_page())
        seen.watch()
        seen.page.goto(path.as_uri())
        yield seen
    finally:
        context.close()
