"""The job `generate`: new latent vectors, their images, and how good they are.

`job` describes it and `work` does it: `generation_task` holds what it needs, `passes`
goes over the drawn vectors and then over real images for comparison, `scoring` and
`pictures` make what people look at. `decoder` turns vectors into images,
`fitted_distribution` reads the analysed distribution, `npy_rows` keeps arrays on disk
while they grow.
"""
