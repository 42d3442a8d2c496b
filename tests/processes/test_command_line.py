"""What is typed: each wrong line gets one paragraph and its status, and writes nothing."""

from __future__ import annotations

import json

import pytest

from tests.processes.lowmem_runs import (
    COUNTING,
    LARGE,
    assert_counted,
    job_file,
    lowmem,
    run,
)

pytestmark = [pytest.mark.process, pytest.mark.slow]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jobs")
    return {
        "count": job_file(folder, COUNTING, "count.py"),
        "large": job_file(folder, LARGE, "large.py"),
    }


@pytest.mark.parametrize(
    ("line", "status", "words"),
    [
        ("run", 2, "no job is given"),
        ("plan", 2, "no job is given"),
        ("run train --set x=1", 2, "--set x is unknown to job train"),
        ("run all --epochs x", 2, "--epochs is 'x', expected a whole number"),
        ("run trian", 2, "'trian' is unknown (did you mean train?)"),
        ("run count --rows", 2, "--rows"),
        ("run count --rows nan", 2, "whole number of at least 1"),
        (
            "run count --raws 3",
            2,
            "--raws is unknown to job count (did you mean --rows?)",
        ),
        ("run count --ram-buget 3G", 2, "(did you mean --ram-budget?)"),
        ("run count --ram-budget 10", 2, "10G or 10Gi was probably meant"),
        ("run count --vram-budget 4096", 2, "4096M or 4096Mi was probably meant"),
        (
            "run all --set encode.reed_rows=8",
            2,
            "(did you mean read_rows?)",
        ),
        ("run train --set micro_bach=8", 2, "(did you mean micro_batch?)"),
        ("run count --ram-budget lots", 2, "10GiB"),
        ("run count --time-budget 90", 2, "11h30m"),
        ("run count --seed x", 2, "--seed"),
        ("run count --seed -1", 2, "--seed"),
        ("run count --cycle-steps 0", 2, "--cycle-steps"),
        ("run count --set block", 2, "KEY=VALUE"),
        ("run count --device tpu", 2, "auto, cpu or gpu"),
        ("run large --ram-budget 900M", 73, "--ram-budget to 1080M"),
        ("frobnicate", 2, "frobnicate"),
        ("stauts", 2, "Did you mean 'status'? `lowmem --help`"),
        ("status --jsno", 2, "--json). `lowmem --help`"),
        ("status", 2, "lowmem-work is not there"),
        ("watch", 2, "lowmem-work is not there"),
        ("usage", 2, "lowmem-work is not there"),
        ("status nowhere", 2, "nowhere"),
        ("report nowhere", 2, "nowhere"),
    ],
)
def test_a_wrong_line_gets_its_status_and_a_paragraph(
    tmp_path, files, line, status, words
):
    command, *rest = line.split()
    spoken = [files.get(word, word) for word in rest]
    if command == "run":
        spoken += ["--workspace", tmp_path / "w"]
    ended = lowmem(command, *spoken, cwd=tmp_path)
    assert ended.status == status, ended
    assert words in ended.paragraph
    assert "Traceback" not in ended.err
    assert ended.out == ""
    # A refusal by the budget is part of the job's history; a wrong line is not.
    assert (tmp_path / "w").exists() == (status == 73)


@pytest.mark.parametrize("job", ["trian", "gone.py"])
def test_a_job_that_is_not_there_is_refused_before_anything_is_said(tmp_path, job):
    words = ("--workspace", tmp_path / "w", "--mirror", tmp_path / "gone" / "mirror")
    ended = lowmem("run", job, *words, cwd=tmp_path)
    assert ended.status in {2, 65}, ended
    assert ended.err.startswith("lowmem: ")
    assert ended.err.count("\n\n") == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[run]\nseed = 'one'\n", "--seed"),
        ("[run]\ncycle-steps = 'five'\n", "--cycle-steps"),
        ("[run]\nsead = 1\n", "[run] in lowmem.toml is 'sead'"),
        ("[count]\nraws = 1\n", "--raws"),
        ("[run\n", "lowmem.toml"),
    ],
    ids=["seed", "steps", "unknown", "unknown of job", "no TOML"],
)
def test_a_wrong_configuration_is_refused(tmp_path, files, content, words):
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "lowmem.toml").write_text(content)
    ended = run(files["count"], tmp_path / "w", cycle_steps=None)
    assert ended.status == 2, ended
    assert words in ended.paragraph
    assert "Traceback" not in ended.err


