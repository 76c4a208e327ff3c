#!/usr/bin/env bash
# One night of a small population on each engine that is named, or on Flink and Spark: the outbox must have the bytes of the embedded one.
set -euo pipefail
cd "$(dirname "$0")/.."
lefi=$PWD/.venv/bin/lefi
folder=$(mktemp -d)
up=
finish() {
  [ -z "$up" ] || "$lefi" engines stop "$up" > /dev/null || true
  rm -rf "$folder"
}
trap finish EXIT
"$lefi" init "$folder/ws" --buckets 4 > /dev/null 2>&1
"$lefi" generate "$folder/ws" --persons 60 --nights 1 --seed 1 > /dev/null 2>&1
cp -r "$folder/ws" "$folder/embedded"
"$lefi" nightly "$folder/embedded" --business-date 2026-01-05 > /dev/null 2>&1
runners=${*:-flink spark}
for runner in $runners; do
  cp -r "$folder/ws" "$folder/$runner"
  [ "$runner" = prism ] || { up=$runner; "$lefi" engines start "$runner" > "$folder/start.log" 2>&1 || { cat "$folder/start.log"; exit 1; }; }
  began=$SECONDS
  "$lefi" nightly "$folder/$runner" --business-date 2026-01-05 --runner "$runner" > "$folder/night.log" 2>&1 || { cat "$folder/night.log"; exit 1; }
  echo "$runner: a night in $((SECONDS - began)) seconds"
  [ -z "$up" ] || { "$lefi" engines stop "$up" > /dev/null; up=; }
  diff --recursive --brief "$folder/embedded/outbox" "$folder/$runner/outbox" || { echo "$runner: other bytes than embedded"; exit 1; }
done
echo "the same bytes on embedded, ${runners// /, }"
