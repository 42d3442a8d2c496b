"""Why an image cannot be had."""

from __future__ import annotations

# Why a JPEG is skipped of which the end is missing.
CUT_SHORT = "a JPEG that is cut short; --truncated keep takes what there is"
# What is said of one that is not.
KEPT_SHORT = "cut short: what is missing is grey"


class UnreadableError(Exception):
    """Raised when one image cannot be had; the job lists it and goes on.

    It never leaves the job: an unreadable *source* is a `lowmem.base.errors.DataError`.
    """
