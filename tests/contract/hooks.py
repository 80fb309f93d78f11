"""What schemathesis cannot know by itself, for tests/api/contract.rs.

A schema says how a C.F. or an address looks, not which ones exist: half of the requests that keep to the schema are about
cards that are there, so that they get past the first look-up. What breaks the schema goes out as it was generated. All
choices follow from the request alone: the same seed sends the same requests.

SIGILLO_CONTRACT_FACTS names a JSON file: `cards` (what is printed on them), `operators` (Client-Cert; none where the caller
forwards none), `header_bytes` (most of them), `counts` (file to write: answers by operation and status).
"""

import atexit
import copy
import json
import os
import zlib

import schemathesis

with open(os.environ["SIGILLO_CONTRACT_FACTS"], encoding="utf-8") as file:
    FACTS = json.load(file)
CARDS = FACTS["cards"]
OPERATORS = FACTS["operators"]
LANGUAGES = [None, "it", "en", "de, it;q=0.5", "*", "it-IT,it;q=0.9,en;q=0.8", ";;q=x"]
COUNTS = {}
# Where the first operator, who is at a counter, may do little.
SUPERVISORS = ("/v1/reports", "/v1/reader-stock", "/v1/approvals/")

# What says that a body or a header has not the form of the schema.
FORM = {"bad_idempotency_key", "bad_query", "invalid_body", "malformed_json", "wrong_media_type"}


@schemathesis.serializer("application/x-ndjson")
def ndjson(context, value):
    """A line. Its longest is 4096 bytes, which no schema says."""
    if isinstance(value, bytes):
        return value
    return json.dumps(value).encode() + b"\n"


def number(case):
    """A number that follows from the request as it was generated."""
    seen = json.dumps([case.operation.label, case.body, case.path_parameters], sort_keys=True, default=str)
    return zlib.crc32(seen.encode("utf-8", "replace"))


def is_good(case):
    return case.meta is not None and case.meta.generation.mode.is_positive


def put_card(body, n):
    """Puts a card that is there in the place of the data of one."""
    for name, value in CARDS[n % len(CARDS)].items():
        if isinstance(body.get(name), str):
            body[name] = value
    if isinstance(body.get("card"), dict):
        put_card(body["card"], n)


def put_contact(body, n):
    contact = body.get("contact")
    if isinstance(contact, dict) and "address" in contact:
        is_sms = contact.get("channel") == "sms"
        contact["address"] = f"+39333{n % 10**7:07}" if is_sms else f"titolare-{n % 1000}@esempio.it"


def without_points(value):
    """JSON Schema takes 12.0 for an integer; the API, like I-JSON, wants integers written as such."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: without_points(one) for name, one in value.items()}
    return value


@schemathesis.hook
def before_call(context, case, kwargs):
    n = number(case)
    language = LANGUAGES[n % len(LANGUAGES)]
    if language is not None:
        case.headers["Accept-Language"] = language
    if not OPERATORS:
        # Nobody but a front end may send them: tests/api/callers.rs, direct.rs.
        case.headers.pop("Client-Cert", None)
        case.headers.pop("Client-Cert-Chain", None)
    elif is_good(case) or n % 4:
        anyone = n % 8 > 5 or case.path.startswith(SUPERVISORS)
        case.headers["Client-Cert"] = OPERATORS[n // 8 % len(OPERATORS) if anyone else 0]
        case.headers.pop("Client-Cert-Chain", None)
    for name, value in case.headers.items():
        # Longer ones are the HTTP library's to refuse (431), with an empty body: tests/transport/limits.rs.
        case.headers[name] = value[: FACTS["header_bytes"] // 4]
    if is_good(case) and isinstance(case.body, dict):
        case.body = without_points(copy.deepcopy(case.body))
        put_contact(case.body, n)
        if n % 2:
            put_card(case.body, n // 2)


@schemathesis.hook
def after_call(context, case, response):
    of = COUNTS.setdefault(case.operation.label, {})
    status = str(response.status_code)
    of[status] = of.get(status, 0) + 1


def names_bad_lines(response):
    """In one document, or among the lines of an export."""
    lines = [json.loads(line) for line in response.text.splitlines()]
    return any(line.get("rejected") or "refused" in line for line in lines)


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """A batch names its bad lines in a 200, and takes the others."""
    is_batch = case.media_type == "application/x-ndjson" and response.status_code == 200
    return not (is_batch and type(failure).__name__ == "AcceptedNegativeData" and names_bad_lines(response))


@schemathesis.check
def never_unavailable(ctx, response, case):
    """Nothing is broken in this installation: 503 would be the fault of a request."""
    assert response.status_code != 503, response.text


@schemathesis.check
def what_keeps_to_the_schema_has_a_good_form(ctx, response, case):
    """`positive_data_acceptance` takes 400 and 422, since values have rules that no schema says; their form has none."""
    if is_good(case) and response.status_code in (400, 415, 422):
        assert response.json()["code"] not in FORM, response.text


@schemathesis.check
def a_problem_says_what_it_is(ctx, response, case):
    if response.status_code < 400:
        return
    problem = response.json()
    assert problem["status"] == response.status_code, problem
    assert problem["type"] == f"urn:sigillo:problem:{problem['code']}", problem
    assert response.headers["cache-control"] == ["no-store"], response.headers


@atexit.register
def write():
    with open(FACTS["counts"], "w", encoding="utf-8") as out:
        json.dump(COUNTS, out)
