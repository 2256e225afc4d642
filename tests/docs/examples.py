"""C++ blocks compile against the public headers, CMake blocks configure against the installed package."""
import pathlib
import re
import subprocess
import tempfile

HERE = pathlib.Path(__file__).parent


def cached(build, name):
    return re.search(rf"^{name}:[^=]*=(.*)$", (build / "CMakeCache.txt").read_text(), re.M)[1]


def translation_unit(blocks):
    """All blocks in one, each in a namespace of its own; what is no program becomes a function's body."""
    includes, bodies = [], []
    for number, block in enumerate(blocks):
        body = block.text
        for include in re.findall(r"^#include .*$", body, re.M):
            includes.append(f'#line {block.line} "{block.document.name}"\n{include}')
        body = re.sub(r"^#include .*$", "", body, flags=re.M)
        if "int main(" not in body:
            first, body = block.line, f"void example() {{\n#line {block.line} \"{block.document.name}\"\n{body}}}\n"
        bodies.append(f'namespace docs::block_{number} {{\n#line {block.line} "{block.document.name}"\n{body}}}\n')
    return "\n".join([*includes, f'#include "{HERE}/prelude.hpp"', *bodies])


def compile_all(build, blocks, folder, report):
    unit = folder / "blocks.cpp"
    unit.write_text(translation_unit(blocks))
    command = [cached(build, "CMAKE_CXX_COMPILER"), "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra",
               "-Wno-unused", "-Wno-deprecated-declarations", "-I", build / "include",
               "-isystem", pathlib.Path(cached(build, "CAF_DIR")) / "../../../include", unit]
    result = subprocess.run(command, capture_output=True, text=True)
    for line in result.stderr.splitlines():
        if found := re.match(r"(.*\.md:\d+):\d+: (?:fatal )?(error|warning): (.*)", line):
            report.fault(found[1], found[3])
    if result.returncode != 0:
        report.fault("the C++ blocks", "do not compile:\n" + result.stderr[:4000])


def configure(build, text, prefix, folder):
    """Returns what CMake says against the text, or nothing."""
    if "project(" not in text:
        text = f"cmake_minimum_required(VERSION 3.22)\nproject(app LANGUAGES CXX)\nadd_executable(app main.cpp)\n{text}"
    folder.mkdir()
    (folder / "CMakeLists.txt").write_text(text)
    (folder / "main.cpp").write_text("int main() {}\n")
    result = subprocess.run(["cmake", "-S", folder, "-B", folder / "build", "-G", "Ninja",
                             f"-DCMAKE_PREFIX_PATH={prefix}"], capture_output=True, text=True)
    return result.stderr or "CMake failed" if result.returncode != 0 else None


def check(source, build, documents, report):
    blocks = [block for document in documents for block in document.blocks]
    programs = [block for block in blocks if block.language == "cpp"]
    projects = {}  # by their text: some say the same
    for block in blocks:
        if block.language == "cmake":
            projects.setdefault(block.text, []).append(block)
    with tempfile.TemporaryDirectory(prefix="modelforge-docs-") as folder:
        folder = pathlib.Path(folder)
        compile_all(build, programs, folder, report)
        subprocess.run(["cmake", "--install", build, "--prefix", folder / "prefix"], check=True, capture_output=True)
        for number, (text, same) in enumerate(projects.items()):
            if problem := configure(build, text, folder / "prefix", folder / str(number)):
                for block in same:
                    report.fault(block.place, problem)
    for block in programs + sum(projects.values(), []):
        report.count(f"blocks of {block.language}")
