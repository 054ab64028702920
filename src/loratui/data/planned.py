"""What planning needs of a plan's rows: of one dataset, or of several as one."""

from __future__ import annotations

from loratui.core.dataset import DataFacts
from loratui.core.errors import DatasetError
from loratui.core.mix import mixed_facts, sections_of
from loratui.core.plan import DatasetSection
from loratui.data.facts import first_rows, quick_facts
from loratui.data.find import find_planned
from loratui.data.preferences import require_answer
from loratui.data.preview import preview


def planned_facts(section: DatasetSection, objective: str = "sft") -> DataFacts:
    """Counts and guessed lengths of the rows that these keys of a plan name, of a mix as often as they are drawn.

    DatasetError where a dataset or part cannot be read, has no known shape, or holds no row that can be trained on.
    """
    found = [_facts(one, objective, section.parts[at].name if section.parts else "") for at, one in _numbered(section)]
    if not section.parts:
        return found[0]
    weighed = [
        (part.weight, 0 if part.cap == "none" else part.cap, facts)
        for part, facts in zip(section.parts, found, strict=True)
    ]
    return mixed_facts(section, weighed)


def _numbered(section: DatasetSection) -> list[tuple[int, DatasetSection]]:
    return list(enumerate(sections_of(section)))


def _facts(section: DatasetSection, objective: str, name: str) -> DataFacts:
    found = find_planned(section)
    head = first_rows(found)
    read_as = preview(found, section, count=0, head=head).recognition
    recognition = require_answer(read_as, section, where=section.path, objective=objective)
    facts = quick_facts(found, section, recognition, head)
    if facts.rows and facts.unusable == facts.rows:
        raise DatasetError(
            f"none of the {facts.rows:,} rows can be trained on: {facts.problem}",
            where=f"{section.path} (part {name})" if name else section.path,
            hint="`loratui inspect` lists them all.",
        )
    return facts
