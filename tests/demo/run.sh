#!/usr/bin/env bash
# The demo: an embedded broker, a real HTTP server on loopback with a checked-in data set, the http-source
# connector, three SmartModules. Everything it starts ends with it; its records stay in a temporary directory.
set -euo pipefail
target=$1
here=$(cd "$(dirname "$0")" && pwd)
host=$target/debug/host
work=$(mktemp -d)
started=()
finish() {
    for pid in "${started[@]}"; do kill "$pid" 2> /dev/null || true; done
    for pid in "${started[@]}"; do wait "$pid" 2> /dev/null || true; done
    rm -rf "$work"
}
trap finish EXIT
say() { printf '\n\033[1m%s\033[0m\n' "$1" >&2; }
wait_for() { for _ in $(seq 100); do [ -s "$1" ] && return; sleep 0.1; done; echo "$2 did not start" >&2; exit 1; }

say "1. a broker that speaks Fluvio's protocol"
"$host" broker --listen 127.0.0.1:0 --data "$work/broker" 2> "$work/broker.log" &
started+=($!)
wait_for "$work/broker/address" "the broker"
HOST_CLUSTER=$(cat "$work/broker/address")
export HOST_CLUSTER
echo "   host broker   listens on $HOST_CLUSTER"

say "2. 312 time zones behind a web server"
"$target/debug/demo-server" "$here/../data/zones.json" > "$work/url" &
started+=($!)
wait_for "$work/url" "the web server"
url=$(cat "$work/url")
echo "   $url"

say "3. the connector, sandboxed, with an array_map, a filter and a map"
sed "s|ENDPOINT|$url|" "$here/zones.yaml" | tee "$work/zones.yaml" | sed 's/^/   /'
if [ -t 2 ]; then
    "$host" run --config "$work/zones.yaml" --state "$work/state" &
else
    "$host" run --config "$work/zones.yaml" --state "$work/state" 2> "$work/run.log" &
fi
started+=($!)

say "4. places north of the 60th parallel, as they land in the topic"
for _ in $(seq 300); do "$host" topic describe zones > /dev/null 2>&1 && break; sleep 0.1; done
"$host" consume -B -n 20 zones

say "Look further"
cat <<TEXT
   host consume -B -d -O json zones     every record with its offset
   host topic describe zones            the topic
   host inspect http-source             what the connector may do: talk to the host of its endpoint and nobody else
   docs/getting-started.md              the same step by step
TEXT
