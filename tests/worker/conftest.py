"""What the workers' tests find beside them."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "runs"))  # the kinds of damage are everybody's
