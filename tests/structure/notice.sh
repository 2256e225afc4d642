#!/usr/bin/env bash
# What CMake looks for stands in NOTICE, and the license is what README says: tests/structure/notice.sh SOURCE
set -euo pipefail
cd "$1"
failed=0
fault() { printf 'structure: %s\n' "$*" >&2; failed=1; }
for component in $(sed -nE 's/^ *find_package\((\w+).*/\1/p' CMakeLists.txt tools/CMakeLists.txt tests/CMakeLists.txt | sort -u) libedit; do
  [ "$component" = Threads ] || grep -qE "^\|.*\b$component\b" NOTICE ||
    fault "NOTICE: a line is missing for $component, which CMake looks for: name its license and how it is linked"
done
for component in $(script/bootstrap --list 2>/dev/null | cut -f 1 || true); do # where it has run
  grep -qF "$component" NOTICE || fault "NOTICE: a line is missing for $component, which script/bootstrap lists as linked"
done
head -n 1 LICENSE | grep -q 'the ModelForge authors' || fault "LICENSE: the first line names the holder"
grep -q 'BSD-3-Clause' README.md || fault "README.md: does not name the license"
exit $failed
