"""A model of the campaign, made in a process of its own: `make_model.py JSON`, as `random_models.make` takes it."""

from __future__ import annotations

import json
import sys

from random_models import make

if __name__ == "__main__":
    print(json.dumps(make(json.loads(sys.argv[1]))))
