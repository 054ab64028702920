"""`python -m loratui`: the same as the command `loratui`."""

from loratui.cli import main

if __name__ == "__main__":
    main()
