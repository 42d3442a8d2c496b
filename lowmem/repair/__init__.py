"""Whether a workspace is as it was written, and how it becomes so again.

Three parts, in this order, each with one direction of dependence:

- check: `check` reads a workspace and `mirror_check` its mirror; `findings` are values.
- plan (pure): `journal_plan`, from the journal's lines and the checkpoints;
  `recompute_plan`, which runs make damaged results again; `mirror_findings`, what a
  mirror's generations mean.
- apply: `private_files` replaces the journal and removes checkpoints, `recompute` runs
  jobs; `apply` is the order of all.
"""
