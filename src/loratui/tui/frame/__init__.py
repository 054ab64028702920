"""What frames every step: where you are, the memory, the keys."""
