"""What packing a table costs, in memory at each setting and in time beside a plain reading.

    python benchmarks/tables.py [MB]

Writes one table of numbers and texts as CSV, JSON lines, Parquet, Arrow and HDF5, packs each at
the largest and the smallest setting, and prints the peak of the run beside what was
predicted. The last column is the time that pandas, pyarrow or h5py takes to read the
whole file into memory: the seconds of the cycles are to be held against it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pandas as pd
from pyarrow import feather, parquet

from lowmem_jobs.pack.job import JOB

N_COLUMNS = 12
ROW_BYTES = 8 * N_COLUMNS + 40
SETTINGS = (JOB.ladder(SimpleNamespace())[0], JOB.ladder(SimpleNamespace())[-1])


def frame_of(n_mb: int) -> pd.DataFrame:
    """Return a table of about so many MB."""
    n_rows = n_mb * 10**6 // ROW_BYTES
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        rng.normal(size=(n_rows, N_COLUMNS)),
        columns=[f"x{i}" for i in range(N_COLUMNS)],
    )
    frame["text"] = [f"t{row:x} " * (row % 9) for row in range(n_rows)]
    return frame


def written(frame: pd.DataFrame, folder: Path) -> dict[str, tuple[Path, object]]:
    """Write the table in each format; return how each is read at once."""
    paths = {name: folder / f"t.{name}" for name in ("csv", "jsonl", "parquet")}
    paths |= {"feather": folder / "t.feather", "h5": folder / "t.h5"}
    frame.to_csv(paths["csv"], index=False)
    frame.to_json(paths["jsonl"], orient="records", lines=True)
    frame.to_parquet(paths["parquet"])
    feather.write_feather(frame, paths["feather"], compression="uncompressed")
    with h5py.File(paths["h5"], "w") as file:
        for name in frame.columns[:-1]:
            file[name] = frame[name].to_numpy()
        file.create_dataset(
            "text", data=frame["text"].to_numpy(object), dtype=h5py.string_dtype()
        )

    def read_h5(path: Path) -> None:
        with h5py.File(path) as file:
            for name in file:
                file[name][:]

    readers = {
        "csv": pd.read_csv,
        "jsonl": lambda path: pd.read_json(path, lines=True),
        "parquet": parquet.read_table,
        "feather": feather.read_table,
        "h5": read_h5,
    }
    return {name: (path, readers[name]) for name, path in paths.items()}


def packed(source: Path, space: Path, settings: dict[str, int]) -> dict[str, object]:
    """Pack a file; return what the report says of it."""
    words = ["run", "pack", "--source", source, "--workspace", space, "--quiet"]
    for name, value in settings.items():
        words += ["--set", f"{name}={value}"]
    line = [sys.executable, "-m", "lowmem", *map(str, words)]
    subprocess.run(line, check=True)
    line = [sys.executable, "-m", "lowmem", "report", str(space), "--json"]
    told = subprocess.run(line, check=True, capture_output=True, text=True).stdout
    return json.loads(told)["jobs"]["pack"]


def main() -> None:
    """Print a line for each format and setting."""
    n_mb = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    print("format   block_kib  peak MiB  predicted MiB  seconds  read at once s")
    with tempfile.TemporaryDirectory() as folder:
        files = written(frame_of(n_mb), Path(folder))
        for name, (path, read) in files.items():
            begin = time.perf_counter()
            read(path)
            at_once_s = time.perf_counter() - begin
            for settings in SETTINGS:
                space = Path(folder) / f"{name}{settings['block_kib']}"
                told = packed(path, space, settings)
                seconds = sum(cycle["seconds"] for cycle in told["cycles"])
                predicted = JOB.predict(SimpleNamespace(), settings).ram_bytes
                print(
                    f"{name:8} {settings['block_kib']:9} "
                    f"{told['ram_peak_bytes'] / 2**20:9.0f} {predicted / 2**20:14.0f} "
                    f"{seconds:8.1f} {at_once_s:15.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
