"""The processes that import torch. What the interface may import of them is in `loratui.workers`."""
