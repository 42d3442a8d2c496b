"""What every other part stands on: errors, configuration, units, clock, files, children.

Nothing here knows of jobs or arrays; only the standard library is used.
"""
