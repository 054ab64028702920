"""The queue of this machine: where a run may start, when it will, and the process that starts it."""
