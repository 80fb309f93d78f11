#!/bin/sh
# Puts schemathesis, which tries the served OpenAPI document, into an environment of its own: once, then it is only there.
#   sh tests/support/schemathesis.sh [DIRECTORY]     default: target/schemathesis
# Needs Python 3.11 or later with venv (tests/support/deps.sh) and PyPI, or a copy of it that pip is configured for.
set -eu

wanted=$(dirname "$0")/../contract/requirements.txt
here=${1:-target/schemathesis}
if [ -x "$here/bin/schemathesis" ] && cmp -s "$wanted" "$here/requirements.txt"; then
    exit 0
fi
echo "installing schemathesis in $here"
rm -rf "$here"
mkdir -p "$(dirname "$here")"
/usr/bin/python3 -m venv "$here"
"$here/bin/pip" install --quiet --disable-pip-version-check --requirement "$wanted"
cp "$wanted" "$here/requirements.txt"
