"""docs/reference says what the code takes and gives, and leaves nothing out."""

from __future__ import annotations

import ast
import inspect
import re
from copy import copy
from importlib import import_module
from pathlib import Path

import pytest
import typer

from docs.site.command_tree import commands_of
from docs.site.exit_codes import exit_codes
from docs.site.public_names import PACKAGES, public_names
from docs.site.reference import (
    FOLDER,
    PAGES,
    SCHEMA,
    built_in_jobs,
    page_from_commands,
    schema_text,
)
from lowmem.base import errors
from lowmem.cli.main import app
from lowmem.mapping.map_description import named_job
from lowmem.protocol.options import flag_of
from tests.architecture.test_public_api import PUBLIC

ROOT = Path(__file__).parents[2]


def tree():
    return typer.main.get_command(app)


def sections_of(page: str) -> dict[str, str]:
    """Return the text below each second heading that is code."""
    parts = re.split(r"^## `(.+)`$", page, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def flags_of(section: str) -> set[str]:
    """Return the flags in the first column of a section's tables."""
    cells = re.findall(r"^\| (`-.+?`) (?:\||`[^-])", section, re.MULTILINE)
    return {flag for cell in cells for flag in re.findall(r"`(-[^`]+)`", cell)}


def all_commands(command, path="lowmem"):
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from all_commands(below, f"{path} {name}")


def undocumented(root, page: str) -> list[str]:
    """Return what a command line takes that a page does not tell."""
    sections = sections_of(page)
    lacking = []
    for path, command in all_commands(root):
        told = sections.get(path, "")
        for parameter in command.params:
            names = [*parameter.opts, *parameter.secondary_opts]
            if parameter.param_type_name == "argument":
                names = [parameter.metavar]
            lacking += [f"{path}: {n}" for n in names if f"`{n}`" not in told]
        lacking += [] if command.help and command.help in told else [path]
    return lacking


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_code_gives(name):
    told = (FOLDER / name).read_text(encoding="utf-8")
    assert told == PAGES[name](), "make reference writes it anew"


def test_the_schema_of_the_options_is_what_the_code_gives():
    assert SCHEMA.read_text(encoding="utf-8") == schema_text(), "make reference"


def test_every_command_argument_and_option_is_told():
    page = (FOLDER / "commands.md").read_text(encoding="utf-8")
    assert undocumented(tree(), page) == []
    assert set(sections_of(page)) == {path for path, _ in all_commands(tree())}


def test_an_option_that_is_not_told_is_noticed():
    page = (FOLDER / "commands.md").read_text(encoding="utf-8")
    root = tree()
    run = root.commands["run"]
    planted = copy(run.params[-1])
    planted.name, planted.opts = "planted", ["--planted"]
    run.params.append(planted)
    assert undocumented(root, page) == ["lowmem run: --planted"]
    assert page_from_commands(tuple(commands_of(root))) != page


def test_a_command_that_is_not_told_is_noticed():
    page = (FOLDER / "commands.md").read_text(encoding="utf-8")
    root = tree()
    root.commands["planted"] = copy(root.commands["jobs"])
    assert "lowmem planted" in undocumented(root, page)


def test_what_a_word_is_and_its_default_are_told():
    (found,) = (c for c in commands_of(tree()) if c.name == "lowmem exec")
    told = {o.flags[0]: (o.metavar, o.kind, o.default) for o in found.options}
    assert told["--retries"] == ("N", "whole number, at least 0", "0")
    assert told["--ram"] == ("SIZE", "size", "")
    assert told["--workspace"] == ("DIR", "text", "lowmem-work")
    assert told["--quiet"] == ("", "switch", "")
    assert told["-h"] == ("", "switch", "")


def test_every_option_of_every_built_in_job_is_told_and_no_other():
    sections = sections_of((FOLDER / "job-options.md").read_text(encoding="utf-8"))
    jobs = {job.name: job for job in built_in_jobs()}
    jobs["map"] = named_job("map:OUT.zarr")
    assert set(sections) == set(jobs)
    for name, job in jobs.items():
        flags = {flag_of(option.name) for option in job.options}
        flags |= {flag_of(f"no_{o.name}") for o in job.options if o.kind == "flag"}
        assert flags_of(sections[name]) == flags


def test_every_exit_code_is_told_here_and_in_the_readme():
    defined = {
        (str(code), name)
        for name, code in vars(errors).items()
        if name.startswith("EXIT_")
    }
    page = (FOLDER / "exit-codes.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| (\d+) \| `(\w+)` \| \w", page, re.MULTILINE)) == defined
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.partition("| exit code | meaning |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| (\d+) \|", table, re.MULTILINE)) == {
        c for c, _ in defined
    }


def test_every_error_is_told_under_the_code_that_it_has():
    kinds = [errors.LowmemError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    told = {name: found.code for found in exit_codes() for name, _ in found.errors}
    loaded = {k for k in kinds if k.__module__.startswith("lowmem.")}
    carried = {k for k in loaded if "self.exit_code" in inspect.getsource(k)}
    assert len(loaded) > 30
    for kind in loaded - carried:
        assert told[kind.__name__] == kind.exit_code, kind


def test_an_exit_code_without_a_meaning_is_refused(tmp_path):
    text = Path(errors.__file__).read_text(encoding="utf-8")
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "errors.py").write_text(f"{text}\nEXIT_PLANTED = 99\n")
    with pytest.raises(LookupError, match=r"\[99\] have no heading"):
        exit_codes(tmp_path)


def test_the_site_has_a_page_for_every_public_package():
    assert PACKAGES == PUBLIC
    for package in PACKAGES:
        name = package.rpartition(".")[2]
        page = (FOLDER / "api" / f"{name}.md").read_text(encoding="utf-8")
        assert page.endswith(f"<!-- site: api {package} -->\n")


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_found_with_what_is_said_of_it(package):
    entries = public_names(package)
    assert [entry.name for entry in entries] == import_module(package).__all__
    for entry in entries:
        assert entry.text or entry.kind == "data", entry.name
        for member in entry.members:
            assert member.text, f"{entry.name}.{member.name}"


@pytest.mark.slow
@pytest.mark.parametrize("package", ["lowmem", "lowmem.base", "lowmem.memory"])
def test_a_signature_that_is_read_is_that_of_the_object(package):
    module = import_module(package)
    compared = 0
    for entry in public_names(package):
        # Keras has tests of its own; the others are not called.
        is_keras = entry.name in {"ExactResume", "ZarrSequence", "fit"}
        if is_keras or not entry.signatures[0].startswith("("):
            continue
        (function,) = ast.parse(f"def f{entry.signatures[0]}: ...").body
        named = function.args
        rest = [named.kwarg] if named.kwarg else []
        words = [one.arg for one in (*named.args, *named.kwonlyargs, *rest)]
        assert words == list(inspect.signature(getattr(module, entry.name)).parameters)
        compared += 1
    assert compared
