"""What every other part stands on: errors, configuration, units, clock, files.

Nothing here knows of jobs, processes or arrays; only the standard library is used.
"""
