from __future__ import annotations

from lowmem.cli.start import run

run()
