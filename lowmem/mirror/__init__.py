"""PROCESS 3. The mirror: generations of a workspace in a folder or an object store.

A generation is one new file, ``JOB-SEQUENCE-TOKEN.lowmem``, never renamed or
overwritten: a plain tar. A small ``.ok`` beside it holds its size and SHA-256. With
``--mirror-data`` the chunks of stores lie in ``.data`` archives that generations refer
to, so that nothing is sent twice.

``names`` and ``policy`` decide, without I/O; ``archive`` is the tar, ``remote`` the only
user of fsspec; ``library`` lists, verifies and reads what a mirror holds; ``recover``
builds a workspace from it; ``snapshot`` and ``upload`` make a generation; ``serve`` is the
process in the background.
"""
