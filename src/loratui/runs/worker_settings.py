"""What every worker's environment has, whoever begins it."""

from __future__ import annotations

WORKER_SETTINGS = {
    "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
    "PYTHONUNBUFFERED": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # Threads that wait by spinning take the processors from everybody else, a screen that watches included: on two busy
    # cores the demo trained nine times slower with them (2026-11-20).
    "OMP_WAIT_POLICY": "PASSIVE",
    "PYTORCH_ALLOC_CONF": "expandable_segments:True",  # rows of unlike length leave no holes
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}
"""What a worker's environment has where a person did not set it otherwise."""
