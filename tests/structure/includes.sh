#!/usr/bin/env bash
# What includes.py cannot say of who may include whom: rules for single files, between vendors, and for public headers.
# Usage: includes.sh SOURCE_FOLDER
set -u
cd "$1" || exit 2
failed=0

# forbid WHY PATTERN PATH ...: no line of these files may match.
forbid() {
  local why=$1 pattern=$2; shift 2
  local hits
  hits=$(grep -rnE --include='*.hpp' --include='*.cpp' "$pattern" "$@" 2>/dev/null)
  if [ -n "$hits" ]; then
    printf 'FAILED: %s\n%s\n' "$why" "$hits"
    failed=1
  fi
}

include='^ *# *include *[<"]'
messages=$(ls messages/*.hpp messages/*.cpp | grep -vE 'type_ids|interfaces')
forbid "messages need no CAF, but for type_ids.hpp and interfaces.hpp" "${include}caf/" $messages
forbid "answers of the transport come into actors by actors/support/fetch.hpp, which lets no promise out" \
  '[>.]fetch\(' $(ls actors/*.hpp actors/*.cpp)
vendors=$(cd src/wire && ls -d */ | tr -d / | paste -sd'|')
forbid "wire knows no vendor, but for the list of them" "${include}wire/(${vendors})/" \
  $(ls src/wire/*.hpp src/wire/*.cpp | grep -v '/vendors.cpp$')
for vendor in $(cd src/wire && ls -d */ | tr -d /); do
  others=$(cd src/wire && ls -d */ | tr -d / | grep -vx "$vendor" | paste -sd'|')
  [ "$vendor" = azure ] && others=$(echo "$others" | sed 's/|openai\b//; s/^openai|//') # it speaks OpenAI's format
  forbid "$vendor knows no other vendor" "${include}wire/(${others})/" "src/wire/$vendor"
done
toml=$(grep -rlE --include='*.hpp' --include='*.cpp' "${include}toml" messages config actors src tools | sort)
if [ "$toml" != config/toml_tree.hpp ]; then
  printf 'FAILED: toml11 belongs to config/toml_tree.hpp alone:\n%s\n' "$toml"
  failed=1
fi

# A public header must be complete for hosts: it may include public headers, the standard library and CAF.
while read -r header; do
  hits=$(grep -nE '^ *# *include *("|<(curl|nlohmann|toml|boost))' "$header")
  if [ -n "$hits" ]; then
    printf 'FAILED: the public header %s includes a private one:\n%s\n' "$header" "$hits"
    failed=1
  fi
done < <(sed -n '/^modelforge_public_headers(/,/^)/p' cmake/parts.cmake | grep -oE '[a-z_/]+\.hpp')

# A release tells each kind of change in one place.
twice=$(awk '/^## / { release = $0 } /^### / && seen[release, $0]++ { print FILENAME ":" FNR ": " $0 }' CHANGELOG.md)
if [ -n "$twice" ]; then
  printf 'FAILED: a section stands twice below one release:\n%s\n' "$twice"
  failed=1
fi

[ $failed = 0 ] && echo "the rules hold"
exit $failed
