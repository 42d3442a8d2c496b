# %% [markdown]
# # lowmem on Colab
#
# A folder of images becomes a trained autoencoder, latent vectors, their analysis and
# new images, inside the memory of this VM. The VM may vanish at any time: run the same
# cells again and the work goes on where it was last saved.
#
# Put `bootstrap.py` beside this notebook first (Files pane, Upload).

# %% [markdown]
# ## What to run
#
# `DATA` is a zip, tar or folder of images within MyDrive; one archive is far faster to
# read than many small files. It is copied to the local disk by `lowmem data stage`, which
# goes on where it was cut. `None` takes the embedded procedural faces.
# `DRIVE_FOLDER` is where the workspace is saved, every half an hour; `None` uses no Drive.

# %%
from __future__ import annotations

PACKAGE = "lowmem"
DATA = None
DRIVE_FOLDER = "lowmem"
OPTIONS = ["--ram-budget", "10G", "--size", "64"]

# %% [markdown]
# ## Install, copy, run: the cell to run again after a disconnect
#
# Exit code 0 is done, 75 stopped and resumable. What each of the others means is in the
# paragraph printed above it.

# %%
import bootstrap

bootstrap.start(OPTIONS, package=PACKAGE, data=DATA, drive_folder=DRIVE_FOLDER)

# %% [markdown]
# ## What came out
#
# New images, and a report of every cycle with its peak of memory.

# %%
from IPython.display import HTML, Image

Image("/content/lowmem-work/generated/grid.png")

# %%
REPORT = "/content/report.html"
bootstrap.show(["lowmem", "report", "/content/lowmem-work", "--html", REPORT])
HTML(filename=REPORT)

# %% [markdown]
# ## A cell of your own, within the same budget
#
# The line that asks for too much raises, and the notebook lives. `%load_ext lowmem` and
# then `%%lowmem --ram 10G` on the first line of a cell do the same.

# %%
import zarr

import lowmem

with lowmem.budget(ram="10G") as used:
    images = zarr.open_group("/content/lowmem-work/images.zarr", mode="r")["images"]
    mean = images[:1000].mean(axis=0)

print(used)
