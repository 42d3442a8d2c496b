"""docs/exec.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import typer

from lowmem.base.workspace import Workspace
from lowmem.cli.main import app
from lowmem.supervisor import program_attempt, program_run
from lowmem.supervisor.exec_files import ExecFiles
from lowmem.supervisor.forwarded_signals import PASSED_ON

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/exec.md").read_text()


def column(title: str) -> set[str]:
    """Return the words in code of the first column of the table under a title."""
    (table,) = re.findall(rf"\| {title} \|.*?\n\n", TEXT, re.DOTALL)
    return set(re.findall(r"^\| `([\w-]+)", table, re.MULTILINE))


def test_every_option_of_exec_is_on_the_page_and_no_other():
    command = typer.main.get_command(app).commands["exec"]
    flags = {
        parameter.opts[0]
        for parameter in command.params
        if parameter.opts[0].startswith("--") and parameter.name != "help"
    }
    assert column("option") == flags


def test_every_variable_that_a_program_may_use_is_on_the_page(tmp_path):
    desk = ExecFiles(space=Workspace.at(tmp_path), job="x", recipe={}, clock=None)
    told = set(desk.environment())
    told |= set(
        re.findall(r'"(LOWMEM_[A-Z_]+)"', Path(program_run.__file__).read_text())
    )
    assert column("variable") == told
    others = re.findall(r'"(LOWMEM_\w+)"', Path(program_attempt.__file__).read_text())
    assert set(others) == {"LOWMEM_STACKS"}, "those are lowmem's own"


def test_every_signal_that_is_passed_on_is_on_the_page():
    (said,) = re.findall(r"\*\*Signals\*\* (.*?) to the command", TEXT)
    names = {number.name.removeprefix("SIG") for number in PASSED_ON}
    assert set(re.findall(r"[A-Z]+[12]?", said)) == names


def test_the_readme_leads_to_the_page():
    assert "(docs/exec.md)" in (ROOT / "README.md").read_text()
