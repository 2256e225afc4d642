"""Documents, their blocks and marks, and the report of what is wrong with them."""
import dataclasses
import re
import threading

LANGUAGES = {"sh", "text", "toml", "cpp", "cmake"}


@dataclasses.dataclass
class Block:
    """A fenced block. A mark is a comment above it: <!-- name: value -->."""

    document: "Document"
    line: int  # of its first line
    language: str
    fails: bool  # "fails" stands behind the language: it is to be refused
    text: str
    marks: dict
    output: "Block | None" = None  # of a sh block: the text block next to it

    @property
    def place(self):
        return f"{self.document.name}:{self.line - 1}"


class Document:
    def __init__(self, path, source):
        self.path = path
        self.name = str(path.relative_to(source))
        self.blocks = []
        self.prose = []  # (number, line) of all lines outside of blocks
        self.faults = []  # (place, what)
        self._read(path.read_text().split("\n"))

    def _read(self, lines):
        marks, last, number = {}, None, 0  # last: the block, as long as only blank lines have followed
        while number < len(lines):
            line = lines[number]
            number += 1
            if fence := re.match(r" *(```|~~~)(.*)", line):
                end = next((n for n in range(number, len(lines)) if lines[n].strip() == fence[1]), len(lines))
                language, _, flag = fence[2].partition(" ")
                block = Block(self, number + 1, language, flag == "fails", "\n".join(lines[number:end]) + "\n", marks)
                if language not in LANGUAGES or flag not in ("", "fails") or not line.startswith("```"):
                    self.faults.append((block.place, f"the block is none of: {', '.join(sorted(LANGUAGES))}"))
                if last and last.language == "sh" and block.language == "text" and not marks:
                    last.output = block
                elif block.language == "text" and not marks.keys() & {"file", "not compared"}:
                    self.faults.append((block.place, "no command stands right above this text: say why by a mark"))
                self.blocks.append(block)
                marks, last, number = {}, block, end + 1
            elif mark := re.fullmatch(r"<!-- (file|with|not run|not compared): (.+) -->", line):
                marks[mark[1]] = mark[2]
            elif line:
                if line.startswith("    ") and not lines[number - 2]:
                    self.faults.append((f"{self.name}:{number}", "indented code: put it between fences"))
                marks, last = {}, None
                self.prose.append((number, line))

    def spans(self):
        """(line, text) of all code between backticks."""
        return [(number, span) for number, line in self.prose for span in re.findall(r"`([^`]+)`", line)]


def documents(source):
    """All documents of the source folder, but those of what was built or fetched."""
    paths = [path.relative_to(source) for path in source.rglob("*.md")]
    foreign = lambda part: part.startswith(".") or part in ("build", "node_modules")
    return [Document(source / path, source) for path in sorted(paths) if not any(map(foreign, path.parts))]


class Report:
    def __init__(self):
        self._lock = threading.Lock()
        self._faults = []
        self._counts = {}

    def fault(self, place, what):
        with self._lock:
            self._faults.append((place, what))

    def count(self, what):
        with self._lock:
            self._counts[what] = self._counts.get(what, 0) + 1

    def note(self, text):
        with self._lock:
            print(f"docs: note: {text}")

    def close(self):
        """Prints everything; the exit code."""
        for place, what in sorted(self._faults):
            print(f"{place}: {what}")
        print("docs:", ", ".join(f"{count} {what}" for what, count in sorted(self._counts.items())))
        if self._faults:
            print(f"docs: {len(self._faults)} wrong")
        return 1 if self._faults else 0
