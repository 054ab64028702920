"""The sixth step: a run, live."""
