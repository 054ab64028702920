"""Experiments: short trials of one plan with other values, the worse half stopped at each rung, each a real run."""
