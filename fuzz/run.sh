#!/bin/sh
# Every fuzz target for FUZZ_SECONDS (default 600). Corpora, findings and totals stay in target/fuzz from run to run.
# FUZZ_TARGETS names some of them; FUZZ_BUILD has other options for cargo-fuzz, such as --dev.
set -eu
cd "$(dirname "$0")/.."
seconds=${FUZZ_SECONDS:-600}
kept=target/fuzz
command -v cargo-fuzz >/dev/null 2>&1 || {
    echo "cargo-fuzz is not installed: cargo install --locked cargo-fuzz; it needs rustup's nightly toolchain too" >&2
    exit 1
}
[ -n "${FUZZ_TARGETS:-}" ] || FUZZ_TARGETS=$(sed -n 's/^name = "\([a-z_]*\)"$/\1/p' fuzz/Cargo.toml | grep -v '^sigillo')
options="--sanitizer none ${FUZZ_BUILD:---release --debug-assertions}"

# Seeds: the small ones of fuzz/seeds, and the shipped files.
for target in $FUZZ_TARGETS; do
    mkdir -p "$kept/$target" "$kept/findings/$target"
    [ ! -d "fuzz/seeds/$target" ] || cp -n fuzz/seeds/"$target"/* "$kept/$target/" || true
done
[ ! -d "$kept/config" ] || cp hsm-config/*.toml.example policies/courier/*.toml "$kept/config/" 2>/dev/null || true
if [ -d "$kept/policy_set" ]; then
    # The first byte is the place of the file in the target's list.
    n=0
    for file in authority.toml callers.toml consents.toml officers.toml operators.toml rules/operators.cedar \
        rules/schema.cedarschema templates/default.toml trust.toml; do
        { printf "\\$(printf %03o $n)"; cat "policies/$file"; } >"$kept/policy_set/shipped-$n"
        n=$((n + 1))
    done
fi

failed=0
for target in $FUZZ_TARGETS; do
    # shellcheck disable=SC2086  # a list of options
    cargo +nightly fuzz build $options --target-dir "$kept/build" "$target"
    log="$kept/$target.log"
    ended=0
    # shellcheck disable=SC2086
    cargo +nightly fuzz run $options --target-dir "$kept/build" "$target" "$kept/$target" -- \
        -max_total_time="$seconds" -artifact_prefix="$kept/findings/$target/" -print_final_stats=1 -max_len=65536 \
        >"$log" 2>&1 || ended=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    printf '{"target":"%s","at":"%s","seconds":%s,"executions":%s,"corpus":%s,"finding":%s}\n' "$target" \
        "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$seconds" "${runs:-0}" "$(ls "$kept/$target" | wc -l)" \
        "$([ "$ended" -eq 0 ] && echo false || echo true)" | tee -a "$kept/totals.ndjson"
    if [ "$ended" -ne 0 ]; then
        failed=1
        tail -n 40 "$log" >&2
    fi
done
exit "$failed"
