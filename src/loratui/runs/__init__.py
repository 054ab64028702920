"""Run directories: creating, starting, following, stopping and resuming runs. Imports no torch."""
