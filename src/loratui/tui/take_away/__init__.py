"""What can be made of a run, and the processes that make it."""
