"""The site has every page and picture, and loads nothing from elsewhere."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

from docs.site import definition_lists
from docs.site.definition_lists import faults, with_plain_signatures
from docs.site.outside import outside
from docs.site.sources import findings_text, notebooks_text

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
INDEX = (DOCS / "index.md").read_text(encoding="utf-8")


def in_navigation() -> list[str]:
    trees = re.findall(r"^```\{toctree\}\n(.*?)^```$", INDEX, re.MULTILINE | re.DOTALL)
    lines = [line for tree in trees for line in tree.splitlines()]
    return [line for line in lines if line and not line.startswith(":")]


def test_every_page_is_in_the_navigation_once():
    pages = {p.relative_to(DOCS).with_suffix("").as_posix() for p in DOCS.rglob("*.md")}
    assert sorted(in_navigation()) == sorted(pages - {"index"})


def test_the_front_page_is_the_readme_itself():
    assert "```{include} ../README.md\n" in INDEX
    assert not re.search(r"^#", INDEX, re.MULTILINE)


def test_every_picture_is_in_the_gallery():
    page = (DOCS / "gallery.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"\]\(pictures/([\w-]+\.\w+)\)", page))
    assert shown == {path.name for path in (DOCS / "pictures").iterdir()}


def test_every_finding_is_listed_with_what_its_comment_says():
    text = findings_text()
    scripts = list((ROOT / "findings").iterdir())
    assert scripts
    for script in scripts:
        told = text.partition(f"## `{script.name}`\n\n")[2].partition("\n## ")[0]
        first = script.read_text(encoding="utf-8").splitlines()[1]
        assert first.lstrip("# ")[:30] in re.sub(r"\\(.)", r"\1", told)
        assert "\n\nSeen: " in told


def test_what_a_comment_says_is_no_markup(tmp_path):
    (tmp_path / "a.sh").write_text(
        "#!/bin/sh\n# a_b_c [1] <b>.\n# Seen: `x`\nset -eu\n"
    )
    assert findings_text(tmp_path) == (
        "## `a.sh`\n\na\\_b\\_c \\[1\\] \\<b\\>.\n\nSeen: \\`x\\`"
    )


def test_every_cell_of_every_notebook_is_shown():
    text = notebooks_text()
    notebooks = list((ROOT / "colab").glob("*.py"))
    assert len(notebooks) > 1
    for notebook in notebooks:
        for line in notebook.read_text(encoding="utf-8").splitlines():
            if not line.startswith("# %%"):
                assert line.lstrip("#").strip() in text
    assert text.startswith("## ")
    assert "\n```python\n%pip install" in text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.html", '<script src="https://cdn.example/a.js"></script>'),
        ("a.html", '<link rel="stylesheet" href="//fonts.example/css">'),
        ("a.html", '<link rel="preconnect" href="https://fonts.example">'),
        ("a.html", '<img srcset="a.png, https://example.org/a.png 2x">'),
        ("a.html", "<style>@import 'https://example.org/a.css';</style>"),
        ("a.html", '<p style="background: url(https://example.org/a.png)">'),
        ("a.html", '<script>fetch("https://example.org/a")</script>'),
        ("a.css", "@font-face { src: url('https://fonts.example/a.woff2') }"),
        ("a.js", 'x.open("GET", "https://example.org/a")'),
        ("a.js", "const m = await import('https://example.org/a.mjs')"),
        ("a.svg", '<svg><image href="https://example.org/a.png"/></svg>'),
    ],
)
def test_what_a_page_would_load_from_elsewhere_is_found(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    (found,) = outside(tmp_path)
    assert found.startswith(f"{name}: ")
    assert "example" in found


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.html", '<a href="https://example.org">x</a><img src="a.png">'),
        ("a.html", '<link rel="canonical" href="https://example.org/a.html">'),
        ("a.html", '<script src="_static/a.js?v=1"></script>'),
        ("a.html", '<pre>fetch("https://example.org/a")</pre>'),
        ("a.css", "/* https://example.org */ a { background: url(a.png) }"),
        ("a.svg", '<svg xmlns="http://www.w3.org/2000/svg"><use href="#a"/></svg>'),
    ],
)
def test_a_link_to_follow_and_a_file_of_the_site_are_no_matter(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert outside(tmp_path) == []


def leading_out(page: Path) -> list[str]:
    """Return the links of a page to files that the site does not hold."""
    links = re.findall(r"\]\(([^)\s#]+)[^)\s]*\)", page.read_text(encoding="utf-8"))
    targets = {link: (page.parent / link).resolve() for link in links}
    return [
        link
        for link, target in targets.items()
        if "://" not in link
        and target != ROOT / "README.md"
        and not (target.is_relative_to(DOCS) and target.suffix in {".md", ".png"})
    ]


@pytest.mark.parametrize(
    "page",
    [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_a_page_links_to_pages_of_the_site_alone(page):
    assert leading_out(page) == [], (
        "make docs would fail: name the file in code instead"
    )


def test_a_link_that_leads_out_of_the_site_is_noticed(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("[a](../jobs/job.py) [b](https://example.org) [c](x.md#there)")
    assert leading_out(page) == ["../jobs/job.py", "x.md"]


# As Sphinx writes it: the list is the term of the one around it.
SIGNATURE = """
<dl class="py class">
<dt class="sig sig-object py" id="lowmem.fit">
<span class="sig-name">fit</span><span class="sig-paren">(</span>

<dl>
<dd><em class="sig-param"><span class="n">model</span>: <a href="#">Model</a></em>,</dd>
<dd><em class="sig-param"><span class="n">epochs</span>: int = 1</em>,</dd>
</dl>

<span class="sig-paren">)</span><a class="headerlink" href="#lowmem.fit">x</a></dt>
<dd><p>Train.</p>
<dl class="field-list simple">
<dt class="field-odd">Parameters<span class="colon">:</span></dt>
<dd class="field-odd"><ul class="simple"><li><p>model</p></li></ul>
</dd>
</dl>
</dd></dl>
"""


def test_a_signature_of_several_lines_is_a_list_of_parameters_and_no_list_of_terms():
    assert faults(SIGNATURE) == ["line 9: a list of dd dd"]
    mended = with_plain_signatures(SIGNATURE)
    assert faults(mended) == []
    assert mended.count("<li>") == 3
    assert mended.count("<dl") == mended.count("</dl>") == 2
    # What a reader sees is the same.
    words = re.compile(r"<[^>]*>")
    assert words.sub("", mended) == words.sub("", SIGNATURE)


@pytest.mark.parametrize(
    ("page", "n_faults"),
    [
        ("<dl><div><dt>a</dt><dd>b</dd></div></dl>", 0),
        (
            "<dl><dt>a<br></dt><dd><img src='x'><dl><dt>b</dt><dd>c</dd></dl></dd></dl>",
            0,
        ),
        ("<dl></dl>", 1),
        ("<dl><dt>a</dt><dd>b</dd><dt>c</dt></dl>", 1),
        ("<dl><p>a</p><dt>a</dt><dd>b</dd></dl>", 1),
        ("<dl><div><dt>a</dt><dd>b</dd></div><dt>c</dt><dd>d</dd></dl>", 1),
        ("<ul><dt>a</dt></ul>", 1),
    ],
)
def test_a_definition_list_has_terms_each_with_what_is_said_of_it(page, n_faults):
    assert len(faults(page)) == n_faults


def test_the_examples_of_definition_lists_hold():
    ended = doctest.testmod(definition_lists)
    assert ended.attempted
    assert not ended.failed
