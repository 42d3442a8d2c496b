"""What people see of lowmem, kept as texts: one for each session and width.

`terminal` gives a command a window or a pipe and tells what is seen of it, `placeholders`
replaces what differs from run to run, `sessions` says what is typed, `kept` holds the
texts against those in `texts/`, and `record` writes them anew.
"""
