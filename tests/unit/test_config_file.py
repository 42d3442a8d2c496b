"""The file that `lowmem init` writes, and its schema, held against what reads them."""

from __future__ import annotations

import json
import re
import tomllib
from typing import get_args

import pytest
import typer
from jsonschema import Draft7Validator

from docs.site.reference import built_in_jobs
from lowmem.base.config import read_config
from lowmem.base.errors import LowmemError, QuantityError
from lowmem.base.units import budget_bytes_from_size, seconds_from_duration
from lowmem.cli.config_file import schema_from_tables, tables_of, text_from_tables
from lowmem.cli.main import app
from lowmem.pipeline.orders import (
    DEFAULT_SEED,
    GivenOptions,
    RunBudgets,
    RunOptions,
    job_order,
    with_config,
)
from lowmem.protocol.option import Option, OptionKind
from lowmem.protocol.options import resolve_options
from lowmem.protocol.told_jobs import JobDescription

JOBS = built_in_jobs()


def tables():
    return tables_of(typer.main.get_command(app), JOBS)


def order_of(options: RunOptions):
    return job_order(
        JobDescription(name="x", summary="", unit="rows", options=()),
        reference="x",
        options=options,
        budgets=RunBudgets(ram_bytes=1, vram_bytes=None, time_s=None),
        given=GivenOptions(),
        config={},
        is_pipeline=False,
        deadline=None,
    )


def defaults(options: list[Option]) -> dict[str, object]:
    return resolve_options("x", options, required(options))


def required(options):
    """Return values for what has no default, as a command line gives them."""
    return {option.name: "here" for option in options if option.is_required}


def underscored(table):
    return {key.replace("-", "_"): value for key, value in table.items()}


def with_all_set(text: str) -> str:
    """Return the file as it is where somebody removed the # before every key."""
    return re.sub(r"^# ([a-z-]+ = )", r"\1", text, flags=re.MULTILINE)


def test_the_file_read_back_sets_what_holds_without_it(tmp_path):
    path = tmp_path / "lowmem.toml"
    path.write_text(text_from_tables(tables()), encoding="utf-8")
    found = read_config(path)
    assert list(found) == ["run", *(job.name for job in JOBS)]
    assert order_of(with_config(RunOptions(), found["run"])) == order_of(RunOptions())
    for job in JOBS:
        given = underscored(found[job.name])
        given_all = given | required(job.options)
        assert resolve_options(job.name, job.options, given_all) == defaults(
            job.options
        )
        # And not because it sets nothing.
        assert set(given) == {o.name for o in job.options if o.default is not None}


def test_the_file_names_every_key_that_is_read_and_each_is_taken(tmp_path):
    path = tmp_path / "lowmem.toml"
    path.write_text(with_all_set(text_from_tables(tables())), encoding="utf-8")
    found = read_config(path)
    refused = {"restart", "pins", "extra", "shard", "is_merge"}
    names = set(RunOptions.__dataclass_fields__) - refused
    assert set(underscored(found["run"])) == names
    run = with_config(RunOptions(), found["run"])
    assert run.seed == DEFAULT_SEED
    assert budget_bytes_from_size(run.ram_budget)
    assert seconds_from_duration(run.time_budget)
    assert order_of(run).device == "auto"
    for job in JOBS:
        given = underscored(found[job.name])
        assert set(given) == {option.name for option in job.options}
        resolve_options(job.name, job.options, given)


def test_each_key_has_its_meaning_its_rule_and_its_default_above_it():
    job = JobDescription(
        name="mine",
        summary="Do it.",
        unit="rows",
        options=(
            Option(name="n_rows", kind="int", default=3, minimum=2, help="Rows."),
            Option(name="sizes", kind="ints", default=[4, 5], help="Sizes."),
            Option(name="how", kind="str", choices=("a", "b"), help="Way."),
            Option(name="share", kind="float", default=1e-12, help='A "share".'),
        ),
    )
    text = text_from_tables(tables_of(typer.main.get_command(app), [job]))
    mine = text.partition("# Do it.\n[mine]\n\n")[2]
    assert mine == (
        "# Rows. (whole number, at least 2)\nn-rows = 3\n\n"
        "# Sizes. (whole numbers)\nsizes = [4, 5]\n\n"
        '# Way. (a | b)\n# how = "a"\n\n'
        '# A "share". (number)\nshare = 1e-12\n'
    )
    assert tomllib.loads(text)["mine"] == {"n-rows": 3, "sizes": [4, 5], "share": 1e-12}
    assert "(size, 10G is 10^10 bytes" in text
    assert "what `lowmem doctor` says" in " ".join(text.replace("\n#", "").split())


