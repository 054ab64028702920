"""A run as a screen sees it: its events gathered, its curves drawn."""
