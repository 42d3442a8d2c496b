"""What a person types: parse, call one function, print, choose the exit code.

`main` is the list of commands, `orders` turns texts into orders (pure), `execute` runs
them, `doctor` looks at the machine.
"""