def test_a_schema_is_named_in_the_first_line_alone_where_there_is_one():
    assert text_from_tables(tables(), "file:///s.json").startswith(
        "#:schema file:///s.json\n# Options"
    )
    assert "#:schema" not in text_from_tables(tables())


def is_valid(table: str, **values: object) -> bool:
    validator = Draft7Validator(json.loads(schema_from_tables(tables())))
    return validator.is_valid({table: values})


def test_the_schema_is_one_and_takes_the_file_as_it_is_written():
    schema = json.loads(schema_from_tables(tables()))
    Draft7Validator.check_schema(schema)
    validator = Draft7Validator(schema)
    text = text_from_tables(tables())
    validator.validate(tomllib.loads(text))
    validator.validate(tomllib.loads(with_all_set(text)))
    validator.validate({"a-job-of-mine": {"anything": 1}})


SIZES = ["10G", "10GiB", "1.5 mb", "900000000", "", "G", "10 X", "-1G", "1.2.3G"]
DURATIONS = ["90m", "11h30m", "1d", "1.5s", "", "90", "m", "1h 30m", "-1m"]


@pytest.mark.parametrize("text", SIZES)
def test_the_schema_takes_a_size_where_its_reader_does(text):
    assert is_valid("run", **{"ram-budget": text}) == is_read(
        budget_bytes_from_size, text
    )


@pytest.mark.parametrize("text", DURATIONS)
def test_the_schema_takes_a_duration_where_its_reader_does(text):
    assert is_valid("run", **{"time-budget": text}) == is_read(
        seconds_from_duration, text
    )


def is_read(read, text):
    try:
        read(text)
    except QuantityError:
        return False
    return True


@pytest.mark.parametrize(
    ("table", "values"),
    [
        ("run", {"seed": -1}),
        ("run", {"cycle-steps": 0}),
        ("run", {"device": "tpu"}),
        ("run", {"restart": True}),
        ("run", {"quiet": "perhaps"}),
        ("train", {"epochs": 0}),
        ("train", {"no-key": 1}),
        ("train", {"loss": "l3"}),
        ("train", {"filters": []}),
        ("train", {"filters": ["x"]}),
    ],
)
def test_what_is_refused_is_not_in_the_schema(table, values):
    assert not is_valid(table, **values)
    with pytest.raises(LowmemError):
        read_as_the_run_does(table, values)


@pytest.mark.parametrize(
    ("table", "values"),
    [
        ("run", {"ram_budget": "2G", "mirror_data": True}),
        ("run", {"ram-budget": 2_000_000_000}),
        ("train", {"batch_size": 3, "filters": [1, 2]}),
    ],
)
def test_either_spelling_is_in_the_schema_as_it_is_read(table, values):
    assert is_valid(table, **values)
    read_as_the_run_does(table, values)


def read_as_the_run_does(table, values):
    if table == "run":
        order_of(with_config(RunOptions(), values))
        return
    (job,) = (job for job in JOBS if job.name == table)
    resolve_options(job.name, job.options, underscored(values))


def test_every_kind_of_option_can_stand_in_the_file():
    defaults_of_kinds = {
        "int": 3, "float": 0.5, "str": "a", "flag": True, "ints": [1, 2],
        "floats": [0.5, 1.0], "texts": ["a", "b"], "path": "/a",
    }  # fmt: skip
    assert set(defaults_of_kinds) == set(get_args(OptionKind))
    for default in (True, False):
        own = JobDescription(
            name="own",
            summary="Own.",
            unit="rows",
            options=tuple(
                Option(name=f"of_{kind}", kind=kind, default=value if default else None)
                for kind, value in defaults_of_kinds.items()
            ),
        )
        found = tables_of(typer.main.get_command(app), [own])
        text = text_from_tables(found)
        given = underscored(tomllib.loads(text)["own"])
        assert resolve_options("own", own.options, given) == defaults(own.options)
        validator = Draft7Validator(json.loads(schema_from_tables(found)))
        validator.validate(tomllib.loads(with_all_set(text)))
