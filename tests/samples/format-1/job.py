from __future__ import annotations

import numpy as np

import lowmem
from lowmem.stores.row_writer import RowWriter


@lowmem.job(unit="rows")
def squares(ctx):
    "Square numbers."
    writer = RowWriter.open(
        ctx.staging / "squares.zarr",
        "squares",
        row_shape=(3,),
        dtype=np.int64,
        chunk_rows=4,
        n_rows=ctx.state.get("rows", 0),
    )
    for start in range(writer.n_rows, 18, 4):
        rows = np.arange(start, min(start + 4, 18))
        writer.append(np.stack([rows, rows**2, rows**3], axis=1))
        total = ctx.arrays["total"] if ctx.state and start == 0 else np.zeros(3)
        yield lowmem.CommitPoint(
            items=len(rows),
            state={"rows": start + len(rows)},
            arrays={"total": total + rows.sum()},
            flush=writer.flush,
        )
    writer.flush()
    (ctx.staging / "squares.txt").write_text("18 squares\n")
    return lowmem.Result(publish=["squares.zarr", "squares.txt"], summary={"n": 18})
