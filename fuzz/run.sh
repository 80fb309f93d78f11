#!/bin/sh
# Every fuzz target for FUZZ_SECONDS (default 600), FUZZ_JOBS at a time (default: one for each processor), with the stable
# toolchain. Corpora, findings, logs and totals stay in target/fuzz from run to run; FUZZ_KEPT names another place. FUZZ_TARGETS
# names some of the targets; `planted`, which fails, is run by that alone. Ends with 1 if there is a finding, with another code if
# a target could not be run.
set -eu
cd "$(dirname "$0")/.."
seconds=${FUZZ_SECONDS:-600}
jobs=${FUZZ_JOBS:-$(nproc)}
kept=${FUZZ_KEPT:-target/fuzz}
build=$PWD/target/fuzz/build
tools=$PWD/target/fuzz/tools
unset CARGO_TARGET_DIR
PATH="$tools/bin:$PATH"
cargo fuzz --version >/dev/null 2>&1 || {
    echo "cargo-fuzz is installed in target/fuzz/tools" >&2
    cargo install --quiet --locked --version 0.13.2 --root "$tools" --target-dir "$build" cargo-fuzz
}
targets=${FUZZ_TARGETS:-$(sed -n 's/^name = "\([a-z_]*\)"$/\1/p' fuzz/Cargo.toml | grep -v '^planted$')}

# The parsers are Rust without unsafe code: coverage without a sanitizer needs no nightly toolchain. Overflows and debug
# assertions are findings.
options() {
    printf '%s\n' --sanitizer none --release --debug-assertions --target-dir "$build"
    [ "$1" != planted ] || printf '%s\n' --features planted
}

# Seeds and words of a target, and its program.
prepare() {
    target=$1 corpus=$kept/corpus/$1
    mkdir -p "$corpus" "$kept/findings/$target"
    python3 fuzz/seeds.py "$target" "$corpus"
    # Words of the seeds: the engine does not see what a text is compared with.
    cat "$corpus"/seed-* 2>/dev/null | tr -cs 'A-Za-z0-9_@/:.-' '\n' | grep -aE '^.{2,64}$' | LC_ALL=C sort -u |
        sed 's/.*/"&"/' >"$kept/$target.dict" || true
    # shellcheck disable=SC2046  # a list of options
    cargo fuzz build $(options "$target") "$target" >&2
}

# Runs a target for its time; its total is in a file of its own, which stays away if the target did not run.
fuzz() {
    target=$1 corpus=$kept/corpus/$1 findings=$kept/findings/$1 log=$kept/$1.log
    words= ended=0 found=false
    [ ! -s "$kept/$target.dict" ] || words=-dict=$kept/$target.dict
    # What was found once is looked at again.
    # shellcheck disable=SC2046
    cargo fuzz run $(options "$target") "$target" "$corpus" "$findings" -- -max_total_time="$seconds" -max_len=65536 -timeout=60 \
        ${words:+"$words"} -artifact_prefix="$findings/" -print_final_stats=1 >"$log" 2>&1 || ended=$?
    if [ "$ended" -ne 0 ]; then
        tail -n 40 "$log" >&2
        grep -aq 'Test unit written to ' "$log" || return 0
        found=true
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    printf '{"target":"%s","at":"%s","seconds":%s,"executions":%s,"corpus":%s,"finding":%s}\n' "$target" \
        "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$seconds" "${runs:-0}" "$(find "$corpus" -type f | wc -l)" \
        "$found" >"$kept/$target.total"
}

# Tells the totals of those that run, in their order, once all of them are through.
finish() {
    wait
    for target in $running; do
        [ -e "$kept/$target.total" ] || {
            echo "fuzz/run.sh: $target did not run" >&2
            exit 2
        }
        tee -a "$kept/totals.ndjson" <"$kept/$target.total"
        ! grep -q '"finding":true' "$kept/$target.total" || failed=1
    done
    running= count=0
}

for target in $targets; do
    prepare "$target"
done
failed=0 running= count=0
for target in $targets; do
    rm -f "$kept/$target.total"
    fuzz "$target" &
    running="$running $target" count=$((count + 1))
    [ "$count" -lt "$jobs" ] || finish
done
finish
exit "$failed"
