"""The cell magic in a real Jupyter kernel, started and spoken to as a notebook does."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

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


def test_other_errors_are_the_cells_own(outputs):
    ((name, text),) = error(outputs[6])
    assert (name, text) == ("ZeroDivisionError", "division by zero")
    told = json.dumps(outputs[5])
    assert "--ram" in told
