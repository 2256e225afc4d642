#!/usr/bin/env python3
"""Checks who includes whom: includes.py SOURCE_FOLDER

docs/architecture.md has the one table: each folder of the code, and what its files may include: folders (`limits/`), single
files (`wire/stream.hpp`) and libraries (`<caf/>`). Everything may include itself and the standard library. A file that
the table's first column names has a row of its own instead of its folder's. Prints each include that the table does not
have, each entry that nobody uses, and each circle of folders.
"""
import os
import re
import sys

INCLUDE = re.compile(r'^ *# *include *([<"])([^>"]+)[>"]', re.M)
ROOTS = ("messages", "config", "actors", "src", "tools")
LIBRARIES = ("caf", "curl", "nlohmann", "toml", "boost", "openssl", "CLI")


def read_table(path):
    """Returns {folder or file: set of what it may include}, in the order of the table."""
    rows = {}
    for line in open(path, encoding="utf-8"):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("| `") or len(cells) != 3:
            continue
        names = re.findall(r"`([^`]+)`", cells[0])
        allowed = set(re.findall(r"`([^`]+)`", cells[2]))
        for name in names:
            rows[name] = allowed
    return rows


def our_files(root):
    for top in ROOTS:
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in sorted(names):
                if name.endswith((".hpp", ".cpp")):
                    yield os.path.relpath(os.path.join(folder, name), root)


def row_of(path, rows):
    """The longest name in the table that the file is, or lies in."""
    known = [name for name in rows if path == name or (name.endswith("/") and path.startswith(name))]
    return max(known, key=len, default=None)


def target_of(quote, included, path, files):
    """What an include is about: a path of ours, `<library/>`, or None for the standard library and the system."""
    if included.startswith("modelforge/"):
        included = included[len("modelforge/"):]
    for candidate in (included, "src/" + included, os.path.normpath(os.path.join(os.path.dirname(path), included))):
        if candidate in files:
            return candidate
    top = included.split("/")[0].removesuffix(".hpp")
    return f"<{top}/>" if top in LIBRARIES else None


def shorten(path):
    return path.removeprefix("src/")


def main(root):
    rows = read_table(os.path.join(root, "docs/architecture.md"))
    files = set(our_files(root))
    problems, used, edges = [], set(), {}
    for path in sorted(files):
        row = row_of(path, rows)
        if row is None:
            problems.append(f"{path}: the table has no row for it")
            continue
        for quote, included in INCLUDE.findall(open(os.path.join(root, path), encoding="utf-8").read()):
            target = target_of(quote, included, path, files)
            if target is None:
                continue
            if not target.startswith("<"):
                its_row = row_of(target, rows)
                if its_row == row:
                    continue
                if row.endswith("/") and its_row is not None and its_row.endswith("/"):
                    edges.setdefault(row, set()).add(its_row)
            entry = next((entry for entry in rows[row] if entry in ("anything", target, shorten(target)) or
                          (entry.endswith("/") and shorten(target).startswith(entry))), None)
            if entry is None:
                problems.append(f"{path} includes {target}, which {row} may not")
            else:
                used.add((row, entry))
    for name in rows:
        if name.endswith("/") and not any(path.startswith(name) for path in files):
            problems.append(f"docs/architecture.md: there is no folder {name}")
        if not name.endswith("/") and name not in files:
            problems.append(f"docs/architecture.md: there is no file {name}")
        for entry in sorted(rows[name]):
            if entry != "anything" and (name, entry) not in used:
                problems.append(f"docs/architecture.md: {name} has no use for {entry}")
    problems += [f"a circle of folders: {' -> '.join(circle)}" for circle in circles(edges)]
    print("\n".join(problems) if problems else f"{len(files)} files include what docs/architecture.md allows")
    return 1 if problems or not rows else 0


def circles(edges):
    found, done = [], set()

    def visit(name, way):
        if name in way:
            found.append(way[way.index(name):] + [name])
        elif name not in done:
            done.add(name)
            for other in sorted(edges.get(name, ())):
                visit(other, way + [name])

    for name in sorted(edges):
        visit(name, [])
    return found


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
