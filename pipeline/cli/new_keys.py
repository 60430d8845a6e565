"""params.yaml after a later release: keys that came are put in, keys that went taken out, all else is as it was.

The text is edited, not written anew: comments, order and the way of writing stay the user's. What is new is what every
file of the later release has at a place (its params.yaml and recipes) and not every one of the earlier release had;
keys that only some have are optional, such as those of `columns`.
"""

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode

NAMED_BY_USERS = ("datasets", "tasks")  # any of the release's may stand for one of the user's
FREE = ("labels", "files", "max_accuracy_gaps", "thresholds")  # mappings whose keys are values of the user's own


@dataclass(frozen=True)
class TakenOver:
    """A params.yaml that fits the later release, and the keys that came and went with their values."""

    text: str
    added: dict[str, Any]
    removed: dict[str, Any]


class Entry(NamedTuple):
    """A key and its value where they stand in a text."""

    text: str
    key: Node
    value: Node

    @property
    def end(self) -> int:
        """Where the value ends, what follows on its line left out."""
        key, node = self.key, self.value
        if node.start_mark.index < self.key.start_mark.index:  # an alias: the node stands where its anchor is
            return self._end_of_line(self.key.end_mark.index)
        while isinstance(node, CollectionNode) and not node.flow_style and node.value:
            last = node.value[-1]
            key, node = last if isinstance(node, MappingNode) else (last, last)
        if node.start_mark.index == node.end_mark.index and key is not node:  # nothing there: the parser went on
            return self.text.index(":", key.end_mark.index) + 1
        return len(self.text[: node.end_mark.index].rstrip())

    @property
    def lines(self) -> slice:
        """The whole lines that key and value stand on, in a mapping that has a line for each key."""
        return slice(self.text.rfind("\n", 0, self.key.start_mark.index) + 1, self._end_of_line(self.end) + 1)

    def plain(self) -> Any:
        """Return the value as plain dicts and lists."""
        value = self.text[self.value.start_mark.index : self.end]
        return YAML(typ="safe", pure=True).load(" " * self.value.start_mark.column + value)

    def in_one_line(self) -> str:
        """Return `key: value` as it stands in a mapping in braces."""
        written = io.StringIO()
        yaml: Any = YAML(typ="safe", pure=True)
        yaml.default_flow_style, yaml.width, yaml.sort_base_mapping_type_on_output = True, 1_000_000, False
        yaml.dump({self.key.value: self.plain()}, written)
        return written.getvalue().strip()[1:-1]

    def _end_of_line(self, index: int) -> int:
        end = self.text.find("\n", index)
        return len(self.text) if end < 0 else end


class Section:
    """A mapping of a YAML text: its own entries by key, and all its keys, those of `<<` included."""

    def __init__(self, text: str, node: MappingNode) -> None:
        self.text, self.node = text, node
        self.entries = {key.value: Entry(text, key, value) for key, value in node.value if key.value != "<<"}
        merged = [value for key, value in node.value if key.value == "<<"]
        mappings = [item for value in merged for item in ([value] if isinstance(value, MappingNode) else value.value)]
        self.keys: set[str] = {*self.entries, *(key for mapping in mappings for key in Section(text, mapping).keys)}

    def section(self, key: str) -> "Section | None":
        """Return the mapping under a key, None where there is none."""
        entry = self.entries.get(key)
        return Section(self.text, entry.value) if entry and isinstance(entry.value, MappingNode) else None

    def sections(self) -> dict[str, "Section"]:
        """Return all mappings under its keys."""
        return {key: found for key in self.entries if (found := self.section(key))}

    def word(self, key: str) -> str | None:
        """Return the scalar under a key as it is written."""
        entry = self.entries.get(key)
        return entry.value.value if entry and isinstance(entry.value, ScalarNode) else None


@dataclass
class _Changes:
    edits: list[tuple[int, int, str]] = field(default_factory=list)  # from, to, what stands there instead
    added: dict[str, Any] = field(default_factory=dict)
    removed: dict[str, Any] = field(default_factory=dict)


