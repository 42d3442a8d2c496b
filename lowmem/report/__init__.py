"""The journal as a report: JSON, text and one self-contained page.

`view` makes a `Report` (`schema`) of what `lowmem.history` tells; `read` feeds it from a
workspace. What people see comes from the report alone: `text` and `status` on the
terminal, `page` in a browser, the latter with memory over time (`readings`,
`timeline`, `charts`) and the workspace's figures (`figures`); `write` puts the page on
the disk. Only `page` and `write` import Jinja2, so that a supervisor that wants a table
does not pay for it.
"""
