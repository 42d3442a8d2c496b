"""The journal folded into a report: JSON, text and one self-contained page.

`fold` is the heart: records in, a `Report` (`schema`) out, no I/O. `read` feeds it from
a workspace. What people see comes from the report alone: `text` and `status` on the
terminal, `page` in a browser, the latter with memory over time (`telemetry`,
`timeline`, `charts`) and the workspace's figures (`figures`); `write` puts the page on
the disk. Only `page` and `write` import Jinja2, so that a supervisor that wants a table
does not pay for it.
"""
