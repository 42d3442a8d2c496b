"""What a command orders, composed and run in order, within one lock and one journal.

- `orders`: texts and lowmem.toml become orders; `commands`: an order becomes a line again.
- `compose`: the jobs of one command, those that they need, one that is made again.
- `mirror`: what to keep elsewhere, and what to take back first.
- `job_plans`: what each would need, and whether it fits.
- `model_plan`: what a model of the user's own would need, without job and workspace.
- `execute`: runs what was ordered, in the process that supervises.
"""
