"""The same work on every Python and every release that is supported: `make matrix`."""
