"""One module a command: each has a `command: click.Command`. `tree` imports a module when its command is
called.
"""
