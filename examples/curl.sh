#!/usr/bin/env bash
# Submit a request, wait until it has ended, and fetch its images, with curl and sed.
#   PIPELET_API_KEY=$(cat .pipelet/local-key) examples/curl.sh "a red apple on a light blue background"
set -euo pipefail
url=${PIPELET_API_URL:-http://127.0.0.1:8000}
authorization="Authorization: Bearer ${PIPELET_API_KEY:?Set it to an API key, such as \$(cat .pipelet/local-key)}"
prompt=${1:-a red apple on a light blue background}

field() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p"; }
send() {
  local response
  response=$(curl -sS --fail-with-body -H "$authorization" "$@") || { echo "$response" >&2; return 1; }
  echo "$response"
}

submitted=$(send "$url/fal/queue/z-image-text-to-image" \
  -d "{\"prompt\": \"$prompt\", \"width\": \"512\", \"height\": \"320\"}")
status_url=$(field status_url <<<"$submitted")
response_url=$(field response_url <<<"$submitted")

status=
while [ "$status" != COMPLETED ]; do
  sleep 0.5
  response=$(send "$status_url")
  status=$(field status <<<"$response")
  echo "$status: $(field message <<<"$response")" >&2
done

image=$(send "$response_url" | sed 's/}.*//') # the first image
file_name=$(field file_name <<<"$image")
curl -sS --fail -o "$file_name" "$(field data_uri <<<"$image")" # signed: it needs no key
echo "$file_name"
