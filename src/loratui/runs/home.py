"""Where runs live; `loratui.home` holds the rule, which floors below this one need too."""

from loratui.home import HOME_VARIABLE, home, runs_home, state_home

__all__ = ["HOME_VARIABLE", "home", "runs_home", "state_home"]
