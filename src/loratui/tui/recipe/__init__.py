"""The fourth step: every hyperparameter with its reason."""
