"""Links and anchors lead somewhere, every document can be reached, every example and named source file is there."""
import re


def anchors(document):
    """As GitHub makes them of headings."""
    found, counts = set(), {}
    for _, line in document.prose:
        if heading := re.match(r"#+ +(.*)", line):
            anchor = re.sub(r"[^\w\- ]", "", heading[1].lower()).replace(" ", "-")
            count = counts[anchor] = counts.get(anchor, -1) + 1
            found.add(f"{anchor}-{count}" if count else anchor)
    return found


def check(source, build, documents, report):
    by_path = {document.path: document for document in documents}
    leads_to = {}
    for document in documents:
        leads_to[document.path] = set()
        for number, line in document.prose:
            for link in re.findall(r"\]\(([^)\s]+)\)", line):
                if re.match(r"\w+:", link):
                    continue
                report.count("links")
                path, _, anchor = link.partition("#")
                target = (document.path.parent / path).resolve() if path else document.path
                if not target.exists() or not target.is_relative_to(source):
                    report.fault(f"{document.name}:{number}", f"{link}: there is no {path}")
                elif anchor and anchor not in anchors(by_path[target]):
                    report.fault(f"{document.name}:{number}", f"{link}: there is no such heading")
                leads_to[document.path].add(target)

    reached, next_ones = set(), [source / "README.md"]
    while next_ones:
        path = next_ones.pop()
        if path not in reached:
            reached.add(path)
            next_ones += leads_to.get(path, ())
    for document in documents:
        if document.path.parent == source / "docs" and document.path not in reached:
            report.fault(document.name, "no way leads here from README.md")

    everything = "\n".join(document.path.read_text() for document in documents)
    for example in (source / "examples").iterdir():
        report.count("examples")
        named = rf"examples/(example-)?({re.escape(example.stem)}\b|{re.escape(example.name)}\b)"
        if example.name != "CMakeLists.txt" and not re.search(named, everything):
            report.fault(f"examples/{example.name}", "no document names it")

    # `wire/json.hpp` may be said for src/wire/json.hpp
    files = [str(path.relative_to(source)) for folder in ("actors", "bench", "config", "examples", "messages", "src",
             "tests", "tools") for path in (source / folder).rglob("*.?pp")]
    for document in documents:
        if document.name == "CHANGELOG.md":
            continue  # tells of what there was
        for number, span in document.spans():
            for path in re.findall(r"[\w/.-]+\.[ch]pp\b", span):
                report.count("names of source files")
                path = path.removeprefix("modelforge/")
                if not any(file == path or file.endswith("/" + path) for file in files):
                    report.fault(f"{document.name}:{number}", f"there is no {path}")
