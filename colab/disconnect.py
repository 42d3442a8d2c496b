# %% [markdown]
# # After a disconnect: the same cells, the same results
#
# Try it before you trust it with hours. Run all cells; while `train` shows its progress,
# choose *Runtime, Disconnect and delete runtime*: the machine and its disk are gone. Then
# run all cells again. The study goes on from the last commit that reached Drive, and the
# last cell holds its results against those of a study that nobody disturbed.
#
# The other notebooks do the same after a disconnect: run all cells again.

# %% [markdown]
# ## A small study
#
# `PACKAGE` is what pip installs: the address of the wheel on lowmem's release page,
# `git+https://` and the address of its repository, or a wheel that you upload. To try
# once more, give `MIRROR` another name.

# %%
PACKAGE = "lowmem-0.1.0-py3-none-any.whl"
MIRROR = "lowmem-mirror-try"
OPTIONS = ["--ram-budget", "10G", "--source", "faces:2000", "--size", "64"]
LOCAL = "/content"

# %%
# %pip install --quiet {PACKAGE}

# %% [markdown]
# ## The cell that is disturbed
#
# On a new machine its first lines say what was recovered from the mirror.

# %%
from lowmem.inline import colab

work = colab.start(OPTIONS, mirror=MIRROR, local=LOCAL)

# %% [markdown]
# ## The same, undisturbed
#
# In a workspace of its own, without a mirror.

# %%
undisturbed = colab.start(OPTIONS, mirror=None, local=LOCAL, workspace="undisturbed")

# %% [markdown]
# ## Byte for byte
#
# One SHA-256 of each result. On a GPU, or on another kind of machine, last digits may
# differ, and with them the sums of what follows from them; then this cell says which.

# %%
colab.compare(work, undisturbed)
