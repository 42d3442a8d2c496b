"""Code that a workspace names runs on the user's word alone, and only they can give it."""

from __future__ import annotations

import json
import os

import pytest

from lowmem.base.errors import DataError, OptionValueError
from lowmem.base.workspace import Workspace
from lowmem.protocol.options import resolve_options
from lowmem.protocol.planning import PlanContext
from lowmem_jobs.encode.job import JOB as ENCODE
from lowmem_jobs.generate.job import JOB as GENERATE
from lowmem_jobs.model import import_consent
from lowmem_jobs.train.job import JOB as TRAIN

NAMED = "mine:build"


@pytest.fixture
def space(tmp_path, monkeypatch):
    """A workspace whose model names a function of the current folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("raise SystemExit('was run')")
    model = tmp_path / "w" / "model"
    model.mkdir(parents=True)
    names(model, {"function": NAMED, "input_shape": [4, 4, 3], "latent_dim": 2})
    return tmp_path / "w"


def names(model, built):
    account = {"validation_split": 0.1, "model": built}
    (model / "training.json").write_text(json.dumps(account))


def check(job, space, *, typed=None, is_dry=False, **given):
    """Plan with options that were typed, unless ``typed`` says which of them were."""
    job.check(
        PlanContext(
            workspace=Workspace.at(space),
            options=resolve_options(job.name, job.options, given),
            seed=1,
            device="cpu",
            ram_budget_bytes=10**9,
            typed=tuple(given) if typed is None else typed,
            is_dry=is_dry,
        )
    )


@pytest.mark.parametrize("job", [ENCODE, GENERATE], ids=lambda job: job.name)
def test_a_later_job_asks_for_the_word_and_says_what_to_read_and_to_type(space, job):
    with pytest.raises(DataError) as caught:
        check(job, space)
    told = str(caught.value)
    assert f"code in {space.parent / 'mine.py'}" in told
    assert f"lowmem run {job.name} --code {NAMED} --workspace {space}" in told
    # Another word is none.
    with pytest.raises(DataError, match="--code"):
        check(job, space, code="mine:other")


@pytest.mark.parametrize(
    "given",
    [(TRAIN, {"model": NAMED}), (ENCODE, {"code": NAMED})],
    ids=["train", "encode"],
)
def test_a_word_once_typed_holds_for_this_folder_name_and_content(
    space, monkeypatch, given
):
    job, options = given
    check(job, space, **options)
    for later in (ENCODE, GENERATE):
        check(later, space)
    # Another folder.
    elsewhere = space.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine.py").write_bytes((space.parent / "mine.py").read_bytes())
    monkeypatch.chdir(elsewhere)
    with pytest.raises(DataError, match="--code"):
        check(ENCODE, space)
    # Another name.
    monkeypatch.chdir(space.parent)
    names(space / "model", {"function": "mine:other"})
    with pytest.raises(DataError, match="--code mine:other"):
        check(ENCODE, space)
    # Other bytes.
    names(space / "model", {"function": NAMED})
    check(ENCODE, space)
    (space.parent / "mine.py").write_text("raise SystemExit('another')")
    with pytest.raises(DataError, match="as that file is now"):
        check(ENCODE, space)


def test_code_within_the_workspace_is_found_and_not_run_either(space):
    """A folder is a package to Python, whatever its name."""
    (space / "theirs.py").write_text("raise SystemExit('was run')")
    names(space / "model", {"function": "w.theirs:build"})
    with pytest.raises(DataError, match=r"code in .*/w/theirs\.py"):
        check(ENCODE, space)


def test_a_word_that_somebody_else_wrote_into_the_state_folder_is_none(
    space, monkeypatch
):
    check(TRAIN, space, model=NAMED)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(DataError, match="--code"):
        check(ENCODE, space)


def test_a_user_without_a_home_gives_the_word_each_time(space, monkeypatch):
    monkeypatch.setattr(import_consent, "words_folder", lambda _: None)
    check(ENCODE, space, code=NAMED)
    with pytest.raises(DataError, match="--code"):
        check(ENCODE, space)


@pytest.mark.parametrize("job", [TRAIN, ENCODE, GENERATE], ids=lambda job: job.name)
def test_the_file_of_a_workspace_cannot_give_the_word(space, job):
    (space / "lowmem.toml").write_text(f'[{job.name}]\ncode = "{NAMED}"\n')
    given = {"model": NAMED} if job is TRAIN else {}
    with pytest.raises(OptionValueError, match="on the command line alone"):
        check(job, space, code=NAMED, **given)


def test_a_model_that_the_file_of_a_workspace_names_needs_the_word_too(space):
    (space / "lowmem.toml").write_text(f'[train]\nmodel = "{NAMED}"\n')
    with pytest.raises(DataError, match=r"lowmem\.toml names mine:build"):
        check(TRAIN, space, typed=(), model=NAMED)
    check(TRAIN, space, typed=("code",), model=NAMED, code=NAMED)
    check(TRAIN, space, typed=(), model=NAMED)


def test_what_is_typed_wins_over_the_file_of_the_workspace(space):
    (space / "lowmem.toml").write_text('[train]\nmodel = "other:build"\n')
    (space.parent / "other.py").write_text("raise SystemExit('was run')")
    check(TRAIN, space, model=NAMED)
    check(ENCODE, space)
    # Its own name, typed, is the user's word too.
    check(TRAIN, space, model="other:build")


def test_a_model_that_the_journal_names_needs_a_word_and_is_none(space):
    for _ in range(2):
        with pytest.raises(DataError, match="the journal names mine:build") as caught:
            check(TRAIN, space, typed=("batch_size",), model=NAMED)
        assert f"lowmem run train --model {NAMED}" in str(caught.value)
    with pytest.raises(DataError, match="--code"):
        check(ENCODE, space)
    # The user's own, in its own folder, is made again unasked.
    check(TRAIN, space, model=NAMED)
    check(TRAIN, space, typed=(), model=NAMED)


def test_a_dry_command_takes_the_word_and_keeps_none(space):
    check(TRAIN, space, model=NAMED, is_dry=True)
    check(ENCODE, space, code=NAMED, is_dry=True)
    with pytest.raises(DataError, match="--code"):
        check(ENCODE, space)


def test_a_word_for_what_is_installed_holds_in_every_folder(space, monkeypatch):
    installed = space.parent / "site"
    installed.mkdir()
    (space.parent / "mine.py").rename(installed / "mine.py")
    monkeypatch.syspath_prepend(str(installed))
    here, there = space.parent / "here", space.parent / "there"
    here.mkdir()
    there.mkdir()
    monkeypatch.chdir(here)
    check(TRAIN, space, model=NAMED)
    monkeypatch.chdir(there)
    check(ENCODE, space)


def test_a_word_that_cannot_be_kept_is_told_with_what_later_jobs_need(space):
    # A file is in the place of the folder, as good as one without rights, for root too.
    state = space.parent / "state"
    state.write_text("")
    check(TRAIN, space, model=NAMED)
    advice = import_consent.advice_if_unkept(NAMED)
    assert f"could not be kept in {state}/lowmem/code" in advice
    assert f"later jobs need --code {NAMED}" in advice
    state.unlink()
    check(TRAIN, space, model=NAMED)
    assert import_consent.advice_if_unkept(NAMED) is None


@pytest.mark.parametrize(
    "text", ["[1, 2]", "no JSON", '{"model": "resnet"}', '{"model": {"function": [1]}}']
)
def test_a_file_of_that_name_that_is_none_of_trains_names_no_code(space, text):
    (space / "model" / "training.json").write_text(text)
    check(ENCODE, space)
