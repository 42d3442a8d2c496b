# %% [markdown]
# # Your own images, your own model
#
# lowmem trains any Keras model that gives back what it is given: within the memory of
# this machine, and resumed to the bit after a disconnect. Run the same cells again on a
# new machine, this one with the model too: it goes on from the last commit on Drive.

# %% [markdown]
# ## What to run
#
# - `PACKAGE` is what pip installs: the address of the wheel on lowmem's release page,
#   `git+https://` and the address of its repository, or a wheel that you upload.
# - `DATA` is a zip, tar, `.npy`, `.npz` or folder of images: a path within MyDrive, or an
#   absolute one. `--size` is the height and width that they are scaled to.
# - `MIRROR` is the folder within MyDrive that keeps every commit.
# - `--model MODULE:FUNCTION` names the function below.

# %%
PACKAGE = "lowmem-0.1.0-py3-none-any.whl"
DATA = "my-images.zip"
MIRROR = "lowmem-mirror-own"
OPTIONS = ["--ram-budget", "10G", "--size", "64", "--model", "my_model:build"]
LOCAL = "/content"

# %%
# %pip install --quiet {PACKAGE}

# %% [markdown]
# ## The model
#
# A function of `input_shape` (height, width, channels) and `latent_dim` that returns a
# Keras model, compiled or not. Images come as 0 to 255, and it returns them as 0 to 1; a
# layer named `z` marks where the encoder ends and the decoder begins. A run that was begun
# with one model is refused with another, which would spoil it: `--restart` in `OPTIONS`,
# for one run, starts over; `workspace="another"` in the call of `start` keeps both.

# %%
# %%writefile my_model.py
import keras
from keras import layers


def build(input_shape, latent_dim):
    height, width, channels = input_shape
    image = keras.Input(input_shape)
    x = layers.Rescaling(1 / 255)(image)
    x = layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv2D(32, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Dropout(0.1)(layers.Flatten()(x))
    z = layers.Dense(latent_dim, name="z")(x)
    x = layers.Dense(height // 4 * (width // 4) * 32, activation="relu")(z)
    x = layers.Reshape((height // 4, width // 4, 32))(x)
    x = layers.Conv2DTranspose(16, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv2DTranspose(channels, 3, strides=2, padding="same")(x)
    return keras.Model(image, layers.Activation("sigmoid")(x))


# %% [markdown]
# ## Run, or go on: the cell to run again after a disconnect

# %%
from lowmem.inline import colab

work = colab.start(OPTIONS, data=DATA, mirror=MIRROR, local=LOCAL)

# %% [markdown]
# ## What came out
#
# The models open with Keras alone, the vectors with Zarr alone.

# %%
import zarr
from keras.models import load_model

encoder = load_model(work / "model" / "encoder.keras")
vectors = zarr.open_group(work / "latents.zarr", mode="r")["z"]
encoder.summary()
print(vectors.shape, vectors.dtype)

# %%
from IPython.display import HTML, Image

Image(str(work / "generated" / "grid.png"))

# %%
HTML(filename=str(work / "report.html"))
