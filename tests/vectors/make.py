#!/usr/bin/env python3
"""Writes the test vectors beside it: derivation.json, tags.json, audit_chain.json.

Independent of the Rust code: HMAC and SHA-256 of Python's library, whole-number arithmetic for the digits.
The same bytes on every run. The keys are for tests only. With --check nothing is written: exit 1 if a file differs.
"""

import hashlib
import hmac
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
KEYS = {name: hashlib.sha256(b"sigillo test key " + name.encode()).digest() for name in ("print", "deliver", "verify")}


def domain(label, *fields):
    out = b"sigillo/v1\0"
    for field in (label.encode(), *fields):
        out += len(field).to_bytes(2, "big") + field
    return out


def mac(key, message):
    return hmac.new(KEYS[key], message, hashlib.sha256).digest()


def salt_of(number):
    return hashlib.sha256(b"salt %d" % number).digest()


def card_of(number):
    return hashlib.sha256(b"card %d" % number).digest()[:16]


def part_at(part, code, number, generation, template, count, counter):
    message = domain(
        part, code.encode(), card_of(number), generation.to_bytes(4, "big"), salt_of(number), template.encode(),
        counter.to_bytes(4, "big"),
    )
    fraction = int.from_bytes(mac({"first": "print", "second": "deliver"}[part], message), "big")
    digits = str((fraction * 10**count) >> 256).zfill(count) if count else ""
    return message, digits


def derivation():
    vectors = []

    def add(part, code, number, generation, template, count, forbidden=()):
        counter = 0
        while True:
            message, digits = part_at(part, code, number, generation, template, count, counter)
            if digits not in forbidden:
                break
            counter += 1
        vectors.append({
            "part": part, "code": code, "card": card_of(number).hex(), "generation": generation,
            "salt": salt_of(number).hex(), "template": template, "length": count, "forbidden": sorted(forbidden),
            "counter": counter, "message": message.hex(), "digits": digits,
        })
        return digits

    shipped = [("IT/1", "PIN", 2, 3), ("IT/1", "PUK", 2, 6), ("IT/1", "CIP", 4, 4), ("IT-030/1", "PIN", 2, 3),
               ("IT-042/2", "CIP", 5, 3), ("A" * 32, "PIN", 4, 4), ("TEST-20/1", "CIP", 20, 20), ("T/0", "PUK", 0, 8)]
    for number, (template, code, first, second) in enumerate(shipped):
        for generation in (1, 2, 2**32 - 1):
            add("first", code, number, generation, template, first)
            add("second", code, number, generation, template, second)
    add("first", "CIP", 90, 1, "TEST-36/1", 36)
    # forbid what comes up, twice and three times over, so that the counter moves on
    for number in range(20, 24):
        forbidden = []
        for _ in range(4):
            forbidden.append(add("first", "PIN", number, 1, "IT/1", 2, forbidden))
        forbidden = ["000", "123", "999"]
        for _ in range(2):
            forbidden.append(add("second", "PIN", number, 1, "IT/1", 3, forbidden))
    # one digit, four values forbidden, many cards: several are passed over by themselves
    for number in range(30, 42):
        add("first", "PIN", number, 7, "TEST/1", 1, ["0", "1", "2", "9"])
    return {"keys": {name: KEYS[name].hex() for name in ("print", "deliver")}, "vectors": vectors}


def tags():
    vectors = []
    for number, digits in enumerate(["", "0", "1234", "0000", "1235", "01234567890123456789", "9" * 64]):
        for part in ("first", "second"):
            for generation in (1, 3):
                padded = bytes([len(digits)]) + digits.encode().ljust(64, b"\0")
                message = domain("tag", part.encode(), card_of(number), generation.to_bytes(4, "big"), salt_of(number),
                                 padded)
                vectors.append({
                    "part": part, "card": card_of(number).hex(), "generation": generation,
                    "salt": salt_of(number).hex(), "digits": digits, "message": message.hex(),
                    "tag": mac("verify", message).hex(),
                })
    return {"keys": {"verify": KEYS["verify"].hex()}, "vectors": vectors}


def audit_chain():
    events = [
        '{"at":"2026-03-29T01:00:00.000Z","caller":"console","card":"%s","kind":"card.registered","outcome":"done",'
        '"policy":"%s","request":"%s","seq":1}' % (card_of(1).hex(), "ab" * 32, "07" * 16),
        '{"at":"2026-03-29T01:00:00.001Z","caller":"sigillo","kind":"service.started","outcome":"done",'
        '"policy":"%s","request":"%s","seq":2}' % ("ab" * 32, "08" * 16),
        '{"seq":3,"note":"bytes are kept as written: Forlì, \\u0000"}',
        "",
        "x" * 70000,
    ]
    head = bytes(32)
    chain = []
    for number, event in enumerate(events, 1):
        data = event.encode()
        head = hashlib.sha256(b"sigillo audit event v1\n" + head + len(data).to_bytes(4, "big") + data).digest()
        short = {"repeat": ["x", 70000]} if number == 5 else {"event": event}
        chain.append({"seq": number, **short, "hash": head.hex()})
    return {"chain": chain}


different = []
for name, make in (("derivation", derivation), ("tags", tags), ("audit_chain", audit_chain)):
    body = {"origin": "tests/vectors/make.py", **make()}
    text = json.dumps(body, indent=1, ensure_ascii=True) + "\n"
    path = HERE / f"{name}.json"
    if "--check" not in sys.argv[1:]:
        path.write_text(text, encoding="ascii")
    elif path.read_text(encoding="ascii") != text:
        different.append(path.name)
sys.exit(f"differs from what this program writes: {', '.join(different)}" if different else 0)
