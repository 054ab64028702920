"""Writing a file whole; `loratui.files` does it, which floors below this one need too."""

from loratui.files import write_whole

__all__ = ["write_whole"]
