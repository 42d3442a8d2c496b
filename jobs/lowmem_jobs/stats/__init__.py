"""Streaming arithmetic on arrays: no I/O, no framework.

Sums and counts are frozen states that grow by rows and merge: `moments`, `histograms`,
`pairs`, `radius`, `projections`, `regression`. What follows from them: `principal` axes, `gaussian` fits,
`ellipses`, the `density` of a pair counted in its `plane`, `trimming` of outer rows.
Drawing vectors and scoring them: `frame`, `samplers`, `truncated`, `paths`, `scores`,
the `pair_region` inside all ellipses and `pair_chains` in it, `neighbours` and the `scores_neighbours` of sets of vectors, `scores_images`.
"""
