"""The campaign's modules, as its own scripts find them."""

from __future__ import annotations

import sys
from pathlib import Path

CAMPAIGN = Path(__file__).parents[2] / "benchmarks" / "gpu"
sys.path.append(str(CAMPAIGN))
