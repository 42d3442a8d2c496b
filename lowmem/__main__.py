from __future__ import annotations

from lowmem.cli.main import run

run()
