"""What a person types: parse, call one function, print, choose the exit code.

`main` is the list of commands; `start` and `supervise` are where processes begin. What a
command does lies in `lowmem.pipeline`, `lowmem.repair` and `lowmem.places`.
"""
