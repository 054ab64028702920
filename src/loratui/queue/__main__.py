"""`python -m loratui.queue`."""

import sys

from loratui.queue.watch import main

if __name__ == "__main__":
    sys.exit(main())