def test_a_plan_chooses_the_first_setting_that_fits(tmp_path, files):
    words = ("plan", files["large"], "--workspace", tmp_path / "w", "--json")
    fits = lowmem(*words, "--ram-budget", "3G")
    (plan,) = json.loads(fits.out)["plans"]
    assert (fits.status, plan["fits"], plan["settings"]) == (0, True, {"block": 2})
    assert plan["ram_peak_bytes"] <= 3 * 10**9
    refused = lowmem(*words, "--ram-budget", "1G")
    (plan,) = json.loads(refused.out)["plans"]
    assert (refused.status, plan["fits"]) == (73, False)
    needed = plan["smallest_ram_budget_bytes"]
    assert lowmem(*words, "--ram-budget", needed).status == 0
    assert lowmem(*words, "--ram-budget", needed - 1).status == 73
    assert not (tmp_path / "w").exists()


def test_commands_that_only_look_print_what_they_found(tmp_path, files):
    space = tmp_path / "w"
    quiet = run(files["count"], space, "--quiet")
    assert (quiet.status, quiet.out, quiet.err) == (0, "", "")
    assert_counted(space)
    report = json.loads(lowmem("report", space, "--json").out)
    job = report["jobs"]["count"]
    assert (report["schema"], job["state"], job["attempts"]) == (1, "done", 1)
    for cycle in job["cycles"]:
        assert 0 < cycle["ram_start_bytes"] <= cycle["ram_peak_bytes"]
        assert cycle["ram_peak_bytes"] < 200 * 2**20
    status = json.loads(lowmem("status", space, "--json").out)
    assert status["jobs"]["count"]["state"] == "done"
    doctor = json.loads(lowmem("doctor", "--json").out)
    assert doctor["ram_budget_bytes"] <= doctor["ram_available_bytes"]
    assert doctor["n_programs"] >= 1  # This one.
    assert "ingest" in lowmem("jobs").out


def test_a_file_in_the_place_of_the_workspace_is_called_a_file(tmp_path, files):
    (tmp_path / "taken").write_text("")
    for space in (tmp_path / "taken", tmp_path / "taken" / "below"):
        ended = lowmem("run", files["count"], "--workspace", space)
        assert (ended.status, ended.out) == (2, "")
        assert "a file, expected a folder" in ended.paragraph


def test_a_plan_covers_the_job_that_a_run_would_begin_with(tmp_path):
    ended = lowmem("plan", "train", "--ram-budget", "9000G", "--json", cwd=tmp_path)
    plans = json.loads(ended.out)["plans"]
    assert ended.status == 0
    assert [plan["job"] for plan in plans] == ["ingest", "train"]
    assert (plans[0]["fits"], plans[1]["missing"]) == (
        True,
        [str(tmp_path / "lowmem-work" / "images.zarr")],
    )
    # No machine of today has that much: then the machine is the limit, which is said.
    assert "8381.90 GiB (9000 GB) is more than this machine's" in ended.err


def test_a_plan_of_nothing_ends_as_the_run_would(tmp_path):
    planned = lowmem("plan", "analyze", cwd=tmp_path)
    assert "needs" in planned.out
    ran = lowmem("run", "analyze", cwd=tmp_path)
    assert (planned.status, planned.paragraph) == (65, ran.paragraph)
    assert ran.status == 65
