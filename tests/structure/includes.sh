#!/usr/bin/env bash
# Keeps the arrows between the folders true: who may include whom (docs/architecture.md has the table).
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
forbid "messages include nothing of ours but messages" \
  "${include}(modelforge/(actors|config)|actors/|config/|http/|sse/|wire/|batch/|limits/|retry/|dispatch/|tools/)" messages
forbid "src knows neither CAF nor actors" "${include}(caf/|modelforge/actors|actors/|tools/)" src
without_settings=$(ls -d src/*/ | grep -vE '^src/(provider|limits|retry)/')
forbid "src knows no settings, but for src/provider, and limits and retry their own" \
  "${include}(modelforge/config|config/)" $without_settings
forbid "limits and retry know their own settings only" \
  "${include}(config/|modelforge/config/[^cr]|modelforge/config/(check|reference|read))" src/limits src/retry
forbid "config knows neither CAF nor actors nor src" \
  "${include}(caf/|modelforge/actors|actors/|http/|sse/|wire/|batch/|limits/|retry/|dispatch/|provider/|tools/)" config
forbid "provider knows neither batch nor node (but for what was spent) nor streams nor JSON nor libcurl" \
  "${include}(batch/|node/[^s]|sse/|stream/|serve/|telemetry/|nlohmann/|curl/|http/t)" src/provider
lower=$(ls -d src/*/ | grep -v '^src/provider/')
forbid "only actors stand on src/provider" "${include}provider/" messages $lower
forbid "actors know neither libcurl nor JSON nor TOML nor tools" "${include}(curl/|nlohmann/|toml|tools/)" actors
forbid "answers of the transport come into actors by actors/support/fetch.hpp, which lets no promise out" \
  '[>.]fetch\(' $(ls actors/*.hpp actors/*.cpp)
forbid "node includes nothing of ours but messages" "${include}(http/|sse/|wire/|batch/|limits/|retry/|dispatch/|stream/|optimize/)" src/node
forbid "libcurl belongs to src/http" "${include}curl/" messages config actors tools $(ls -d src/*/ | grep -v '^src/http/')
forbid "nlohmann_json belongs to src/json and tools" "${include}nlohmann/" \
  messages config actors $(ls -d src/*/ | grep -v '^src/json/')
ours="modelforge/|actors/|config/|messages/|http/|sse/|wire/|batch/|limits/|retry/|dispatch/|stream/|optimize/|serve/|telemetry/|node/|tools/"
forbid "base includes nothing of ours but base" "${include}(${ours}|json/)" src/base
forbid "json includes nothing of ours but base" "${include}(${ours})" src/json
forbid "wire knows base, json, messages, sse, http/message.hpp and limits/charge.hpp only" \
  "${include}(http/[^m]|limits/[^c]|batch/|retry/|dispatch/|stream/|optimize/|serve/|telemetry/|node/)" src/wire
vendors=$(cd src/wire && ls -d */ | tr -d / | paste -sd'|')
forbid "wire knows no vendor, but for the list of them" "${include}wire/(${vendors})/" \
  $(ls src/wire/*.hpp src/wire/*.cpp | grep -v '/vendors.cpp$')
for vendor in $(cd src/wire && ls -d */ | tr -d /); do
  others=$(cd src/wire && ls -d */ | tr -d / | grep -vx "$vendor" | paste -sd'|')
  [ "$vendor" = azure ] && others=$(echo "$others" | sed 's/|openai\b//; s/^openai|//') # it speaks OpenAI's format
  forbid "$vendor knows no other vendor" "${include}wire/(${others})/" "src/wire/$vendor"
done
forbid "sse includes nothing of ours" "${include}(modelforge/|http/|wire/|batch/|limits/|retry/|dispatch/|stream/)" src/sse
forbid "limits include nothing of ours but messages" "${include}(http/|sse/|wire/|batch/|retry/|dispatch/)" src/limits
forbid "retry includes nothing of ours but messages" "${include}(http/|sse/|wire/|batch/|limits/|dispatch/)" src/retry
forbid "dispatch knows limits and retry only" "${include}(http/|sse/|wire/|batch/)" src/dispatch
forbid "stream knows messages, base and wire/stream.hpp only" \
  "${include}(http/|sse/|wire/[^s]|batch/|limits/|retry/|dispatch/|nlohmann/|curl/)" src/stream
others=$(ls -d src/*/ | grep -v '^src/serve/')
forbid "Boost belongs to src/serve and the simulator" "${include}boost/" messages config actors tools/cli $others
forbid "optimize knows messages, base, json, limits/token_estimator.hpp and wire/optimizable.hpp only" \
  "${include}(http/|sse/|wire/[^o]|batch/|limits/[^t]|retry/|dispatch/|stream/|nlohmann/|curl/)" src/optimize
forbid "serve includes nothing of ours" "${include}(modelforge/|http/|sse/|wire/|batch/|limits/|retry/|dispatch/|telemetry/)" src/serve
forbid "telemetry knows messages and JSON only" "${include}(http/|sse/|batch/|limits/|retry/|dispatch/|serve/)" src/telemetry

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

[ $failed = 0 ] && echo "the arrows hold"
exit $failed
