"""The error of a memory setting under which a job would make another result."""

from __future__ import annotations

from lowmem.base.errors import ModelError


class SettingRefusedError(ModelError):
    """Raised before any work where a setting below the ladder's first cannot be used.

    A trial that ends so takes every setting but the first from the ladder.
    """
