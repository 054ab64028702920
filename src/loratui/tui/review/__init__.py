"""The fifth step: the whole plan, and the start."""
