"""The job `analyze`: how latent vectors are distributed, from every pair to the whole.

Passes over the rows, each a sequence of blocks that may be cut after any: `moments`,
`histograms`, `survivors`, `turning`, the `core` if asked for, `axes`, `shape`, and `truth` where
the features behind the images are known. Then tiles of `pairs`, one more pass for the
pairs that are drawn, and the figures.
"""
