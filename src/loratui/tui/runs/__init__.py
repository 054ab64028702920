"""All runs of this machine, and two of them compared."""
