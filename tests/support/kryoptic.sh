#!/bin/sh
# Builds kryoptic, a software token that is not SoftHSM, from crates.io: once, then it is only there.
#   sh tests/support/kryoptic.sh [DIRECTORY]     default: target/kryoptic
# Needs clang, libclang, OpenSSL 3.0 or later and SQLite 3 with their headers (tests/support/deps.sh).
set -eu

version=1.5.4
sha256=21b64b7679ce821f19a7a48b7e40146f26fbb9daa64ee2acb6376788a26d7ae8
# More would need OpenSSL 3.2 (eddsa) or 3.5 (pqc).
features=kryoptic-lib/minimal,kryoptic-lib/dynamic

mkdir -p "${1:-target/kryoptic}"
here=$(cd "${1:-target/kryoptic}" && pwd)
module=$here/libkryoptic_pkcs11.so
if [ -e "$module" ] && [ "$(cat "$here/version" 2>/dev/null)" = "$version" ]; then
    exit 0
fi
echo "building kryoptic $version in $here"
# cargo fetches what a package depends on; that package itself is never built.
mkdir -p "$here/fetch/src"
: >"$here/fetch/src/lib.rs"
cat >"$here/fetch/Cargo.toml" <<TOML
[package]
name = "fetch"
version = "0.0.0"
edition = "2024"
[workspace]
[dependencies]
kryoptic = { version = "=$version", default-features = false }
TOML
cargo fetch --quiet --manifest-path "$here/fetch/Cargo.toml"
crate=$(find "${CARGO_HOME:-$HOME/.cargo}/registry/cache" -name "kryoptic-$version.crate" | head -n 1)
echo "$sha256  $crate" | sha256sum --check --quiet
rm -rf "$here/source"
mkdir "$here/source"
tar -xzf "$crate" -C "$here/source" --strip-components 1
# A workspace of its own, with the versions that its maker locked.
printf '\n[workspace]\n' >>"$here/source/Cargo.toml"
cargo build --quiet --locked --manifest-path "$here/source/Cargo.toml" --target-dir "$here/build" \
    --config profile.dev.debug=false --config profile.dev.opt-level=1 \
    --no-default-features --features "$features"
cp "$here/build/debug/libkryoptic_pkcs11.so" "$module.new"
mv "$module.new" "$module"
echo "$version" >"$here/version"
rm -rf "$here/build" "$here/source" "$here/fetch"
