"""YAML as plain values of text, with the line on which each of them stands.

Rules kept here:
  * nothing is guessed: a scalar stays text (or None), so `no` is not false and a day is not a
    number; the shapes decide what the text means;
  * a key written twice and an alias are faults, since a reader would miss what they do;
  * a file that is not UTF-8 or not YAML is a fault with its line, never a traceback;
  * how deep it goes is asked before it is composed, because composing follows it down on the stack,
    in C, where too deep is not an error but the end of the process.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from consent_service.policy_files.faults import Faults

Location = tuple[int | str, ...]
DEEPEST = 40
NULL_TAG = "tag:yaml.org,2002:null"
# The loader written in C reads the same, about ten times as fast; not every build has it.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Document:
    """One YAML file: its plain value and where everything in it stands."""

    file: str
    value: Any
    root: yaml.Node

    def line(self, location: Location = ()) -> int:
        """Return the line of what stands at `location`, or of the nearest thing around it."""
        node, line = self.root, _line(self.root)
        for part in location:
            found = _child(node, part)
            if found is None:
                continue
            line, node = found
        return line


def read_text(folder: Path, file: str, faults: Faults) -> str | None:
    """Return the text of a file, or None after noting why there is none."""
    try:
        return (folder / file).read_bytes().decode("utf-8")
    except FileNotFoundError:
        faults.add(file, 1, "the file is missing, expected it here")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        faults.add(file, line, "the file is not UTF-8, expected UTF-8 text")
    return None


def read_yaml(folder: Path, file: str, faults: Faults) -> Document | None:
    """Return the document, or None after noting why there is none."""
    text = read_text(folder, file, faults)
    if text is None:
        return None
    try:
        if (too_deep := _line_too_deep(text)) is not None:
            faults.add(file, too_deep, f"this is nested too deeply, expected {DEEPEST} levels")
            return None
        root = yaml.compose(text, Loader=LOADER)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        faults.add(file, line, f"this is not YAML ({error.problem}), expected YAML")
        return None
    except yaml.YAMLError:
        faults.add(file, 1, "the file holds a character YAML does not allow, expected plain text")
        return None
    if not isinstance(root, yaml.MappingNode):
        faults.add(file, 1, "the file has no keys, expected `key: value` lines")
        return None
    return Document(file, _Plain(file, faults).value(root), root)


def _line_too_deep(text: str) -> int | None:
    """Return the line on which the text goes deeper than DEEPEST; None when it never does."""
    depth = 0
    for event in yaml.parse(text, Loader=LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                mark = event.start_mark
                return int(mark.line) + 1 if mark else 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return None


class _Plain:
    """Turns nodes into plain values; `seen` holds the nodes met, to find aliases by."""

    def __init__(self, file: str, faults: Faults) -> None:
        self.file, self.faults = file, faults
        self.seen: set[int] = set()

    def value(self, node: yaml.Node) -> Any:
        if id(node) in self.seen:
            self._fault(node, "this is used again by an alias, expected it written out each time")
            return None
        self.seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item) for item in node.value]
        return None if node.tag == NULL_TAG else node.value

    def _mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._fault(key, "a key is a list or a mapping, expected a word")
                continue
            if key.value in values:
                self._fault(key, f"`{key.value}` is written twice, expected it once")
            values[key.value] = self.value(value)
        return values

    def _fault(self, node: yaml.Node, sentence: str) -> None:
        self.faults.add(self.file, _line(node), sentence)


def _child(node: yaml.Node, part: int | str) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return _line(node.value[part]), node.value[part]
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == part:
                return _line(key), value
    return None


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
