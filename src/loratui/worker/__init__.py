"""The processes that import torch. `protocol` and `client` are what the interface may import: they do not."""
