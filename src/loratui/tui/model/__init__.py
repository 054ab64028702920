"""The second step: which model to train."""
