"""A helper's side for the tests: does what each request asks for."""

from __future__ import annotations

import os
import sys
from functools import partial

from lowmem.worker.helper import serve


def answer(times: str, request: bytes) -> bytes:
    word, _, rest = request.partition(b" ")
    if word == b"no-memory":
        raise MemoryError
    if word == b"fail":
        raise ValueError(rest.decode())
    if word == b"print":
        sys.stdout.write(f"{rest.decode()}\n")
        sys.stdout.flush()
        os.write(1, b"straight\n")
    return rest[::-1] * int(times)


if __name__ == "__main__":
    serve(lambda arguments: partial(answer, *arguments))
