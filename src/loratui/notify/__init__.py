"""Telling people what became of their runs: what there is to tell, by which ways, and the process that does."""
