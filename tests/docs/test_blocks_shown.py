"""Every block of a page runs: each program by a test that is named here, each line parsed."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
import zarr

import lowmem
import lowmem.testing
from docs.site.reference import built_in_jobs
from lowmem.cli.main import app
from lowmem.pipeline.model_plan import is_of_model, trial_reference
from lowmem.protocol.job_reference import file_and_name
from lowmem.protocol.options import flag_of
from lowmem.worker.registry import find_job
from tests.driver import drive

ROOT = Path(__file__).parents[2]
GENERATED = ROOT / "docs" / "reference"
PAGES = [
    ROOT / "README.md",
    *(
        page
        for page in sorted((ROOT / "docs").rglob("*.md"))
        if not page.is_relative_to(GENERATED)
    ),
]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROGRAMS = {"python", "py"}

HERE = "docs/test_blocks_shown.py"
# By page, a word that no other of its programs has, and the file of the test that runs it.
RUN_BY = {
    "README.md": {
        "%load_ext": "docs/test_readme.py",
        "lowmem.run(": "processes/test_run_from_python.py",
    },
    "docs/checkpoint.md": {
        "rng.normal": "docs/test_checkpoint_page.py",
        "stopping": "docs/test_checkpoint_page.py",
    },
    "docs/encoders.md": {
        "def embed": "docs/test_encoders_page.py",
        "class Embed": "docs/test_encoders_page.py",
    },
    "docs/fit.md": {
        "lowmem.fit(": "docs/test_fit_page.py",
        "ExactResume": "docs/test_fit_page.py",
        "class Faces": HERE,
    },
    "docs/jobs.md": {
        "def brightness(ctx": "docs/test_jobs_page.py",
        "def total": "docs/test_jobs_page.py",
        "def add_up": "docs/test_jobs_page.py",
        "@lowmem.map": "docs/test_jobs_page.py",
        "def test_counts": HERE,
        "tf_dataset": HERE,
        "class_names": HERE,
        "def augmented": HERE,
    },
    "docs/models.md": {"def build": "docs/test_models_page.py"},
    "docs/plan.md": {"lowmem.plan(model": "processes/test_plan_model.py"},
    "docs/python.md": {
        "space = lowmem.run": "processes/test_run_from_python.py",
        "lowmem.open": "processes/test_run_from_python.py",
        "lowmem.plan": "processes/test_run_from_python.py",
    },
    "docs/scale.md": {"RowBlocks": HERE},
    "docs/tables.md": {
        "ZarrSequence": "contracts/test_pack_trained.py",
        "def words": "processes/test_pack_killed.py",
    },
}


def programs(page: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return [block for kind, block in BLOCK.findall(text) if kind in PROGRAMS]


def program(page: str, word: str) -> str:
    (found,) = (text for text in programs(page) if word in text)
    return found


def test_every_program_that_a_page_shows_is_run_by_a_test():
    shown = {str(p.relative_to(ROOT)) for p in PAGES}
    shown = {page for page in shown if programs(page)}
    assert shown == set(RUN_BY)
    for page, words in RUN_BY.items():
        found = [program(page, word) for word in words]
        assert len(set(found)) == len(programs(page)), page
        for file in words.values():
            test = (ROOT / "tests" / file).read_text(encoding="utf-8")
            assert file == HERE or Path(page).name in test


def lines_of(text: str) -> list[str]:
    """Return the lines of `lowmem` in a block, continued ones whole, without remarks."""
    whole = re.sub(r"\\\n\s*", " ", text)
    found = []
    for line in whole.splitlines():
        typed = re.search(r"(?:^|[\s!/'])lowmem ([a-z].*)$", line.partition(" # ")[0])
        if typed:
            # What follows is a remark beside it, or where the shell sends its output.
            found.append(re.split(r"\s{3,}|[>;']|&$", typed[1])[0].strip())
    return found


def commands_shown() -> list[tuple[str, str]]:
    return [
        (page.name, line)
        for page in PAGES
        for kind, text in BLOCK.findall(page.read_text(encoding="utf-8"))
        # README's own table of commands is compared by its own test.
        if kind in {"", "sh", "bash", "ini"} and "[WORKSPACE]" not in text
        for line in lines_of(text)
    ]


@pytest.mark.parametrize(("page", "line"), sorted(set(commands_shown())))
def test_every_command_that_a_page_shows_can_be_typed(page, line):
    words = shlex.split(line)
    command = typer.main.get_command(app)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    # It refuses an option that it does not have; `run` leaves those to its job.
    taken = command.make_context("lowmem", words)
    job = taken.params.get("job")
    if command.name not in {"run", "plan"} or job == "JOB" or file_and_name(job):
        return
    jobs = {job.name: job for job in built_in_jobs()}
    if is_of_model(job):
        jobs[job] = find_job(trial_reference())
    wanted = list(jobs.values()) if job == "all" else [jobs[job]]
    flags = {flag_of(option.name) for one in wanted for option in one.options}
    flags |= {flag_of(f"no_{o.name}") for one in wanted for o in one.options}
    given = {word.partition("=")[0] for word in taken.args if word.startswith("--")}
    assert given <= flags, (page, line)


def test_lines_are_found_wherever_they_stand():
    found = {line for _, line in commands_shown()}
    assert len(found) > 30
    # In quotes, after an exclamation mark, in a unit of systemd, with a remark.
    for line in ("run all", "run all --quiet --mirror gs://bucket/lowmem", "report"):
        assert line in found
    (continued,) = (line for line in found if "--shard auto" in line)
    assert continued.endswith("--time-budget auto")


# --- programs that no page's own test runs -------------------------------------------


def test_the_test_of_a_job_that_is_shown_checks_that_job(tmp_path, monkeypatch):
    # The same two lines are run as `lowmem new` writes them: processes/test_new_job.py.
    checked = []
    monkeypatch.setattr("lowmem.testing.check", checked.append)
    names: dict = {}
    exec(program("docs/jobs.md", "def test_counts"), names)  # noqa: S102 - as shown
    names["test_counts"](tmp_path)
    (case,) = checked
    assert isinstance(case, lowmem.testing.Case)
    assert (case.job, case.options, case.ram) == ("counts.py", {"rows": 8}, "300M")


def test_the_job_of_blocks_that_is_shown_makes_what_it_says(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    shown = program("docs/scale.md", "RowBlocks")
    (tmp_path / "shown_powers.py").write_text(shown)
    drive(find_job(str(tmp_path / "shown_powers.py")), tmp_path / "w", {"rows": 2500})
    made = zarr.open_group(tmp_path / "w" / "powers.zarr", mode="r")["powers"][:]
    n = np.arange(2500)
    np.testing.assert_array_equal(made, np.stack([n, n**2], axis=1))


@pytest.mark.keras
@pytest.mark.slow
# Keras' own default, of which it says that a dataset takes no notice.
@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed:UserWarning")
def test_the_sources_of_batches_that_are_shown_train_a_model(tmp_path, monkeypatch):
    import keras

    monkeypatch.chdir(tmp_path)
    images = np.zeros((96, 4, 4, 1), np.uint8)
    labels = np.arange(96, dtype=np.uint16) % 2
    group = zarr.create_group(tmp_path / "images.zarr")
    group.create_array("images", data=images)
    group.create_array("labels", data=labels).attrs["class_names"] = ["cat", "dog"]

    layers = [keras.layers.Rescaling(1 / 255), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((4, 4, 1)), *layers])
    # Their targets are what they were before they were scaled.
    model.compile("sgd", lambda x, found: keras.ops.cast(x, found.dtype) / 255 - found)
    names = {"lowmem": lowmem, "keras": keras, "model": model}
    for part in program("docs/jobs.md", "tf_dataset").split("\n\n"):
        exec(part, names)  # noqa: S102 - as shown
        names["data"].close()
    assert int(model.optimizer.iterations.numpy()) == 2 * 10 * 2
    exec(program("docs/jobs.md", "class_names"), names)  # noqa: S102 - as shown
    x, y = names["data"][0]
    assert (x.shape, len(y)) == ((64, 4, 4, 1), 64)
    assert names["data"].class_names == ("cat", "dog")
    names["data"].close()
    augmented = program("docs/jobs.md", "def augmented").replace("1000", "9")
    exec(augmented, names := names | {"np": np})  # noqa: S102 - as shown
    assert names["data"][0][0].dtype == np.float32
    assert names["held_out"][0][0].dtype == np.uint8
    names["data"].close()
    exec(program("docs/fit.md", "class Faces"), names)  # noqa: S102 - as shown
    assert names["Faces"].is_function_of_index is True
