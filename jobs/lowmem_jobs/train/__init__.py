"""Train a convolutional autoencoder on the images of the workspace."""
