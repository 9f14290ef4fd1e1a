#!/usr/bin/env bash
# Submit a request, wait for its end, fetch its pictures: with curl, and sed for the few values that are needed.
#   PIPELET_KEY=$(cat .pipelet/local-key) examples/curl.sh "a red apple on a light blue background"
set -euo pipefail
url=${PIPELET_URL:-http://127.0.0.1:8000}
authorization="Authorization: Bearer ${PIPELET_KEY:?Set it to an API key, such as \$(cat .pipelet/local-key)}"
prompt=${1:-a red apple on a light blue background}

field() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p"; }
ask() {
  local answer
  answer=$(curl -sS --fail-with-body -H "$authorization" "$@") || { echo "$answer" >&2; return 1; }
  echo "$answer"
}

submitted=$(ask "$url/fal/queue/z-image-text-to-image" \
  -d "{\"prompt\": \"$prompt\", \"width\": \"512\", \"height\": \"320\"}")
status_url=$(field status_url <<<"$submitted")
response_url=$(field response_url <<<"$submitted")

status=
while [ "$status" != COMPLETED ]; do
  sleep 0.5
  answer=$(ask "$status_url")
  status=$(field status <<<"$answer")
  echo "$status: $(field message <<<"$answer")" >&2
done

image=$(ask "$response_url" | sed 's/}.*//') # the first of them
file_name=$(field file_name <<<"$image")
curl -sS --fail -o "$file_name" "$(field data_uri <<<"$image")" # signed: it needs no key
echo "$file_name"
