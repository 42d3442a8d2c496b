"""Links and holes in tar archives."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from random import Random

import pytest

from lowmem_jobs.ingest.tars import list_tar, span_reader
from lowmem_jobs.ingest.unreadable import UnreadableError

HARD, SOFT = tarfile.LNKTYPE, tarfile.SYMTYPE


def tar(path, members, form=tarfile.GNU_FORMAT):
    """Write (name, content) and (name, kind, target)."""
    with tarfile.open(path, "w", format=form) as archive:
        for name, *rest in members:
            member = tarfile.TarInfo(name)
            if len(rest) == 1:
                member.size = len(rest[0])
                archive.addfile(member, io.BytesIO(rest[0]))
            else:
                member.type, member.linkname = rest
                archive.addfile(member)
    return path


def read(path):
    """Return name and content, or why it is skipped, of every member."""
    with path.open("rb") as stream:
        content = span_reader(stream)
        return {entry.name: entry.problem or content(entry) for entry in list_tar(path)}


NOT_FOLLOWED = "a link or a device, which is not followed"
LINKS = {
    "hard": ([("a", b"1"), ("b", HARD, "a")], b"1"),
    "hard, in a folder": ([("x/a", b"1"), ("b", HARD, "x/a")], b"1"),
    "hard, named from here": ([("./a", b"1"), ("./b", HARD, "./a")], b"1"),
    "hard, of a hard one": ([("a", b"1"), ("c", HARD, "a"), ("b", HARD, "c")], b"1"),
    "hard, to what was then": ([("a", b"1"), ("b", HARD, "a"), ("a", b"2")], b"1"),
    "hard, to what comes later": ([("b", HARD, "a"), ("a", b"1")], NOT_FOLLOWED),
    "hard, to nothing": ([("b", HARD, "a")], NOT_FOLLOWED),
    "hard, to a folder by its name": ([("a/", b"1"), ("b", HARD, "a")], NOT_FOLLOWED),
    "soft, to a folder by its name": ([("a/", b"1"), ("b", SOFT, "a")], NOT_FOLLOWED),
    "hard, outside": ([("b", HARD, "/etc/passwd")], NOT_FOLLOWED),
    "soft": ([("a", b"1"), ("b", SOFT, "a")], b"1"),
    "soft, to what comes later": ([("b", SOFT, "a"), ("a", b"1")], b"1"),
    "soft, to what is there at last": (
        [("a", b"1"), ("b", SOFT, "a"), ("a", b"2")],
        b"2",
    ),
    "soft, beside": ([("x/a", b"1"), ("x/b", SOFT, "a")], b"1"),
    "soft, up and down": ([("x/a", b"1"), ("y/b", SOFT, "../x/a")], b"1"),
    "soft, of a soft one": ([("a", b"1"), ("c", SOFT, "a"), ("b", SOFT, "c")], b"1"),
    "soft, of a hard one": ([("a", b"1"), ("c", HARD, "a"), ("b", SOFT, "c")], b"1"),
    "soft, in a circle": ([("b", SOFT, "c"), ("c", SOFT, "b")], NOT_FOLLOWED),
    "soft, to itself": ([("b", SOFT, "b")], NOT_FOLLOWED),
    "soft, outside": ([("b", SOFT, "../../etc/passwd")], NOT_FOLLOWED),
    "soft, from the root": ([("b", SOFT, "/etc/passwd")], NOT_FOLLOWED),
    "soft, through a linked folder": (
        [("y/a", b"1"), ("x", SOFT, "y"), ("b", SOFT, "x/a")],
        b"1",
    ),
    "soft, through one that comes later": (
        [("b", SOFT, "x/z/a"), ("x", SOFT, "y"), ("y/z", SOFT, "../w"), ("w/a", b"1")],
        b"1",
    ),
    "soft, up from a linked folder": (
        [
            ("a", b"0"),
            ("y/z/k", b""),
            ("y/a", b"1"),
            ("x", SOFT, "y/z"),
            ("b", SOFT, "x/../a"),
        ],
        b"1",
    ),
    "soft, up from nothing": ([("a", b"1"), ("b", SOFT, "x/../a")], NOT_FOLLOWED),
    "soft, up from a file": ([("a", b"1"), ("b", SOFT, "a/../a")], NOT_FOLLOWED),
    "soft, to a file as a folder": ([("a", b"1"), ("b", SOFT, "a/")], NOT_FOLLOWED),
    "soft, through a folder that leads outside": (
        [("a", b"1"), ("x", SOFT, ".."), ("b", SOFT, "x/a")],
        NOT_FOLLOWED,
    ),
    "soft, through a folder linked to itself": (
        [("x", SOFT, "x/x"), ("b", SOFT, "x/a")],
        NOT_FOLLOWED,
    ),
    "hard, of a soft one": ([("a", b"1"), ("c", SOFT, "a"), ("b", HARD, "c")], b"1"),
    "hard, of a soft one of elsewhere": (
        [("a", b"1"), ("x/a", b"2"), ("x/c", SOFT, "a"), ("b", HARD, "x/c")],
        b"1",
    ),
    "soft, to a folder": ([("x/a", b"1"), ("b", SOFT, "x")], NOT_FOLLOWED),
}


@pytest.mark.parametrize(
    "form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
)
@pytest.mark.parametrize("name", LINKS)
def test_links_of_a_tar_are_the_files_that_they_name(tmp_path, name, form):
    members, right = LINKS[name]
    found = read(tar(tmp_path / "a.tar", members, form))
    assert next(found[one] for one in found if one.rpartition("/")[2] == "b") == right


def random_members(random):
    """Return members of folders, files, and links that lead anywhere among them."""
    folders = ["", *(f"{one}/" for one in "pqr"), "p/q/"]
    members = [(f"{one}a", one.encode()) for one in random.sample(folders, 3)]
    for number in range(24):
        parts = random.choices(["p", "q", "r", "..", "l0", "l1", "l2", "l3"], k=2)
        target = "/".join(parts[random.randrange(3) :] + ["a"] * (number > 7))
        target = target or "p"
        members.append((f"{random.choice(folders)}l{number}", SOFT, target))
    random.shuffle(members)
    return members


@pytest.mark.skipif(not shutil.which("tar"), reason="tar is not installed")
@pytest.mark.slow
def test_a_link_leads_where_it_does_in_what_gnu_tar_unpacks(tmp_path):
    random = Random(3)  # noqa: S311 - the same trees each time
    n_followed = 0
    for number in range(20):
        path = tar(tmp_path / f"{number}.tar", random_members(random))
        # Deep, so that no link to folders above finds another archive's files.
        unpacked = tmp_path / f"{number}" / "1" / "2" / "3"
        unpacked.mkdir(parents=True)
        subprocess.run([shutil.which("tar"), "-xf", path], cwd=unpacked, check=True)
        found = read(path)
        with tarfile.open(path) as archive:
            for link in (member.name for member in archive if member.issym()):
                place = unpacked / link
                is_inside = unpacked in place.resolve().parents if exists(place) else 0
                if is_inside and place.is_file():
                    assert found[link] == place.read_bytes(), (number, link)
                    n_followed += 1
                else:
                    assert found[link] == NOT_FOLLOWED, (number, link)
    assert n_followed > 50


def exists(place):
    try:
        return place.exists()
    except OSError:  # links without end
        return False


@pytest.mark.parametrize(
    ("members", "is_problem"),
    [
        ([("y/k", b""), ("x", SOFT, "y"), ("x/a", b"1")], True),
        ([("x", SOFT, "y"), ("x/z/a", b"1")], True),
        ([("x", SOFT, "y"), ("x", tarfile.DIRTYPE, ""), ("x/a", b"1")], False),
        ([("x/a", b"1"), ("y", SOFT, "x")], False),
    ],
)
def test_a_file_in_a_folder_that_is_a_link_then_is_skipped(
    tmp_path, members, is_problem
):
    found = read(tar(tmp_path / "a.tar", members))
    content = next(found[name] for name in found if name.endswith("/a"))
    assert ("in a folder that is a link" in str(content)) == is_problem


@pytest.mark.parametrize("name", ["../b", "/b"])
def test_a_link_whose_own_name_leads_outside_is_not_taken(tmp_path, name):
    found = read(tar(tmp_path / "a.tar", [("a", b"1"), (name, HARD, "a")]))
    assert found[name].startswith("unsafe name")


def test_beyond_so_many_links_further_ones_are_not_followed(tmp_path, monkeypatch):
    monkeypatch.setattr("lowmem_jobs.ingest.tar_links._MAX_TARGETS", 2)
    names = "abcd"
    files = [(name, name.encode()) for name in names]
    links = [(f"{name}2", HARD, name) for name in names]
    found = read(tar(tmp_path / "a.tar", files + links))
    taken = [found[f"{name}2"] for name in names]
    assert taken == [b"a", b"b", NOT_FOLLOWED, NOT_FOLLOWED]


FORMATS = ["gnu", "posix", "oldgnu"]
VERSIONS = ["0.0", "0.1", "1.0"]


@pytest.mark.skipif(not shutil.which("tar"), reason="tar is not installed")
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("version", VERSIONS)
def test_holes_of_a_sparse_file_are_zeros(tmp_path, form, version):
    folder = tmp_path / "f"
    folder.mkdir()
    with (folder / "holes").open("wb") as stream:
        for place in range(0, 40 * 2**16, 2**17):
            stream.seek(place)
            stream.write(b"data" * 1024)
        stream.truncate(41 * 2**16)
    (folder / "after").write_bytes(b"1")
    options = ["-S", f"--format={form}"]
    if form == "posix":
        options.append(f"--sparse-version={version}")
    elif version != VERSIONS[0]:
        return
    command = [
        shutil.which("tar"),
        *options,
        "-cf",
        tmp_path / "a.tar",
        "holes",
        "after",
    ]
    subprocess.run(command, cwd=folder, check=True)
    size = (tmp_path / "a.tar").stat().st_size
    assert size < 2**20
    found = read(tmp_path / "a.tar")
    assert found == {name: (folder / name).read_bytes() for name in ("holes", "after")}
    data = (tmp_path / "a.tar").read_bytes()
    # What it holds, but its headers say more.
    with (tmp_path / "a.tar").open("rb") as stream:
        entry = next(iter(list_tar(tmp_path / "a.tar")))
        with pytest.raises(UnreadableError, match=r"cut short|damaged"):
            span_reader(io.BytesIO(data[: entry.place + 700]))(entry)


@pytest.mark.skipif(not shutil.which("tar"), reason="tar is not installed")
def test_times_in_a_header_of_gnu_are_no_part_of_its_name(tmp_path):
    """GNU tar keeps them where a long name of POSIX begins; CPython takes them for it."""
    tree = tmp_path / "tree"
    (tree / "cat").mkdir(parents=True)
    (tree / "cat" / "1.png").write_bytes(b"one")
    (tree / "cat" / "2.png").hardlink_to(tree / "cat" / "1.png")
    (tree / f"{'long' * 40}.png").write_bytes(b"long")
    words = ["--format=gnu", f"--listed-incremental={tmp_path / 'snapshot'}"]
    path = tmp_path / "a.tar"
    names = sorted(item.name for item in tree.iterdir())
    subprocess.run(
        [shutil.which("tar"), *words, "-cf", path, *names], cwd=tree, check=True
    )
    with tarfile.open(path) as archive:
        times = [member.name for member in archive if member.name.endswith("1.png")]
    found = {
        name: content
        for name, content in read(path).items()
        if not name.endswith("/") and "record of its program" not in str(content)
    }
    assert found == {
        "cat/1.png": b"one",
        "cat/2.png": b"one",
        f"{'long' * 40}.png": b"long",
    }
    # What CPython gives, or what it would where that is mended.
    assert all(name.endswith("cat/1.png") for name in times)
