"""Who holds a GPU's memory: a process's name and user, as far as they can be seen from here."""

from __future__ import annotations

from pathlib import PurePath

UNSEEN = "not visible from here"
NAME_LENGTH = 60


class ProcessNames:
    """Names and users of processes by id; looked up once per process, forgotten when it ends."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[float, str, str]] = {}

    def look_up(self, pid: int) -> tuple[str, str]:
        """Name and user of a process; `not visible from here` and no user where its id means nothing here.

        A container sees only its own processes, while the driver reports ids of the host.
        """
        import psutil

        try:
            process = psutil.Process(pid)
            started = process.create_time()
            known = self._known.get(pid)
            if known is None or known[0] != started:
                known = (started, _short_name(process), _user(process))
                self._known[pid] = known
            return known[1], known[2]
        except psutil.Error:
            self._known.pop(pid, None)
            return UNSEEN, ""


def _short_name(process: object) -> str:
    """What a person would call the process: the script of an interpreter, else the program."""
    import psutil

    assert isinstance(process, psutil.Process)
    try:
        command = [part for part in process.cmdline() if part]
    except psutil.Error:
        command = []
    if not command:
        return process.name()
    program = PurePath(command[0]).name
    if program.startswith("python"):
        module = _after(command, "-m")
        script = next((PurePath(part).name for part in command[1:] if not part.startswith("-")), "")
        program = f"{program} -m {module}" if module else f"{program} {script}".strip()
    printable = "".join(character if character.isprintable() else "?" for character in program)
    return printable if len(printable) <= NAME_LENGTH else printable[: NAME_LENGTH - 1] + "…"


def _after(command: list[str], flag: str) -> str:
    """The word after `flag`, where it stands before the script's own arguments."""
    for position, part in enumerate(command[1:-1], start=1):
        if part == flag:
            return command[position + 1]
        if not part.startswith("-"):
            return ""
    return ""


def _user(process: object) -> str:
    import psutil

    assert isinstance(process, psutil.Process)
    try:
        return process.username()
    except (psutil.Error, KeyError):
        return ""
