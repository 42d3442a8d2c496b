"""The notebooks agree with their text forms, and what they call holds without Drive."""

from __future__ import annotations

import ast
import inspect
import os
import re
import signal
import sys
import types

import pytest

from lowmem.base.errors_inline import DriveMissingError, ResultsDifferError
from lowmem.inline import colab
from lowmem.inline.terminal import TerminalLines, after_returns, is_renewal, show
from tests.notebooks.pairs import COLAB, NAMES, cells_of_text, notebook_of_text


def text_of(name):
    return (COLAB / f"{name}.py").read_text()


def test_every_notebook_has_its_text_form():
    assert {path.stem for path in COLAB.glob("*.ipynb")} == set(NAMES)
    assert {path.stem for path in COLAB.glob("*.py")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_what_its_text_form_makes(name):
    made = notebook_of_text(text_of(name))
    again = "make the pair anew: python -m tests.notebooks.pairs"
    assert (COLAB / f"{name}.ipynb").read_text() == made, again


def code_of(name):
    """Return the code of a notebook, without files that it writes."""
    cells = [source for kind, source in cells_of_text(text_of(name)) if kind == "code"]
    return [source for source in cells if not source.startswith("%%")]


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_holds_no_logic(name):
    source = "\n".join(code_of(name))
    tree = ast.parse(re.sub(r"(?m)^%.*$", "", source))
    logic = (ast.If, ast.For, ast.While, ast.FunctionDef, ast.ClassDef, ast.Try)
    assert not [node for node in ast.walk(tree) if isinstance(node, logic)]


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_calls_only_what_there_is(name):
    """With the names of its own settings, each of them used."""
    source = "\n".join(code_of(name))
    tree = ast.parse(re.sub(r"(?m)^%.*$", "", source))
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "colab"
    ]
    assert calls
    for call in calls:
        function = getattr(colab, call.func.attr)
        given = {keyword.arg: None for keyword in call.keywords}
        inspect.signature(function).bind(*call.args, **given)
    settings = re.findall(r"(?m)^([A-Z_]+) = ", source)
    assert settings
    for setting in settings:
        assert len(re.findall(rf"\b{setting}\b", source)) >= 2, setting


def test_installing_asks_pip_for_no_upgrade():
    for name in NAMES:
        (line,) = re.findall(r"(?m)^# %pip .*$", text_of(name))
        assert line == "# %pip install --quiet {PACKAGE}"


# --- Drive -------------------------------------------------------------------------


@pytest.fixture
def mounting(monkeypatch):
    """Return a function that says how mounting ends from now on."""

    def given(mount):
        package = types.ModuleType("google.colab")
        package.drive = types.ModuleType("google.colab.drive")
        package.drive.mount = mount
        monkeypatch.setitem(sys.modules, "google.colab", package)
        monkeypatch.setitem(sys.modules, "google.colab.drive", package.drive)

    return given


@pytest.fixture
def ran(monkeypatch):
    """Return the commands that are run, none of which does anything."""
    commands = []
    monkeypatch.setattr(colab, "show", lambda command: commands.append(command) or 0)
    return commands


def raising(error):
    def mount(_mountpoint):
        raise error

    return mount


def test_outside_colab_there_is_no_drive(tmp_path):
    found = colab.mount_drive(tmp_path / "drive")
    assert found.folder is None
    assert "not Colab's" in found.problem


def test_a_mounted_drive_is_the_folder_below_it(mounting, tmp_path):
    folder = tmp_path / "drive" / "MyDrive"
    mounting(lambda _: folder.mkdir(parents=True))
    assert colab.mount_drive(tmp_path / "drive").folder == folder
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("mount failed"), "ValueError: mount failed"),
        (NotImplementedError(), "NotImplementedError"),
        (OSError(107, "not connected"), "OSError: [Errno 107] not connected"),
        (KeyError("credentials"), "KeyError: 'credentials'"),
    ],
)
def test_a_drive_that_cannot_be_mounted_is_said_and_the_jobs_run_without(
    mounting, ran, tmp_path, capsys, error, told
):
    mounting(raising(error))
    work = colab.start(["--size", "64"], local=tmp_path)
    assert work == tmp_path / "lowmem-work"
    (command,) = ran
    assert "--mirror" not in command
    out = capsys.readouterr().out
    assert told in out
    assert "all that they make is lost with it" in out
    # A machine that is new may have a mirror that it does not see.
    assert "an earlier machine" in out
    work.mkdir()
    colab.start(local=tmp_path)
    assert "an earlier machine" not in capsys.readouterr().out


def test_a_mount_that_does_nothing_is_said(mounting, tmp_path):
    mounting(lambda _: None)
    assert "MyDrive is not there" in colab.mount_drive(tmp_path / "drive").problem


