"""The cell magic in a real Jupyter kernel, started and spoken to as a notebook does."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from lowmem.base.units import format_budget
from lowmem.memory.machine import default_ram_budget_bytes, read_machine

pytestmark = [
    pytest.mark.process,
    pytest.mark.slow,
    pytest.mark.memory,
    pytest.mark.alone,
]

CELLS = [
    "%load_ext lowmem\nimport os\nkept = 41",
    "%%lowmem --ram 300MiB\nx = b'x' * 10**6\nlen(x) + 1",
    "%%lowmem --ram 300MiB\ndef load_all():\n    return b'x' * 10**9\nload_all()",
    "%%lowmem --ram 300MiB\nheld = []\nwhile True:\n    held.append(b'x' * 2**20)",
    "held = None\nkept + 1",
    "%%lowmem\n1",
    "%%lowmem --ram 300MiB\n1 / 0",
    "import lowmem\nwith lowmem.budget(ram='300MiB'):\n    b'x' * 10**9",
    """@lowmem.supervised(ram="200MiB", retries=({"n": 10**6},))
def fill(n=10**9):
    return len(b"x" * n)

fill()""",
    "lowmem.supervised(ram='200MiB')(fill.__wrapped__)()",
    """@lowmem.supervised(ram="200MiB")
def fail():
    return {}[3]

try:
    fail()
except lowmem.FunctionError as error:
    told = error.kind, error.where
told""",
    # Awaiting: 11 to 20.
    """import asyncio, subprocess, sys
async def five():
    await asyncio.sleep(0.01)
    return 5
# Shared memory, which no limit of the kernel's refuses.
filling = "import mmap; m = mmap.mmap(-1, 10**9)\\nwhile True: m.write(b'x' * 10**6)"
""",
    "%%lowmem --ram 300MiB\nsixth = await five() + 1\nawait five() + sixth",
    """%%lowmem --ram 300MiB
async def load_all():
    await asyncio.sleep(0)
    return b'x' * 10**9
await load_all()""",
    """%%lowmem --ram 300MiB
hog = subprocess.Popen([sys.executable, '-c', filling])
await asyncio.sleep(60)""",
    """with lowmem.budget(ram="300MiB") as used:
    seventh = await five() + 2
seventh, used.peak_bytes > 0""",
    """with lowmem.budget(ram="300MiB"):
    hog = subprocess.Popen([sys.executable, '-c', filling])
    await asyncio.sleep(60)""",
    """async def holding(seconds):
    with lowmem.budget(ram="300MiB"):
        await asyncio.sleep(seconds)

ends = await asyncio.gather(holding(0.1), holding(0.2), return_exceptions=True)
[str(end) for end in ends]""",
    "%%lowmem --ram 300MiB\nawait five())",
    "%autoawait off",
    "%%lowmem --ram 300MiB\nawait five()",
    "%autoawait asyncio",
    "%%lowmem --ram 300MiB\ndef annotated(x: int): ...\nannotated.__annotations__",
    # What is refused, and a bug: 23 to 27.
    "lowmem.open('nowhere')",
    "lowmem.budget(ram=-1)",
    "def deep():\n    return lowmem.run(3)\ndeep()",
    "lowmem.open('.').arrays['missing']",
    """from lowmem.base.errors import InternalError
def broken():
    raise InternalError(problem='it broke')
