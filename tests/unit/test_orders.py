"""From a command line and lowmem.toml to orders; nothing is started here."""

from __future__ import annotations

import msgspec
import pytest

from lowmem.base.clock import SystemClock
from lowmem.base.config import read_config
from lowmem.base.errors import (
    ConfigError,
    DataError,
    LowmemError,
    OptionValueError,
    QuantityError,
    UnknownOptionError,
    UsageError,
)
from lowmem.base.units import format_bytes
from lowmem.base.workspace import Workspace
from lowmem.history.job_history import DoneRun
from lowmem.memory.budget import SOFT_SHARE
from lowmem.pipeline.compose import order_of
from lowmem.pipeline.orders import (
    DEFAULT_SEED,
    RunBudgets,
    RunOptions,
    chosen_budgets,
    given_options,
    job_order,
    misspelt_tables,
    with_config,
)
from lowmem.protocol.messages import Planned, PlannedRung
from lowmem.protocol.option import Option
from lowmem.protocol.records import JobBegun, JobEnded
from lowmem.protocol.told_jobs import JobDescription
from lowmem.supervisor.order import SUPERVISOR_BYTES
from lowmem.supervisor.planner import adds_to_others
from lowmem.supervisor.prepare import prepare
from lowmem.supervisor.run_records import gpu_wish
from lowmem.supervisor.trials import TrialBench
from lowmem.supervisor.user_messages import refusal


def described(name, *options):
    return JobDescription(name=name, summary="", unit="rows", options=options)


TRAIN = described(
    "train",
    Option(name="batch_size", kind="int", default=64, minimum=1),
    Option(name="batch_norm", kind="flag", default=False),
    Option(name="data", kind="str", default="own", is_shared=False),
)
ENCODE = described(
    "encode",
    Option(name="batch_size", kind="int", default=32, minimum=1),
    Option(name="data", kind="str", default="own", is_shared=False),
)
BUDGETS = RunBudgets(ram_bytes=10**9, vram_bytes=None, time_s=None)


def ordered(
    job=TRAIN, *, line=(), pins=(), config=None, jobs=None, command=(), **options
):
    return job_order(
        job,
        reference=job.name,
        options=with_config(RunOptions(**options), {}),
        budgets=BUDGETS,
        given=given_options(line, pins, jobs or [job]),
        config=config or {},
        is_pipeline=jobs is not None,
        deadline=None,
        command=command,
    )


# --- the options of a job ---------------------------------------------------------


def test_a_value_follows_its_option_or_stands_behind_an_equals_sign():
    assert ordered(line=["--batch-size", "8"]).options["batch_size"] == 8
    assert ordered(line=["--batch-size=8"]).options["batch_size"] == 8


@pytest.mark.parametrize(
    ("word", "value"),
    [("--batch-norm", True), ("--no-batch-norm", False), ("--batch-norm=no", False)],
)
def test_a_flag_stands_alone(word, value):
    order = ordered(line=[word, "--batch-size", "8"])
    assert order.options["batch_norm"] is value
    assert order.options["batch_size"] == 8


def test_a_negative_number_is_a_value_not_an_option():
    job = described("shift", Option(name="by", kind="float", default=0.0))
    assert ordered(job, line=["--by", "-2.5"]).options["by"] == -2.5


@pytest.mark.parametrize(
    ("line", "error", "words"),
    [
        (["--bach-size", "8"], UnknownOptionError, "--batch-size"),
        (["--batch-size"], OptionValueError, "a value after it"),
        (["8"], UsageError, "stands alone"),
        (["--batch-size", "zero"], OptionValueError, "whole number of at least 1"),
        (["--no-batch-size"], UnknownOptionError, "--no-batch-size"),
    ],
    ids=["misspelt", "no value", "stray word", "bad value", "no flag"],
)
def test_a_line_that_cannot_be_meant_is_refused(line, error, words):
    with pytest.raises(error, match=words) as caught:
        ordered(line=line)
    assert caught.value.exit_code == 2


def test_an_option_of_the_line_wins_over_the_file_and_the_file_over_the_default():
    config = {"batch-size": 16}
    assert ordered(config=config).options["batch_size"] == 16
    order = ordered(config=config, line=["--batch-size", "8"])
    assert order.options["batch_size"] == 8


def test_an_unknown_key_of_the_file_is_refused():
    with pytest.raises(UnknownOptionError, match="--batchsize"):
        ordered(config={"batchsize": 16})


# --- a pipeline -------------------------------------------------------------------


def test_a_pipeline_gives_each_option_to_every_job_that_has_it():
    for job in (TRAIN, ENCODE):
        order = ordered(job, line=["--batch-size", "8"], jobs=[TRAIN, ENCODE])
        assert order.options["batch_size"] == 8
    encode = ordered(ENCODE, line=["--batch-norm"], jobs=[TRAIN, ENCODE])
    assert "batch_norm" not in encode.options