def take_over(mine: str, before: Sequence[str], after: Sequence[str]) -> TakenOver:
    """Return the params.yaml `mine` with what distinguishes the files `after` of a release from those `before`.

    All are texts of whole params.yaml files, the release's default first: its values are taken, for a task those of a
    task of the same type where there is one.
    """
    changes = _Changes()
    _compare(_root(mine), [_root(text) for text in before], [_root(text) for text in after], "", changes)
    text = mine if mine.endswith("\n") else f"{mine}\n"
    # from the end, so that what comes before stays where it is; of edits at one place the last one first
    for _, (start, end, instead) in sorted(enumerate(changes.edits), key=lambda item: (*item[1][:2], item[0]))[::-1]:
        text = text[:start] + instead + text[end:]
    return TakenOver(text, changes.added, changes.removed)


def _root(text: str) -> Section:
    return Section(text, YAML(pure=True).compose(text))


def _compare(mine: Section, before: list[Section], after: list[Section], path: str, changes: _Changes) -> None:
    before, after = _alike(mine, before), _alike(mine, after)
    if not after:
        return
    known = {key for section in after for key in section.keys}
    gone = [key for key in mine.entries if key not in known and any(key in section.keys for section in before)]
    for key in gone:
        changes.removed[path + key] = mine.entries[key].plain()
        changes.edits.append(_removal(mine, key, gone))
    expected = _in_all(after) - _in_all(before)
    for key, entry in after[0].entries.items():
        if key in expected - mine.keys:
            changes.added[path + key] = entry.plain()
            changes.edits.append(_insertion(mine, after[0], entry, gone))
    for key, section in mine.sections().items():
        if key in gone or key in FREE:
            continue
        old, new = ([found for parent in side if (found := parent.section(key))] for side in (before, after))
        if path or key not in NAMED_BY_USERS:
            _compare(section, old, new, f"{path}{key}.", changes)
            continue
        for name, own in section.sections().items():
            _compare(own, _named(name, old), _named(name, new), f"{key}.{name}.", changes)


def _in_all(sections: list[Section]) -> set[str]:
    return sections[0].keys.intersection(*(section.keys for section in sections)) if sections else set()


def _named(name: str, side: list[Section]) -> list[Section]:
    """Return all datasets or tasks of some files, those of this name first."""
    found = [item for parent in side for item in parent.sections().items()]
    return [section for _, section in sorted(found, key=lambda item: item[0] != name)]


def _alike(mine: Section, sections: list[Section]) -> list[Section]:
    """Return those of the same kind, which alone have the same keys; of the same type, where there are some."""
    of_kind = [section for section in sections if section.word("kind") == mine.word("kind")]
    return [section for section in of_kind if section.word("type") == mine.word("type")] or of_kind


def _insertion(mine: Section, release: Section, entry: Entry, gone: list[str]) -> tuple[int, int, str]:
    """Return the edit that puts an entry of the release behind the key that it stands behind there."""
    order = list(release.entries)
    earlier = reversed(order[: order.index(entry.key.value)])
    behind = next((mine.entries[key] for key in earlier if key in mine.entries and key not in gone), None)
    if mine.node.flow_style:
        text = entry.in_one_line()
        if behind is not None:
            return behind.end, behind.end, f", {text}"
        start = mine.node.start_mark.index + 1
        return start, start, f"{text}, "  # a comma too many is none in YAML
    column = next(iter(mine.entries.values())).key.start_mark.column
    if release.node.flow_style:
        lines = f"{entry.in_one_line()}\n"
    else:
        lines = textwrap.dedent(entry.text[entry.lines].rstrip("\n")) + "\n"
    if column == 0:
        lines = f"\n{lines}"  # a section of its own
    place = behind.lines.stop if behind else next(iter(mine.entries.values())).lines.start
    return place, place, textwrap.indent(lines, " " * column)


def _removal(mine: Section, key: str, gone: list[str]) -> tuple[int, int, str]:
    entry, order = mine.entries[key], list(mine.entries)
    if not mine.node.flow_style:
        return entry.lines.start, entry.lines.stop, ""
    later = order[order.index(key) + 1 :]
    if any(other not in gone for other in later):
        return entry.key.start_mark.index, mine.entries[later[0]].key.start_mark.index, ""
    earlier = order[: order.index(key)]
    return (mine.entries[earlier[-1]].end if earlier else entry.key.start_mark.index), entry.end, ""