broken()""",
    "kept + 2",
]
# In a process of its own, so that what the client's libraries warn of stays there.
PROGRAM = """
import json, sys, nbclient
from nbformat.v4 import new_code_cell, new_notebook
cells = json.loads(sys.argv[1])
notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
client = nbclient.NotebookClient(
    notebook, kernel_name="python3", allow_errors=True, timeout=100
)
client.execute()
print(json.dumps([cell.outputs for cell in notebook.cells]))
"""


@pytest.fixture(scope="module")
def outputs():
    pytest.importorskip("ipykernel", reason="no Jupyter kernel is installed")
    pytest.importorskip("nbclient", reason="no Jupyter client is installed")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(CELLS)],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def value(cell):
    return [
        o["data"]["text/plain"] for o in cell if o["output_type"] == "execute_result"
    ]


def error(cell):
    return [(o["ename"], o["evalue"]) for o in cell if o["output_type"] == "error"]


def test_a_cell_shows_its_value_and_its_peak(outputs):
    assert value(outputs[1]) == ["1000001"]
    (told,) = [o["text"] for o in outputs[1] if o["output_type"] == "stream"]
    assert "RAM peak" in told
    assert "of 300.0 MiB" in told


@pytest.mark.parametrize(("cell", "place"), [(2, "In[3]:3 in load_all"), (3, "In[4]:")])
def test_a_cell_that_asks_for_too_much_names_its_line_as_the_notebook_shows_it(
    outputs, cell, place
):
    ((name, text),) = error(outputs[cell])
    assert name == "BudgetExceededError"
    assert text.startswith(place), text


def test_a_block_that_asks_for_too_much_names_the_cell_it_stands_in(outputs):
    ((name, text),) = error(outputs[7])
    assert name == "BudgetExceededError"
    assert text.startswith("In[8]:3 in "), text


def test_a_supervised_function_of_a_cell_is_tried_again_with_its_retries(outputs):
    assert value(outputs[8]) == ["1000000"]


def test_a_supervised_function_names_its_line_in_the_cell_that_defined_it(outputs):
    ((name, text),) = error(outputs[9])
    assert name == "BudgetExceededError"
    assert text.startswith("In[9]:3 in fill"), text
    assert value(outputs[10]) == ["('KeyError', 'In[11]:3 in fail')"]


def test_the_kernel_and_its_variables_survive(outputs):
    assert value(outputs[4]) == ["42"]
    assert value(outputs[-1]) == ["43"]


def test_a_cell_that_awaits_shows_its_value_and_its_peak(outputs):
    assert value(outputs[12]) == ["11"]
    (told,) = [o["text"] for o in outputs[12] if o["output_type"] == "stream"]
    assert "RAM peak" in told


def test_a_block_may_await(outputs):
    assert value(outputs[15]) == ["(7, True)"]


@pytest.mark.parametrize(
    ("cell", "place"),
    [(13, "In[14]:4 in load_all"), (14, "In[15]:3"), (16, "In[17]:3")],
    ids=["allocated after an await", "child, in a cell", "child, in a block"],
)
def test_what_asks_for_too_much_while_it_awaits_names_its_line(outputs, cell, place):
    ((name, text),) = error(outputs[cell])
    assert name == "BudgetExceededError"
    assert text.startswith(place), text


def test_budgets_of_tasks_that_run_together_are_refused(outputs):
    (text,) = value(outputs[17])
    assert text.startswith("['None',")
    assert "another task holds a budget" in text


def test_a_cell_that_cannot_be_awaited_says_why(outputs):
    assert [name for name, _ in error(outputs[18])] == ["SyntaxError"]
    ((name, text),) = error(outputs[20])
    assert name == "UsageError"
    assert "%autoawait" in text


def test_annotations_of_a_cell_are_what_they_are_in_any_other(outputs):
    assert value(outputs[22]) == ["{'x': int}"]


def test_other_errors_are_the_cells_own(outputs):
    ((name, text),) = error(outputs[6])
    assert (name, text) == ("ZeroDivisionError", "division by zero")


def test_a_cell_without_a_budget_gets_that_of_a_job(outputs):
    assert value(outputs[5]) == ["1"]
    (told,) = [o["text"] for o in outputs[5] if o["output_type"] == "stream"]
    given = format_budget(default_ram_budget_bytes(read_machine()))
    assert f"of {given.partition('.')[0]}" in told


def test_what_is_shown_of_an_error_has_no_frame_of_lowmems(outputs):
    found = [o for cell in outputs for o in cell if o["output_type"] == "error"]
    # A cell that cannot be compiled is IPython's own matter.
    shown = [o for o in found if o["ename"] != "SyntaxError"]
    assert len(shown) > 7
    for one in shown:
        told = "\n".join(one["traceback"])
        assert "/lowmem/inline/" not in told, told
        if one["ename"] == "BudgetExceededError":
            assert len(one["traceback"]) == 1
            assert one["traceback"][0].startswith("lowmem: In[")


@pytest.mark.parametrize("cell", [20, 23, 24, 25, 26])
def test_whatever_lowmem_refuses_is_told_by_one_paragraph(outputs, cell):
    ((name, text),) = error(outputs[cell])
    (shown,) = (o["traceback"] for o in outputs[cell] if o["output_type"] == "error")
    assert shown == [f"lowmem: {text}"]
    assert name == "UsageError"


def test_a_bug_of_lowmems_is_told_with_its_frames(outputs):
    (shown,) = (o["traceback"] for o in outputs[27] if o["output_type"] == "error")
    assert shown[0] == "Traceback (most recent call last):"
    assert "in broken" in "\n".join(shown)
    assert "This is a bug in lowmem" in shown[-1]