def test_a_pipeline_refuses_what_only_a_single_job_takes():
    with pytest.raises(UnknownOptionError):
        ordered(line=["--data", "x"], jobs=[TRAIN, ENCODE])
    assert ordered(line=["--data", "x"]).options["data"] == "x"


# --- settings ---------------------------------------------------------------------


def test_set_pins_a_setting_or_gives_an_option():
    order = ordered(pins=["micro-batch=4", "batch-size=8"])
    assert order.pins == {"micro_batch": 4}
    assert order.options["batch_size"] == 8


def test_set_with_the_name_of_a_job_is_for_that_job_alone():
    pins = ["train.micro_batch=4", "encode.block=9"]
    jobs = [TRAIN, ENCODE]
    assert ordered(TRAIN, pins=pins, jobs=jobs).pins == {"micro_batch": 4}
    assert ordered(ENCODE, pins=pins, jobs=jobs).pins == {"block": 9}


@pytest.mark.parametrize(
    "pin", ["block", "block=", "=4", "block=0", "block=-1", "block=x"]
)
def test_a_setting_that_is_no_positive_number_is_refused(pin):
    with pytest.raises(OptionValueError, match="--set"):
        ordered(pins=[pin])


# --- the options of every run -----------------------------------------------------


def test_the_line_wins_over_the_table_of_runs():
    table = {"seed": 5, "ram-budget": "2G", "quiet": True, "cycle_steps": 3}
    merged = with_config(RunOptions(seed=7), table)
    assert (merged.seed, merged.ram_budget, merged.quiet, merged.cycle_steps) == (
        7,
        "2G",
        True,
        3,
    )


@pytest.mark.parametrize("key", ["sead", "restart", "pins", "extra", "set"])
def test_an_unknown_key_of_the_table_of_runs_is_refused(key):
    with pytest.raises(OptionValueError, match="ram-budget"):
        with_config(RunOptions(), {key: 1})


def test_a_table_that_nearly_names_a_job_is_a_slip_and_others_may_be_anybodys():
    assert misspelt_tables(["run", "trian", "brightness"], []) == [("trian", "train")]
    assert misspelt_tables(["run", "train", "tint"], ["tint"]) == []


def test_the_command_that_continues_a_job_does_not_restart_it():
    command = ("run", "paint", "--restart", "--colour", "red")
    order = ordered(command=command)
    assert order.command == ("run", "paint", "--colour", "red")


@pytest.mark.parametrize("text", ["²", "١", "0", "-1", "1.5"])
def test_a_pin_is_a_whole_number_in_plain_digits(text):
    with pytest.raises(OptionValueError, match="whole number"):
        ordered(pins=[f"brush={text}"])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", "one"),
        ("seed", -1),
        ("seed", 2**63),
        ("seed", 1.5),
        ("cycle-steps", 0),
        ("cycle-steps", "five"),
        ("recycle-every", -2),
        ("quiet", "perhaps"),
    ],
)
def test_a_value_of_the_table_of_runs_is_checked_like_one_of_the_line(key, value):
    with pytest.raises(OptionValueError, match=f"--{key}"):
        with_config(RunOptions(), {key: value})
    if key != "quiet":
        with pytest.raises(OptionValueError, match=f"--{key}"):
            with_config(RunOptions(**{key.replace("-", "_"): value}), {})


def test_without_a_seed_the_default_one_is_used():
    assert ordered().seed == DEFAULT_SEED
    assert ordered(seed=0).seed == 0


def test_a_device_is_one_of_three():
    assert [ordered(device=d).device for d in (None, "auto", "cpu", "gpu")] == [
        "auto",
        "auto",
        "cpu",
        "gpu",
    ]
    with pytest.raises(OptionValueError, match="auto, cpu or gpu"):
        ordered(device="tpu")


@pytest.mark.parametrize("uses_device", [True, False, None])
def test_an_order_says_whether_its_job_uses_a_device(uses_device):
    job = msgspec.structs.replace(TRAIN, uses_device=uses_device)
    assert ordered(job).uses_device is uses_device


@pytest.mark.parametrize(
    ("uses", "demanded", "there", "wish"),
    [
        (True, "auto", "gpu", "given"),
        (True, "auto", "cpu", "absent"),
        (True, "cpu", "cpu", "unasked"),
        (False, "auto", "cpu", "unasked"),
        (False, "gpu", "cpu", "unasked"),
        (None, "auto", "gpu", None),
        (None, "auto", "cpu", None),
        (None, "cpu", "cpu", "unasked"),
        (None, "gpu", "gpu", "given"),
    ],
)
def test_a_wish_for_a_device_is_the_jobs_own_or_a_persons(uses, demanded, there, wish):
    job = msgspec.structs.replace(TRAIN, uses_device=uses)
    assert gpu_wish(ordered(job, device=demanded), there) == wish


