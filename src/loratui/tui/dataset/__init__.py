"""The third step: what the model will learn from."""
