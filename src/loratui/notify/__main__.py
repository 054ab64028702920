"""`python -m loratui.notify RUN`."""

import sys

from loratui.notify.watch import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
