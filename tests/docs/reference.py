"""docs/reference.md has what the code has, and nothing else; docs/troubleshooting.md quotes what the code says."""
import re
import subprocess

PAGES = ("errors", "exit-codes", "variables", "signals", "files")
CODE = ("messages", "config", "src", "actors", "tools")
OWN = ("simulator", "src/wire")  # the first reads no variables; the second has many names of others in capitals
VARIABLE = re.compile(r'"((?:[A-Z][A-Z0-9]*_[A-Z0-9_]+|HOME|TERM|TMPDIR)|[a-z]+_proxy)"')
# Looks like a variable, and is none: an actor, a finish reason, an example in a comment, one that is told not to be read.
NO_VARIABLES = {"provider_proxy", "FUNCTION_CALL", "MY_GROQ_API_KEY", "HTTP_PROXY"}
# What libraries read: the standard library's folder for temporary files.
OF_LIBRARIES = {"TMPDIR"}


def sources(source, skipped=()):
    """The text of every file of code."""
    for folder in CODE:
        for path in sorted((source / folder).rglob("*.[ch]pp")):
            if not any(part in str(path.relative_to(source)) for part in skipped):
                yield path, path.read_text()


def without_comments(text):
    return re.sub(r"(?m)^\s*//.*$|\s///?<?\s.*$", "", text)


class Checks:
    def __init__(self, source, build, report):
        self._source, self._report = source, report
        self._program = build / "bin/modelforge"
        self._pages = {page: self._printed(page) for page in PAGES}

    def _printed(self, page):
        command = [self._program, "generate", "reference", page]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def run(self):
        self._tables_are_those_of_the_program()
        self._compare("errors", self._first_names("errors"), self._errors())
        self._compare("exit-codes", self._first_cells("exit-codes"), self._exit_codes())
        self._compare("variables", self._first_names("variables"), self._variables())
        self._compare("signals", self._first_cells("signals"), self._signals())
        self._compare("docs/troubleshooting.md, checks", self._told_checks(), self._doctors_checks())
        self._quotes_are_said()

    def _tables_are_those_of_the_program(self):
        text = (self._source / "docs/reference.md").read_text()
        for page, table in self._pages.items():
            if f"<!-- begin: modelforge generate reference {page} -->\n\n{table}\n<!-- end -->" not in text:
                self._report.fault("docs/reference.md", f"the table of {page} differs: script/reference writes it")
            self._report.count("tables compared")

    def _rows(self, page):
        return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in self._pages[page].splitlines()[2:]]

    def _first_cells(self, page):
        return {row[0].strip("| ") for row in self._rows(page)}

    def _first_names(self, page):
        """All names in code in the first column."""
        return {name for row in self._rows(page) for name in re.findall(r"`(\w+)`", row[0])}

    def _compare(self, page, told, found):
        if not found:
            self._report.fault(page, "the code has none: this test looks in the wrong place")
        for name in sorted(told - found):
            self._report.fault("docs", f"{page}: the code has no {name}")
        for name in sorted(found - told):
            self._report.fault("docs", f"{page}: {name} of the code is missing")
        self._report.count("lists of names held against the code")

    def _errors(self):
        text = (self._source / "messages/errc.hpp").read_text()
        body = re.search(r"enum class errc : uint8_t \{(.*?)\n\};", text, re.S)[1]
        return set(re.findall(r"^  (\w+)(?: = 0)?,", body, re.M))

    def _exit_codes(self):
        text = (self._source / "tools/cli/commands.hpp").read_text()
        return set(re.findall(r"inline constexpr int exit_\w+ = (\d+);", text))

    def _variables(self):
        found = {name for _, text in sources(self._source, OWN) for name in VARIABLE.findall(without_comments(text))}
        return found - NO_VARIABLES | OF_LIBRARIES

    def _signals(self):
        found = set()
        for _, text in sources(self._source):
            found |= set(re.findall(r"\b(SIG[A-Z]+[0-9]?)\b", without_comments(text)))
        return {name for name in found if not name.startswith("SIG_")}

    def _told_checks(self):
        text = (self._source / "docs/troubleshooting.md").read_text().partition("| check | looks at |")[2]
        return set(re.findall(r"^\| `(\w+)` \|", text.partition("\n\n")[0], re.M))

    def _doctors_checks(self):
        """What stands behind the verdict of a finding."""
        files = [*(self._source / "tools/doctor").glob("*_checks.cpp"), self._source / "tools/cli/doctor.cpp"]
        return {name for path in files
                for name in re.findall(r'(?:verdict::\w+|level|trouble), "(\w+)"', path.read_text())}

    def _quotes_are_said(self):
        """What docs/troubleshooting.md quotes in the column "you see" stands in the code: `...` is what varies, and what is around it is
        in one statement, in that order. A part that is a text of its own, as the words of OpenSSL are, may stand elsewhere."""
        said = [texts for _, code in sources(self._source, ("reference_pages",)) for texts in statements(code)]
        whole = {text for texts in said for text in texts}
        said = ["\n".join(texts) for texts in said]
        is_quoting, quotes = False, 0
        for number, line in enumerate((self._source / "docs/troubleshooting.md").read_text().split("\n"), 1):
            is_quoting = line.startswith("| you see |") or is_quoting and line.startswith("|")
            first = line.split(" | ")[0]
            if not is_quoting or not (quote := re.fullmatch(r"\| `([^`]+)`", first)):
                continue
            quotes += 1
            parts = [part for part in map(str.strip, quote[1].split("...")) if part and part not in whole]
            pattern = re.compile(".*?".join(map(re.escape, parts)), re.S)
            if not any(pattern.search(texts) for texts in said):
                self._report.fault(f"docs/troubleshooting.md:{number}", f"nothing says: {quote[1]}")
        if quotes < 30:
            self._report.fault("docs/troubleshooting.md", "its quotes are not found")
        self._report.count("tables of quoted messages held against the code")


def statements(text):
    """Yields the texts between quotation marks of each statement; parts of one text that follow each other are joined."""
    text = re.sub(r'"\s*\n\s*"', "", text)
    texts = []
    for match in re.finditer(r'"((?:[^"\\\n]|\\.)*)"|\'(?:\\.|[^\'\\])\'|//[^\n]*|;', text):
        if match[1] is not None:
            texts.append(re.sub(r'\\(["\\])', r"\1", match[1]))
        elif match[0] == ";" and texts:
            yield texts
            texts = []
    if texts:
        yield texts


def check(source, build, _documents, report):
    Checks(source, build, report).run()
