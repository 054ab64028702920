"""Finding models: the demo, local folders, the hub's local cache, the hub."""
