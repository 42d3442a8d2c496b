# %% [markdown]
# # lowmem on Colab
#
# A folder of images becomes a trained autoencoder, latent vectors, their analysis and
# new images, inside the memory of this machine. The machine may vanish at any time: run
# the same cells again on a new one, and the work goes on from the last commit that
# reached Drive.

# %% [markdown]
# ## What to run
#
# - `PACKAGE` is what pip installs: the address of the wheel on lowmem's release page,
#   `git+https://` and the address of its repository, or a wheel that you upload (Files
#   pane) - the last is lost with the machine, an address works on each.
# - `DATA` is a zip, tar or folder of images: a path within MyDrive, or an absolute one.
#   One archive is far faster to read than many small files. `None` takes drawn faces.
# - `MIRROR` is the folder within MyDrive that keeps every commit. `None`: no mirror, and
#   a lost machine loses everything.
# - `MIRROR_DATA`: whether stores above 64 MiB (images, latent vectors) go there too. If
#   not, a new machine makes them again, as they were.
# - `OPTIONS` are those of `lowmem run all`: `!lowmem run all --help` lists them.

# %%
PACKAGE = "lowmem-0.1.0-py3-none-any.whl"
DATA = None
MIRROR = "lowmem-mirror"
MIRROR_DATA = False
OPTIONS = ["--ram-budget", "10G", "--size", "64"]
LOCAL = "/content"

# %%
# %pip install --quiet {PACKAGE}

# %% [markdown]
# ## Run, or go on: the cell to run again after a disconnect
#
# It asks for your consent to mount Drive. Where Drive cannot be mounted it says so, and
# goes on without the mirror. To stop, interrupt the cell: it commits first.

# %%
from lowmem.inline import colab

work = colab.start(
    OPTIONS, data=DATA, mirror=MIRROR, mirror_data=MIRROR_DATA, local=LOCAL
)

# %% [markdown]
# ## What came out
#
# New images, and a report of every cycle with its peak of memory.

# %%
from IPython.display import HTML, Image

Image(str(work / "generated" / "grid.png"))

# %%
HTML(filename=str(work / "report.html"))

# %% [markdown]
# ## A cell of your own, within the same budget
#
# The line that asks for too much raises, and the notebook lives. `%load_ext lowmem` and
# then `%%lowmem --ram 10G` on the first line of a cell do the same.

# %%
import zarr

import lowmem

with lowmem.budget(ram="10G") as used:
    images = zarr.open_group(work / "images.zarr", mode="r")["images"]
    mean = images[:1000].mean(axis=0)

print(used)
