"""Every promise of docs/models.md names a test, and every test that it names is there."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/models.md").read_text()


def test_every_test_that_the_page_of_models_names_is_there():
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    there = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)
    }
    assert len(named) > 10
    assert not named - there


def test_every_line_of_its_table_says_what_holds_it():
    table = PAGE.partition("## What is equal")[2].partition("\n## ")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    bare = [line for line in lines if not line.endswith(("` |", "the same |"))]
    assert bare == ["| a model, or what it was compiled with | now | held by |"]


@pytest.mark.keras
@pytest.mark.slow
def test_the_model_shown_is_one_that_can_be_trained(tmp_path, monkeypatch):
    from lowmem_jobs.model.parts import cut_at_latent
    from lowmem_jobs.model.user_model import build_custom_model

    (shown,) = re.findall(r"```py\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "shown_model.py").write_text(shown)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    model = build_custom_model(
        "shown_model:build", input_shape=(16, 16, 3), latent_dim=5
    )
    parts = cut_at_latent(model)
    assert parts.encoder.output_shape == (None, 5)
    assert parts.decoder.output_shape == (None, 16, 16, 3)
