"""Inputs with their right answers, known without the code that is tried.

`case` says what a case is, `judge` what became of one; `benchmarks/inputs.py` runs them
all. Pictures: `pngs`, `jpegs`, `gifs`, `plain`, `tiffs`, `others`. What holds pictures:
`archives`, `members`, `arrays`, `zarrs`, `labels`; all pictures in all of them, and all
of them cut short: `crossed`.
"""
