"""One module a command: each has a `command: click.Command`. `loratui.cli` imports a module when its command is
called.
"""