def test_a_mount_that_hangs_is_given_up_and_the_alarm_is_as_it_was(mounting, tmp_path):
    former = signal.signal(signal.SIGALRM, signal.SIG_IGN)
    try:
        mounting(lambda _: signal.pause())
        found = colab.mount_drive(tmp_path / "drive", patience_s=0.05)
        assert signal.getsignal(signal.SIGALRM) is signal.SIG_IGN
        assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    finally:
        signal.signal(signal.SIGALRM, former)
    assert "no answer within 0.05 s" in found.problem


def test_data_and_mirror_are_taken_from_drive(mounting, ran, tmp_path):
    folder = tmp_path / "drive" / "MyDrive"
    mounting(lambda _: folder.mkdir(parents=True))
    colab.start(data="sets/faces.zip", mirror="kept", mirror_data=True, local=tmp_path)
    stage, run = ran
    assert stage[-4:] == [
        "data",
        "stage",
        f"{folder}/sets/faces.zip",
        f"{tmp_path}/data",
    ]
    assert run[run.index("--source") + 1] == f"{tmp_path}/data/faces.zip"
    assert run[run.index("--mirror") + 1] == f"{folder}/kept"
    assert "--mirror-data" in run


def test_places_elsewhere_need_no_drive(mounting, ran, tmp_path):
    mounting(raising(AssertionError("nobody asked for Drive")))
    colab.start(data="/sets/faces.zip", mirror="gs://bucket/kept", local=tmp_path)
    stage, run = ran
    assert stage[-2] == "/sets/faces.zip"
    assert run[run.index("--mirror") + 1] == "gs://bucket/kept"


def test_without_drive_the_copy_of_an_earlier_call_is_taken(mounting, ran, tmp_path):
    mounting(raising(ValueError("mount failed")))
    with pytest.raises(DriveMissingError, match=r"faces\.zip is on Drive"):
        colab.start(data="faces.zip", local=tmp_path)
    assert not ran
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "faces.zip").write_bytes(b"an archive")
    colab.start(data="faces.zip", local=tmp_path)
    assert f"{tmp_path}/data/faces.zip" in ran[0]


def test_a_command_that_fails_ends_the_cell_with_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(colab, "show", lambda _: 75)
    with pytest.raises(RuntimeError, match="exit code 75") as caught:
        colab.start(mirror=None, local=tmp_path)
    (shown,) = caught.value._render_traceback_()
    assert shown.startswith(
        "lowmem: lowmem run all ended with exit code 75. Run the same again"
    )
    assert caught.value.exit_code == 75


def test_results_that_differ_are_named(monkeypatch, tmp_path, capsys):
    held = {"one": {"model": "a", "images.zarr": "b"}, "two": {"model": "c"}}
    monkeypatch.setattr(colab, "results", lambda work: held[work.name])
    with pytest.raises(ResultsDifferError) as caught:
        colab.compare(tmp_path / "one", tmp_path / "two")
    assert caught.value.names == ("images.zarr", "model")
    colab.compare(tmp_path / "one", tmp_path / "one")
    assert "model: the same in both" in capsys.readouterr().out


# --- what is shown -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        ("plain", "plain"),
        ("\r 10%\r 20%", " 20%"),
        ("\rlonger\rshort", "shortr"),
        ("\r 20%\r    \rtrain: resumed", "train: resumed"),
        ("\r 20%\r    \r", ""),
    ],
)
def test_a_carriage_return_overwrites_what_stood_there(line, seen):
    assert after_returns(line) == seen


def test_the_last_state_of_a_renewed_line_is_told_from_a_line_in_its_place():
    assert is_renewal("\r 10%")
    assert is_renewal("\r 10%\r100%")
    assert not is_renewal("\r 10%\r    \rtrain: resumed")
    assert not is_renewal("train is done")


def test_lines_are_shown_once_and_bytes_may_be_cut_anywhere(capsys):
    shown = TerminalLines()
    for byte in "eins\r10 %\r    \rzwei: ä\nno end".encode():
        shown.take(bytes([byte]))
    shown.close()
    assert capsys.readouterr().out == "zwei: ä\nno end\n"


@pytest.mark.process
def test_a_command_has_a_terminal_and_its_exit_code_comes_back(capsys):
    program = "import sys; print(sys.stderr.isatty(), sys.argv[1:]); sys.exit(7)"
    assert show([sys.executable, "-c", program, "a b"]) == 7
    assert capsys.readouterr().out == "True ['a b']\n"


@pytest.mark.process
def test_a_process_that_is_left_behind_is_not_waited_for(capsys):
    """It holds the terminal open, with no end in sight."""
    child = "[sys.executable, '-c', 'import signal; signal.pause()']"
    program = (
        "import os, subprocess, sys; "
        f"p = subprocess.Popen({child}, start_new_session=True); "
        "print(p.pid, flush=True); os._exit(0)"
    )
    assert show([sys.executable, "-c", program]) == 0
    os.kill(int(capsys.readouterr().out), signal.SIGKILL)
