"""Experiments: what one takes before it begins, how it stands, and what is done with the trial that won."""
