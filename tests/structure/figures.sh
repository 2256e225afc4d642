#!/usr/bin/env bash
# Keeps docs/figures.md true as far as names go: every test that its tables name is there, and every name of the code.
# Usage: figures.sh SOURCE_FOLDER
set -u
cd "$1" || exit 2
failed=0
page=docs/figures.md
say() { printf 'FAILED: %s: %s\n' "$page" "$1"; failed=1; }

tests=$(cat $(find tests -name '*_test.cpp'))
count=0
while IFS= read -r name; do
  count=$((count + 1))
  case $tests in *"\"$name\""*) ;; *) say "no test is named \"$name\"" ;; esac
done < <(sed -n 's/^| .* | \("[^|]*"\) |$/\1/p' "$page" | grep -o '"[^"]*"' | tr -d '"')
[ "$count" -ge 40 ] || say "only $count tests were found in its tables"

code=$(cat $(find src actors messages config -name '*.hpp' -o -name '*.cpp'))
while IFS= read -r name; do
  case $code in *"$name"*) ;; *) say "the code has no $name" ;; esac
done < <(grep '^| ' "$page" | grep -o '`[a-z_0-9]*_[a-z_0-9]*`' | tr -d '`' | sort -u)
exit $failed
