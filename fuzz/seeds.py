#!/usr/bin/env python3
"""Puts what the source has anyway into a corpus: examples of the served description, shipped files. Arguments: target, corpus."""

import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
# The first byte of an input is the place of its file in the target's list.
POLICY_SET = re.findall(r'^    "(.+)",$', (ROOT / "fuzz/fuzz_targets/policy_set.rs").read_text(), re.MULTILINE)


def examples(media_type):
    description = json.loads((ROOT / "src/routes/openapi.json").read_text())
    for path in description["paths"].values():
        for operation in path.values():
            content = operation.get("requestBody", {}).get("content", {}) if isinstance(operation, dict) else {}
            for example in content.get(media_type, {}).get("examples", {}).values():
                yield json.dumps(example["value"], ensure_ascii=False).encode()


def seeds(target):
    if target == "body":
        yield from examples("application/json")
    elif target == "batch_line":
        yield from examples("application/x-ndjson")
    elif target == "config":
        for pattern in ("hsm-config/*.toml.example", "policies/courier/*.toml*"):
            yield from (path.read_bytes() for path in sorted(ROOT.glob(pattern)))
    elif target == "policy_set":
        for place, name in enumerate(POLICY_SET):
            yield bytes([place]) + (ROOT / "policies" / name).read_bytes()
    for path in sorted((ROOT / "fuzz/seeds" / target).glob("*")):
        yield path.read_bytes()


def main():
    target, corpus = sys.argv[1], pathlib.Path(sys.argv[2])
    for number, seed in enumerate(seeds(target)):
        (corpus / f"seed-{number:02}").write_bytes(seed)


main()
