"""The notebook agrees with its text form, and the bootstrap survives a disconnect.

Plain folders stand for Drive.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import re
import sys
import tarfile
from pathlib import Path

import pytest

COLAB = Path(__file__).parents[2] / "colab"


@pytest.fixture(scope="module")
def bootstrap():
    spec = importlib.util.spec_from_file_location("bootstrap", COLAB / "bootstrap.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cells_of_text(text: str) -> list[tuple[str, str]]:
    """Return type and source of each cell of a percent script."""
    cells = []
    for part in re.split(r"(?m)^# %%", text)[1:]:
        head, body = part.split("\n", 1)
        lines = body.strip("\n").split("\n")
        if "[markdown]" in head:
            lines = [line.removeprefix("#").removeprefix(" ") for line in lines]
        kind = "markdown" if "[markdown]" in head else "code"
        cells.append((kind, "\n".join(lines)))
    return cells


def test_the_notebook_is_valid_and_agrees_with_its_text_form():
    notebook = json.loads((COLAB / "quickstart.ipynb").read_text())
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert set(notebook) == {"cells", "metadata", "nbformat", "nbformat_minor"}
    for cell in notebook["cells"]:
        code = {"execution_count", "outputs"} if cell["cell_type"] == "code" else set()
        assert set(cell) == {"cell_type", "id", "metadata", "source"} | code
        assert re.fullmatch(r"[a-zA-Z0-9-_]{1,64}", cell["id"])
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    cells = [(c["cell_type"], "".join(c["source"])) for c in notebook["cells"]]
    expected = cells_of_text((COLAB / "quickstart.py").read_text())
    assert cells == expected, "make the pair anew: jupytext --to ipynb quickstart.py"


def test_the_notebook_holds_no_logic_and_calls_only_what_the_bootstrap_has(bootstrap):
    tree = ast.parse((COLAB / "quickstart.py").read_text())
    logic = (ast.If, ast.For, ast.While, ast.FunctionDef, ast.ClassDef, ast.Try)
    assert not [node for node in ast.walk(tree) if isinstance(node, logic)]
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "bootstrap"
    }
    assert used
    assert all(callable(getattr(bootstrap, name)) for name in used)


def test_the_bootstrap_needs_the_standard_library_alone():
    tree = ast.parse((COLAB / "bootstrap.py").read_text())
    names = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert names - {"_typeshed"} <= sys.stdlib_module_names


def test_outside_colab_there_is_no_drive(bootstrap, capsys):
    assert bootstrap.mount_drive() is None
    assert "no Drive" in capsys.readouterr().out


# --- data --------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.process
def test_data_are_copied_by_lowmem_and_a_failure_ends_the_start(
    bootstrap, monkeypatch, tmp_path, capsys
):
    drive = tmp_path / "drive"
    monkeypatch.setattr(bootstrap, "mount_drive", lambda: drive)
    ran = []
    monkeypatch.setattr(bootstrap, "run", lambda command, **_: ran.append(command) or 0)

    def start() -> int:
        return bootstrap.start(data="sets/faces.zip", local=tmp_path / "vm")

    assert start() == 65
    assert "is not there" in " ".join(capsys.readouterr().out.split())
    assert not ran
    (drive / "sets").mkdir(parents=True)
    (drive / "sets" / "faces.zip").write_bytes(b"an archive")
    assert start() == 0
    copy = tmp_path / "vm" / "data" / "faces.zip"
    assert copy.read_bytes() == b"an archive"
    assert ran[0][-2:] == ["--source", str(copy)]


# --- the workspace -----------------------------------------------------------------


def write_workspace(folder: Path, text: str) -> Path:
    (folder / ".lowmem").mkdir(parents=True, exist_ok=True)
    (folder / ".lowmem" / "journal.jsonl").write_text(text)
    return folder


def journal_after_restore(bootstrap, archives: Path, target: Path) -> str | None:
    if bootstrap.restore(target, archives) is None:
        assert not target.exists()
        return None
    return (target / ".lowmem" / "journal.jsonl").read_text()


@pytest.fixture
def archives(bootstrap, tmp_path) -> Path:
    """Two saved generations, ``first`` and ``second``."""
    folder = tmp_path / "drive" / "lowmem"
    for text in ("first", "second"):
        bootstrap.save(write_workspace(tmp_path / "work", text), folder)
    return folder


def test_the_newest_archive_is_restored_into_an_empty_place(
    bootstrap, archives, tmp_path
):
    (tmp_path / "vm").mkdir()
    assert journal_after_restore(bootstrap, archives, tmp_path / "vm") == "second"


def test_a_workspace_that_is_there_is_never_replaced(bootstrap, archives, tmp_path):
    work = write_workspace(tmp_path / "vm", "newer than all")
    assert bootstrap.restore(work, archives) is None
    assert (work / ".lowmem" / "journal.jsonl").read_text() == "newer than all"


def flip_a_bit(archive: Path) -> None:
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    archive.write_bytes(data)


@pytest.mark.parametrize(
    "damage",
    [
        flip_a_bit,
        lambda archive: archive.write_bytes(archive.read_bytes()[:-512]),
        lambda archive: archive.write_bytes(b""),
        lambda archive: archive.with_name(archive.name + ".ok").unlink(),
        lambda archive: archive.with_name(archive.name + ".ok").write_text("{"),
    ],
    ids=["bit flipped", "truncated", "empty", "unmarked", "mark damaged"],
)
def test_a_damaged_newest_archive_gives_way_to_the_one_before(
    bootstrap, archives, tmp_path, damage
):
    damage(archives / "workspace-000002.tar")
    assert journal_after_restore(bootstrap, archives, tmp_path / "vm") == "first"


def members_outside(folder: Path) -> dict[str, tarfile.TarInfo]:
    above, absolute = tarfile.TarInfo("../out"), tarfile.TarInfo(str(folder / "out"))
    link = tarfile.TarInfo("link")
    link.type, link.linkname = tarfile.SYMTYPE, str(folder)
    return {"above": above, "absolute": absolute, "link": link}


@pytest.mark.parametrize("kind", ["above", "absolute", "link"])
def test_an_archive_with_a_member_outside_the_workspace_writes_nothing_there(
    bootstrap, archives, tmp_path, kind
):
    path = archives / "workspace-000003.tar"
    with tarfile.open(path, "w") as archive:
        archive.addfile(members_outside(tmp_path)[kind])
        archive.addfile(tarfile.TarInfo("link/out"))
    mark_as_whole(path)
    restored = bootstrap.restore(tmp_path / "vm", archives)
    assert not (tmp_path / "out").exists()
    assert restored.name == "workspace-000002.tar"


def mark_as_whole(path: Path) -> None:
    data = path.read_bytes()
    mark = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    path.with_name(path.name + ".ok").write_text(json.dumps(mark))


def test_three_generations_are_kept_and_numbers_never_used_again(
    bootstrap, archives, tmp_path
):
    for text in ("third", "fourth", "fifth"):
        bootstrap.save(write_workspace(tmp_path / "work", text), archives)
    names = sorted(path.name for path in archives.iterdir())
    kept = [f"workspace-00000{n}.tar" for n in (3, 4, 5)]
    assert names == sorted([*kept, *(f"{name}.ok" for name in kept)])
    (archives / "workspace-000005.tar.ok").unlink()  # as if the save was interrupted
    saved = bootstrap.save(write_workspace(tmp_path / "work", "sixth"), archives)
    assert saved.name == "workspace-000006.tar"


# --- the run -----------------------------------------------------------------------

PROGRAM = """
import pathlib, sys
work = pathlib.Path(sys.argv[sys.argv.index("--workspace") + 1])
work.mkdir(exist_ok=True)
count = work / "count"
n = int(count.read_text()) + 1 if count.exists() else 1
count.write_text(str(n))
print("attempt", n, *sys.argv[1:2])
sys.exit(0 if n == 3 else 75)
"""


def command(tmp_path: Path) -> list[str]:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    return [sys.executable, str(program)]


@pytest.mark.process
def test_the_same_call_after_the_vm_was_lost_goes_on(bootstrap, tmp_path, capsys):
    archives = tmp_path / "drive"
    codes = []
    for vm in ("one", "two", "three"):
        local = tmp_path / vm
        local.mkdir()
        codes.append(
            bootstrap.run(
                command(tmp_path), workspace=local / "work", archives=archives
            )
        )
    assert codes == [75, 75, 0]
    assert "attempt 3" in capsys.readouterr().out


@pytest.mark.process
def test_a_run_that_used_up_its_slice_is_saved_and_goes_on_by_itself(
    bootstrap, tmp_path
):
    code = bootstrap.run(
        command(tmp_path),
        workspace=tmp_path / "work",
        archives=tmp_path / "drive",
        slice_minutes=0,
    )
    assert code == 0
    assert len(list((tmp_path / "drive").glob("*.tar"))) == 3


@pytest.mark.process
def test_without_drive_it_runs_once_and_saves_nothing(bootstrap, tmp_path):
    work = tmp_path / "work"
    assert bootstrap.run(command(tmp_path), workspace=work, archives=None) == 75
    assert [path.name for path in work.iterdir()] == ["count"]
