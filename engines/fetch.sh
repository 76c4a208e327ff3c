#!/usr/bin/env bash
# Fetch the jars of an engine with Maven, see that each is the one that is listed, and put them where `lefi engines start` looks.
#   engines/fetch.sh flink|spark TARGET [--list]      --list: write the list anew, after versions were changed
set -euo pipefail
engine=$1 target=$2 list="$(cd "$(dirname "$0")" && pwd)/$1/jars.sha256"
command -v mvn > /dev/null || { echo "there is no mvn on the PATH: Maven fetches the jars of $engine" >&2; exit 1; }
if [ "${3:-}" != --list ] && [ -d "$target/jars" ] && (cd "$target/jars" && sha256sum --quiet --check --strict "$list" > /dev/null 2>&1); then
  echo "$engine: $(wc -l < "$list") jars are there"
  exit 0
fi
rm -rf "$target"
mkdir -p "$target/fetched"
mvn --batch-mode --quiet --file "$(dirname "$list")/pom.xml" dependency:copy-dependencies -DoutputDirectory="$(cd "$target" && pwd)/fetched"
cd "$target/fetched"
if [ "${3:-}" = --list ]; then
  sha256sum -- *.jar > "$list"
fi
sha256sum --quiet --check --strict "$list" || { echo "$engine: jars are not those of $list: nothing is used" >&2; exit 1; }
unlisted=$(comm -13 <(sed 's/^[0-9a-f]*  //' "$list" | sort) <(ls | sort))
if [ -n "$unlisted" ]; then
  echo "$engine: jars that $list does not name: $unlisted" >&2
  exit 1
fi
cd ..
mv fetched jars
echo "$engine: $(wc -l < "$list") jars fetched and verified"
