#!/bin/sh
# Starts an installation, puts load on it, ends it. Usage: bench.sh SIGILLO DEMO BENCH
set -eu
log=$(mktemp)
"$2" demo --sigillo "$1" --keep-running --for-load >"$log" 2>&1 &
pid=$!
trap 'kill -INT $pid 2>/dev/null; wait $pid 2>/dev/null; rm -f "$log"' EXIT
tries=0
until grep -q '^It runs until' "$log"; do
    kill -0 $pid 2>/dev/null || { cat "$log"; exit 1; }
    tries=$((tries + 1))
    [ "$tries" -le 600 ] || { cat "$log"; exit 1; }
    sleep 0.1
done
for mode in "" --http2; do
    echo "HTTP/1.1 or HTTP/2: ${mode:-HTTP/1.1}"
    # shellcheck disable=SC2086  # empty or one word
    "$3" --clients demo/clients $mode
done
