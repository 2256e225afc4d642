"""What a document names is there: commands, options, scripts, files, keys of the configuration, events."""
import functools
import re
import subprocess

FOLDERS = "actors|bench|cmake|config|docs|examples|messages|packaging|script|src|tests|tools"


class Known:
    def __init__(self, source, build, program):
        self._source, self._build, self._program = source, build, program

    def check(self, document, report):
        if document.name == "CHANGELOG.md":
            return  # tells of what there was
        for block in document.blocks:
            if block.language == "sh" and "not run" in block.marks:
                for number, line in enumerate(block.text.split("\n"), block.line):
                    for fault in self._of_command(line):
                        report.fault(f"{document.name}:{number}", fault)
        for number, span in document.spans():
            for fault in self._of_span(span):
                report.fault(f"{document.name}:{number}", fault)

    def _of_command(self, line):
        words = re.sub(r"(^|\s)#.*", "", line).split()
        while words and re.match(r"[A-Z_]+=", words[0]):
            words.pop(0)
        if not words:
            return
        known = None
        if words[0] == "modelforge":
            command, rest = [], words[1:]
            while rest and rest[0] in self._subcommands(*command):
                command.append(rest.pop(0))
            while rest and re.fullmatch("[a-z]+", rest[0]) and self._is_hidden(*command, rest[0]):
                command.append(rest.pop(0))
            if rest and not rest[0].startswith("-") and re.search(r"Usage:.* SUBCOMMAND$", self._help(*command), re.M):
                yield f"modelforge has no command {' '.join([*command, rest[0]])}"
            known = self._options(*command)
        elif re.match(r"(script|build/release/bench)/", words[0]):
            known = self._options_within(words[0])
        for word in words:
            option = word.strip("[]").partition("=")[0]
            if known is not None and re.fullmatch(r"--?[a-z][\w-]*", option) and option not in known:
                yield f"{words[0]} does not know {option}"
            elif re.match(rf"({FOLDERS}|build/release)/", word) and not self._exists(word):
                yield f"there is no {word}"

    def _of_span(self, span):
        option = re.match(r"--[a-z-]+", span)
        key = (re.match(r"([a-z_]+) = [\w\"\[{]", span) or
               re.fullmatch(rf"((?:{self._tables})\.(?![ch]pp)[a-z_]+)", span))
        if span.startswith(("modelforge ", "script/", "build/release/")):
            yield from self._of_command(span)
        elif option and option[0] not in self._all_options:
            yield f"nothing knows {option[0]}"
        elif key and key[1] not in self._keys | self._events:
            yield f"there is no key {key[1]}"
        elif re.fullmatch(rf"({FOLDERS})/[\w./-]+", span) and not self._exists(span):
            yield f"there is no {span}"

    def _exists(self, path):
        """Programs need not be built yet; of a source file the ending may be left out."""
        if path.startswith("build/release/"):
            target = re.escape(path.removeprefix("build/release/"))
            return re.search(rf"^build {target}[ :]", (self._build / "build.ninja").read_text(), re.M) is not None
        return any((self._source / (path + end)).exists() for end in ("", ".hpp", ".cpp"))

    @functools.lru_cache(maxsize=None)
    def _help(self, *words):
        return subprocess.run([self._program, *words, "--help"], capture_output=True, text=True).stdout

    @functools.lru_cache(maxsize=None)
    def _is_hidden(self, *words):
        """A command that --help leaves out."""
        return re.search(rf"^Usage: {' '.join(('modelforge', *words))}\b", self._help(*words), re.M) is not None

    def _subcommands(self, *words):
        return set(re.findall(r"^  ([a-z]+)  ", self._help(*words).partition("Subcommands:")[2], re.M))

    def _options(self, *words):
        lines = [line for line in self._help(*words).splitlines() if line.startswith("  -")]
        return set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", "\n".join(lines)))

    def _options_within(self, path):
        path = self._source / re.sub(r"^build/release/(bench/.*)", r"\1.cpp", path)
        return set(re.findall(r"--[a-z][a-z-]*", path.read_text())) if path.exists() else set()

    @functools.cached_property
    def _all_options(self):
        found, commands = set(), [()]
        while commands:
            words = commands.pop()
            found |= self._options(*words)
            commands += [(*words, word) for word in self._subcommands(*words)]
        for path in (self._source / "script").iterdir():
            found |= self._options_within(f"script/{path.name}")
        return found

    @functools.cached_property
    def _keys(self):
        """Of the configuration: by themselves, and behind the last name of their table."""
        found, table = set(), ""
        reference = subprocess.run([self._program, "config", "reference"], capture_output=True, text=True).stdout
        for heading, key in re.findall(r"^(?:### `\[+(.*?)\]+`|\| `(\w+)`)", reference, re.M):
            table = heading.rpartition(".")[2] or table
            found |= {key, f"{table}.{key}"}
        return found

    @functools.cached_property
    def _events(self):
        """Of the log."""
        table = subprocess.run([self._program, "config", "events"], capture_output=True, text=True).stdout
        return set(re.findall(r"^\| `([a-z_.]+)`", table, re.M))

    @functools.cached_property
    def _tables(self):
        return "|".join({key.partition(".")[0] for key in self._keys if re.match(r"\w+\.", key)})
