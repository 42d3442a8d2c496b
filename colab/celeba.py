# %% [markdown]
# # The study on CelebA
#
# 202,599 faces of 96 x 96 pixels: an autoencoder, the distribution of its latent vectors,
# and new faces drawn from it. Put `img_align_celeba.zip` on your Drive, as it is: the
# archive is copied to this machine's disk and read from there, never unpacked. Run the
# same cells again after a disconnect.
#
# ## What each job costs
#
# On two cores without a GPU. Times are estimates for all images from a part of them, no run
# of the whole study; `benchmarks/celeba.py` prints such figures of any machine. With a GPU,
# which was not measured, `train` and `encode` are faster. Peaks of RAM are readings of a
# run of 600 images under `--ram-budget 10G`, and hardly grow with the images.
#
# | job | time | peak of RAM | known from |
# |---|---|---|---|
# | `ingest` | some 3 minutes, and the copy from Drive | 76 MiB | 0.8 ms of processor time an image |
# | `train`, 20 epochs | 12 to 17 hours | 849 MiB | 20 ms of processor time an image |
# | `encode` | 5 to 9 minutes | 439 MiB | 3 ms of processor time an image |
# | `analyze` | some 3 minutes | 190 MiB | 175 s for 600 images, 32,640 pairs as for all |
# | `generate` | at most 10 minutes | 467 MiB | 3 ms of processor time an image |
#
# On Drive the mirror takes some 0.5 GB: three generations of 150 MB while it trains. A lost
# machine costs the copy, the packing, and what was trained since the last commit that
# reached Drive; one that is lost during `encode` begins that again.

# %% [markdown]
# ## What to run
#
# - `PACKAGE` is what pip installs: the address of the wheel on lowmem's release page,
#   `git+https://` and the address of its repository, or a wheel that you upload.
# - `DATA` is the archive's path within MyDrive.
# - `MIRROR` is the folder within MyDrive that keeps every commit. The images are not sent
#   there: a new machine copies the archive and packs them again, which takes minutes.
#   `MIRROR_DATA = True` sends them, 5.6 GB of your Drive, and the latent vectors.
# - `--time-budget` stops in time before Colab takes the machine after 12 hours.

# %%
PACKAGE = "lowmem-0.1.0-py3-none-any.whl"
DATA = "img_align_celeba.zip"
MIRROR = "lowmem-mirror-celeba"
MIRROR_DATA = False
OPTIONS = ["--preset", "celeba", "--ram-budget", "10G", "--time-budget", "11h30m"]
LOCAL = "/content"

# %%
# %pip install --quiet {PACKAGE}

# %% [markdown]
# ## Run, or go on: the cell to run again after a disconnect

# %%
from lowmem.inline import colab

work = colab.start(
    OPTIONS, data=DATA, mirror=MIRROR, mirror_data=MIRROR_DATA, local=LOCAL
)

# %% [markdown]
# ## What came out
#
# New faces, the study's figures, and what every cycle took.

# %%
from IPython.display import HTML, Image

Image(str(work / "generated" / "grid.png"))

# %%
HTML(filename=str(work / "report.html"))
