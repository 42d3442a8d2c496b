from __future__ import annotations

import sys
from importlib import metadata

import pytest

from lowmem.base.errors import DataError, UnknownJobError, UsageError
from lowmem.protocol.job import Job
from lowmem.protocol.job_decorator import job
from lowmem.worker.registry import find_job, installed_jobs, work_of


@pytest.fixture(autouse=True)
def keep_the_path(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))


def test_the_five_jobs_are_installed_in_the_order_in_which_they_run():
    names = [found.name for found in installed_jobs()]
    assert names[:5] == ["ingest", "train", "encode", "analyze", "generate"]


def test_a_job_in_a_file_may_import_what_lies_beside_it(tmp_path):
    (tmp_path / "beside_the_job.py").write_text("UNIT = 'pages'\n")
    path = tmp_path / "my_own_job.py"
    path.write_text(
        "import lowmem\nfrom beside_the_job import UNIT\n"
        "@lowmem.job(unit=UNIT)\ndef read_pages(ctx):\n    'Read pages.'\n    yield\n"
    )
    found = find_job(str(path))
    assert (found.name, found.unit, found.summary) == (
        "read-pages",
        "pages",
        "Read pages.",
    )


@pytest.mark.parametrize("name", ["train", "all"])
def test_a_file_may_not_take_the_name_of_another_job(tmp_path, name):
    path = tmp_path / f"takes_{name}.py"
    path.write_text(f"import lowmem\n@lowmem.job()\ndef {name}(ctx): yield\n")
    with pytest.raises(UsageError, match=f"job '{name}', expected a name that is"):
        find_job(str(path))


@pytest.mark.parametrize("name", ["../up", "", "Big", "a b", "-a", ".a", "a\n", "é"])
def test_the_name_of_a_job_is_plain_since_a_folder_has_it(name):
    with pytest.raises(ValueError, match="name must be lower-case"):
        Job(name=name, work="json:dumps")


@pytest.mark.parametrize(("count", "words"), [(0, "defines 0 jobs"), (2, "defines 2")])
def test_a_file_must_define_exactly_one_job(tmp_path, count, words):
    path = tmp_path / f"jobs_{count}.py"
    path.write_text(
        "import lowmem\n"
        + "".join(f"@lowmem.job()\ndef job{n}(ctx): yield\n" for n in range(count))
    )
    with pytest.raises(UsageError, match=words):
        find_job(str(path))


SCRIPTS = {
    "plain": "import sys\nsys.exit(4)\n",
    "budgets": "import lowmem\nwith lowmem.budget(ram='1G'):\n    raise SystemExit(1)\n",
    "functions": "from lowmem import supervised, ZarrSequence\nraise SystemExit(1)\n",
    "libraries": "import numpy as np\nfrom beside import helper\nraise SystemExit(1)\n",
}


@pytest.mark.parametrize("kind", SCRIPTS)
def test_a_file_that_cannot_hold_a_job_is_not_run_and_exec_is_named(tmp_path, kind):
    (tmp_path / "beside.py").write_text("raise SystemExit(1)\n")
    path = tmp_path / f"script_{kind}.py"
    path.write_text(SCRIPTS[kind])
    with pytest.raises(UsageError, match=r"not run\. `lowmem exec -- python .*\.py`"):
        find_job(str(path))


JOBS = {
    "from_lowmem": "from lowmem import job\n@job()\ndef j(ctx): yield\n",
    "renamed": "import lowmem as lm\n@lm.job()\ndef j(ctx): yield\n",
    "inner": "from lowmem.protocol.job_decorator import job\n@job()\ndef j(ctx): yield\n",
    "looked_up": "import importlib\nm = importlib.import_module('lowmem')\n"
    "j = m.Job(name='j', work='json:dumps')\n",
    "beside": "from makes_a_job import j\n",
    "beside_by_another": "import passes_a_job_on\nk = passes_a_job_on.j\n",
}


@pytest.mark.parametrize("kind", JOBS)
def test_a_job_is_found_wherever_the_file_has_it_from(tmp_path, kind, monkeypatch):
    for name in ("makes_a_job", "passes_a_job_on"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    (tmp_path / "makes_a_job.py").write_text(JOBS["from_lowmem"])
    (tmp_path / "passes_a_job_on.py").write_text("from makes_a_job import *\n")
    path = tmp_path / f"job_{kind}.py"
    path.write_text(JOBS[kind])
    assert find_job(str(path)).name == "j"


def test_a_missing_file_and_an_unknown_name_are_told_apart(tmp_path):
    with pytest.raises(DataError, match="is not there"):
        find_job(str(tmp_path / "none.py"))
    with pytest.raises(UnknownJobError, match=r"ingest.*train|analyze"):
        find_job("trian")


def test_an_entry_point_that_is_no_job_is_refused(monkeypatch):
    point = metadata.EntryPoint(name="odd", value="os:sep", group="lowmem.jobs")
    monkeypatch.setattr(metadata, "entry_points", lambda **_: [point])
    with pytest.raises(UsageError, match=r"is a str, expected a lowmem\.Job"):
        find_job("odd")


def test_work_given_as_text_is_imported_and_as_a_function_is_itself():
    assert work_of(Job(name="j", work="json:dumps")).__module__ == "json"

    @job()
    def own(ctx):
        yield ctx

    assert work_of(own) is own.work