def test_budgets_are_read_or_have_the_defaults_of_the_machine():
    def chosen(**options: object):
        return chosen_budgets(
            RunOptions(**options), default_ram_bytes=7, default_vram_bytes=None
        )

    assert chosen() == RunBudgets(ram_bytes=7, vram_bytes=None, time_s=None)
    assert chosen(ram_budget="2GiB", vram_budget="1G", time_budget="90m") == RunBudgets(
        ram_bytes=2**31, vram_bytes=10**9, time_s=5400
    )
    # A file may hold a plain number.
    assert chosen(ram_budget=10**9).ram_bytes == 10**9
    for wrong in ({"ram_budget": "much"}, {"time_budget": "90"}, {"vram_budget": "0"}):
        with pytest.raises(QuantityError):
            chosen(**wrong)


# --- the file ---------------------------------------------------------------------


def test_no_file_is_an_empty_one(tmp_path):
    assert read_config(tmp_path / "lowmem.toml") == {}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[run\n", "expected TOML"),
        (b"\xff\xfe", "expected TOML"),
        (b"seed = 1\n", "'seed' outside a table"),
    ],
    ids=["no TOML", "no text", "no table"],
)
def test_a_file_that_cannot_be_used_is_refused_by_name(tmp_path, content, words):
    path = tmp_path / "lowmem.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=words) as caught:
        read_config(path)
    assert str(path) in str(caught.value)


# --- the mirror -------------------------------------------------------------------


def test_a_plan_leaves_room_for_the_process_of_a_mirror(tmp_path):
    """A rung that just fits without a mirror does not fit beside one."""
    alone, beside = ordered(), ordered(mirror="drive")
    rung = PlannedRung(
        settings={}, ram_bytes=ram_bytes_at(alone), vram_bytes=None, source="remembered"
    )
    planned = Planned(rungs=(rung,))
    assert start(alone, planned, tmp_path) == 0
    assert start(beside, planned, tmp_path) is None
    said = [
        str(refusal(order, [rung], available_bytes=2**40)) for order in (alone, beside)
    ]
    assert "or more" in said[1]
    assert said[0] != said[1]


def test_a_refusal_on_a_machine_without_room_for_more_leads_to_who_holds_it():
    order = ordered()
    rung = PlannedRung(
        settings={},
        ram_bytes=2 * order.ram_budget_bytes,
        vram_bytes=None,
        source="analytic",
    )

    def said(available_bytes):
        return str(refusal(order, [rung], available_bytes=available_bytes))

    assert "doctor" not in said(2**40)
    full = said(order.ram_budget_bytes)
    assert full.startswith(said(2**40))
    size = format_bytes(order.ram_budget_bytes)
    assert f"Only {size} of the machine's memory are available" in full
    assert full.endswith("`lowmem doctor` names the programs that hold most.")


def ram_bytes_at(order):
    """Return a need that the budget holds, with a few bytes to spare."""
    return round(order.ram_budget_bytes * SOFT_SHARE) - SUPERVISOR_BYTES - 1000


def start(order, planned, folder):
    bench = TrialBench(
        space=Workspace.at(folder),
        clock=SystemClock(),
        device="cpu",
        is_over=lambda: False,
    )
    return prepare(
        order, planned, bench, [], is_thorough=False, say=lambda _: None
    ).start


# --- orders from a journal --------------------------------------------------------


@pytest.mark.process
@pytest.mark.slow
def test_no_file_that_a_mirror_may_have_brought_is_run_unasked(tmp_path):
    space = Workspace.at(tmp_path / "work")
    space.root.mkdir()
    inside = space.root / "job.py"
    inside.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    (tmp_path / "link.py").symlink_to(inside)
    for reference in (inside, tmp_path / "link.py", space.root / "x" / ".." / "job.py"):
        begun = JobBegun(
            job="evil", at="", reference=str(reference), recipe={"seed": 1}, unit="rows"
        )
        ended = JobEnded(job="evil", at="", state="done", exit_code=0)
        run = DoneRun(job="evil", begun=begun, ended=ended)
        assert not adds_to_others(space)(run)
        with pytest.raises(DataError, match="inside the workspace"):
            order_of(run, space)
    assert not (tmp_path / "ran").exists()
    # One outside is read: the user's own.
    outside = DoneRun(
        job="evil",
        begun=msgspec.structs.replace(begun, reference=str(tmp_path / "gone.py")),
        ended=ended,
    )
    with pytest.raises(LowmemError, match="is not there"):
        order_of(outside, space)
