"""The report in other programs: a real browser, and a process that must stay small."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest
from PIL import Image

from lowmem.base.workspace import Workspace
from lowmem.report.write import write_page
from tests.report_examples import START, killed_and_retried, write_journal

pytestmark = [pytest.mark.process, pytest.mark.slow]

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
    None,
)
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
    *("--no-first-run", "--disable-background-networking", "--disable-sync"),
    *("--disable-component-update", "--enable-logging=stderr", "--log-level=0"),
)
# Runs in the page under test, which itself has no script and allows none.
PROBE = """
<!DOCTYPE html><title>probe</title><iframe src="report.html" width="{width}"
height="2000"></iframe><pre id="found"></pre><script>
addEventListener("load", () => {{
  const page = document.querySelector("iframe").contentDocument;
  const sizes = query => [...page.querySelectorAll(query)].map(found => {{
    const box = found.getBoundingClientRect();
    return [Math.round(box.width), Math.round(box.height)];
  }});
  document.querySelector("#found").textContent = JSON.stringify({{
    curves: sizes(".curve svg path.line"),
    bars: sizes(".bars rect.peak").length,
    images: [...page.images].map(image => image.naturalWidth),
    overflow: page.documentElement.scrollWidth - page.documentElement.clientWidth,
  }});
}});
</script>
"""


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_draws_the_charts_and_complains_of_nothing(tmp_path, width):
    space = Workspace.at(tmp_path / "work")
    write_journal(space, killed_and_retried())
    space.generated.mkdir()
    Image.new("RGB", (40, 30), "navy").save(space.generated / "grid.png")
    write_page(space, is_live=False, now=START)
    probe = space.root / "probe.html"
    probe.write_text(PROBE.format(width=width))
    done = subprocess.run(
        [
            *(str(BROWSER), *QUIET, f"--user-data-dir={tmp_path / 'profile'}"),
            *("--allow-file-access-from-files", "--dump-dom", probe.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "CONSOLE" not in done.stderr
    found = json.loads(done.stdout.split('<pre id="found">')[1].split("</pre>")[0])
    (curve,) = found["curves"]
    assert curve[0] > width / 2
    assert curve[1] > 50
    assert found["bars"] == 41
    assert found["images"] == [40]
    assert found["overflow"] <= 0


@pytest.mark.parametrize(
    ("modules", "forbidden"),
    [
        ("read, lowmem.report.text, lowmem.report.status", {"jinja2", "numpy", "PIL"}),
        ("write", {"numpy", "PIL", "matplotlib"}),
    ],
)
def test_a_process_that_reports_loads_no_array_library(modules, forbidden):
    code = f"import sys, json, lowmem.report.{modules}; print(json.dumps(list(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert forbidden.isdisjoint(json.loads(done.stdout))
