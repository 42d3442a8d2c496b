"""Encode every image of the store into its latent vector."""
