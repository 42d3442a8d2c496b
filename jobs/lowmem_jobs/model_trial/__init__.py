"""One trial of a model of the user's own: a few steps on synthetic input, for its peak.

`lowmem plan --model` runs it at one batch size after the other. It is no entry point, so
`lowmem jobs` does not list it: it makes nothing.

- `model_trial_job`: what the planner knows of it, and refuses.
- `model_reference`: how a model is named, and what a ``.keras`` file must not hold.
- `opening`: the model, from its file or the user's function.
- `synthetic_rows`: rows of the shapes and types that a model takes, and their targets.
- `work`: the steps.
"""
