#!/bin/sh
# Playwright 1.65.2 for Python: `page.on("request", seen.append)` is refused, and so is `print`.
# `on` does not only keep its handler: it writes an attribute on it, and on the object whose method it is. What takes
# none cannot listen: built-in functions and methods, and methods of a class with __slots__, a dataclass(slots=True)
# too. The error names a private attribute and neither `on` nor the handler. A lambda around it will do. Shown on
# the type of browser, which needs no browser; pages have the same `on`.
# Seen: "lambda: taken; list.append: AttributeError; print: AttributeError; method with slots: AttributeError"
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet playwright==1.65.2
"$folder/venv/bin/python" - <<'PYTHON'
from playwright.sync_api import sync_playwright


class Seen:
    __slots__ = ("all",)

    def add(self, what):
        self.all = what


handlers = {
    "lambda": lambda what: None,
    "list.append": [].append,
    "print": print,
    "method with slots": Seen().add,
}
said = {}
with sync_playwright() as playwright:
    for name, handler in handlers.items():
        try:
            playwright.chromium.on("close", handler)
            said[name] = "taken"
        except AttributeError as error:
            assert "_pw_impl_instance_" in str(error), error
            said[name] = "AttributeError"
print("; ".join(f"{name}: {what}" for name, what in said.items()))
assert list(said.values()) == ["taken", *["AttributeError"] * 3], said
PYTHON
