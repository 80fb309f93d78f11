//! `src/routes/openapi.json` says what the program does: the same routes, types, problem codes, lists and limits, and
//! examples that the program takes.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a panic is how a test fails"
)]

#[path = "openapi/aftercare.rs"]
mod aftercare;
#[path = "openapi/figures.rs"]
mod figures;
#[path = "openapi/italian.rs"]
mod italian;
#[path = "openapi/public.rs"]
mod public;
#[path = "openapi/samples.rs"]
mod samples;
#[path = "openapi/schema.rs"]
mod schema;
#[path = "openapi/source.rs"]
mod source;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sigillo::{
    api::codes,
    domain::{
        card::Reason, date::CivilDate, id::CardId, tax_code::TaxCode, team::TeamNumber, template::CodeName,
    },
    http::Limits,
    policy::{Action, OPERATORS_ACTIONS, Proof},
    routes::ROUTES,
};

use schema::{Document, keys};

/// Codes of refusals that no request can come to: salts are destroyed by the service itself, of revoked cards.
const OF_NO_REQUEST: [&str; 1] = ["card_not_revoked"];

fn strings<'a>(of: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    of.into_iter().map(str::to_owned).collect()
}

/// The values that a property may have.
fn listed(document: &Document, schema: &str, property: &str) -> BTreeSet<String> {
    let property = document.resolve(&document.schema(schema)["properties"][property]);
    strings(property["enum"].as_array().expect("enum").iter().map(|v| v.as_str().unwrap()))
}

#[test]
fn every_route_is_described_and_nothing_else() {
    let document = Document::load();
    let described: BTreeSet<_> =
        document.operations().map(|op| (op.method.to_uppercase(), op.path.to_owned())).collect();
    let routed: BTreeSet<_> =
        ROUTES.iter().map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned())).collect();
    assert_eq!(described, routed);
    let ids = document.operations().map(|op| op.value["operationId"].as_str().unwrap().to_owned());
    assert_eq!(ids.collect::<BTreeSet<_>>().len(), ROUTES.len(), "operationIds differ from each other");
}

#[test]
fn every_reference_leads_somewhere_and_everything_is_used() {
    let document = Document::load();
    let mut used = BTreeSet::new();
    document.walk(&mut |_, object| {
        if let Some(target) = object.get("$ref") {
            let target = target.as_str().unwrap();
            assert!(!document.resolve_path(target).is_null(), "{target} leads nowhere");
            used.insert(target.to_owned());
        }
    });
    for kind in ["headers", "parameters", "responses", "schemas"] {
        for name in keys(&document.components()[kind]) {
            // These two are of paths and methods that are not described.
            let outside = ["MethodNotAllowed", "NoSuchPath"].contains(&name.as_str());
            let target = format!("#/components/{kind}/{name}");
            assert_eq!(used.contains(&target), !outside, "{target}");
        }
    }
}

#[test]
fn schemas_are_those_of_the_types() {
    let document = Document::load();
    let mut named = BTreeSet::new();
    for sample in samples::all() {
        let (name, schema) = (sample.name, document.schema(sample.name));
        named.insert(name.to_owned());
        assert_eq!(keys(&schema["properties"]), keys(&sample.full), "properties of {name}");
        let required = strings(schema["required"].as_array().unwrap().iter().map(|v| v.as_str().unwrap()));
        assert_eq!(required, sample.required(), "required of {name}");
        let refuses_unknown = !sample.takes(&sample.with("unknown_field", Value::from("x")));
        let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
        assert_eq!(closed, refuses_unknown, "additionalProperties of {name}");
        for value in [&sample.full, &sample.least] {
            document.check(schema, value).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!(sample.takes(value), "{name} does not read {value}");
        }
    }
    let objects = keys(&document.components()["schemas"]).into_iter().filter(|name| {
        document.schema(name)["type"] == "object" && !samples::NOT_WIRE_TYPES.contains(&name.as_str())
    });
    assert_eq!(objects.collect::<BTreeSet<_>>(), named, "every object schema has its type");
}

#[test]
fn lists_are_those_of_the_program() {
    let document = Document::load();
    let list = |schema, property| listed(&document, schema, property);
    let operators = Reason::ALL.iter().filter(|r| !matches!(r, Reason::Renewed | Reason::Replaced));
    assert_eq!(list("Revoke", "reason"), strings(operators.map(|reason| reason.text())));
    let approved = samples::ACTIONS.iter().filter(|action| action.proofs().contains(&Proof::Approval));
    assert_eq!(list("AskApproval", "action"), strings(approved.map(|action| action.text())));
    let choices = sigillo::domain::consent::Choice::ALL;
    assert_eq!(list("GivenConsent", "choice"), strings(choices.map(sigillo::domain::consent::Choice::text)));
    for schema in ["Consent", "PastConsent", "RecordedConsent"] {
        assert_eq!(list(schema, "state"), strings(choices.map(sigillo::domain::consent::Choice::state)));
    }
    let ways = sigillo::domain::readers::HandOver::ALL.map(sigillo::domain::readers::HandOver::text);
    for schema in ["RequestReader", "ReaderReceipt"] {
        assert_eq!(list(schema, "kind"), strings(ways));
    }
    let activations = sigillo::domain::card::Activation::ALL.map(sigillo::domain::card::Activation::text);
    assert_eq!(list("Card", "activation"), strings(activations));
    assert_eq!(list("LeasedCode", "code"), strings(CodeName::ALL.map(CodeName::text)));
    assert_eq!(list("SessionAction", "action"), strings(OPERATORS_ACTIONS.map(|action| action.text())));
    assert_eq!(list("Card", "state"), strings(samples::CARD_STATES.map(|state| state.text())));
    assert_eq!(list("Delivery", "state"), source::delivery_states());
    assert_eq!(list("BadLine", "code"), source::line_codes());
    assert_eq!(list("Lease", "message"), source::messages());
    assert_eq!(list("AuditEvent", "kind"), samples::names(&samples::KINDS));
    assert_eq!(list("AuditEvent", "outcome"), samples::names(&samples::OUTCOMES));
    assert_eq!(list("Report", "status"), samples::names(&samples::REPORT_STATUSES));
    for (schema, property) in [("ContactTo", "channel"), ("Delivery", "channel")] {
        assert_eq!(
            list(schema, property),
            strings(sigillo::domain::contact::Channel::ALL.map(sigillo::domain::contact::Channel::text))
        );
    }
}

#[test]
fn problem_codes_are_those_of_the_source() {
    let document = Document::load();
    let mut described = BTreeSet::new();
    for response in document.responses() {
        described.extend(document.problem_codes(response));
    }
    let mut known = source::problems();
    for code in OF_NO_REQUEST {
        assert!(known.remove(&(409, code.to_owned())), "{code} is gone from the source");
    }
    assert_eq!(described, known, "status and code of every problem");

    let listed = document.schema("Problem")["properties"]["code"]["oneOf"].as_array().unwrap().clone();
    let titles: BTreeMap<_, _> = listed
        .iter()
        .map(|one| (one["const"].as_str().unwrap().to_owned(), one["title"].as_str().unwrap().to_owned()))
        .collect();
    assert_eq!(
        titles.keys().cloned().collect::<BTreeSet<_>>(),
        known.into_iter().map(|(_, code)| code).collect()
    );
    for (code, title) in source::titles() {
        assert_eq!(titles[&code], title, "title of {code}");
    }
    for response in document.responses() {
        if let Some(example) = response.pointer("/content/application~1problem+json/example") {
            let code = example["code"].as_str().unwrap();
            assert_eq!(example["title"], titles[code].as_str());
            assert_eq!(example["type"], format!("urn:sigillo:problem:{code}"));
        }
    }
}

#[test]
fn statuses_hold_their_own_problems() {
    let document = Document::load();
    for op in document.operations() {
        for (status, response) in op.value["responses"].as_object().unwrap() {
            let response = document.resolve(response);
            let codes = document.problem_codes(response);
            assert_eq!(codes.is_empty(), status.starts_with(['2', '3']), "{} {status}", op.path);
            assert!(codes.iter().all(|(of, _)| of.to_string() == *status), "{} {status}", op.path);
            let headers = keys(&response["headers"]);
            assert!(headers.contains("X-Request-Id"), "{} {status}", op.path);
            let has_language = headers.contains("Content-Language");
            assert_eq!(has_language, !codes.is_empty(), "Content-Language of {} {status}", op.path);
            assert_eq!(
                headers.contains("Retry-After"),
                matches!(status.as_str(), "429" | "503"),
                "{} {status}",
                op.path
            );
        }
    }
}

#[test]
fn an_idempotency_key_is_asked_for_where_its_absence_is_refused() {
    let document = Document::load();
    for op in document.operations() {
        let refused = document
            .problem_codes(document.resolve(&op.value["responses"]["400"]))
            .contains(&(400, "idempotency_key_missing".to_owned()));
        let parameters = op.value["parameters"].as_array().cloned().unwrap_or_default();
        let asked = parameters.iter().any(|p| document.resolve(p)["name"] == "Idempotency-Key");
        assert_eq!(asked, refused, "{}", op.path);
        let in_path = parameters.iter().any(|p| document.resolve(p)["in"] == "path");
        assert_eq!(in_path, op.path.contains("{id}"), "{}", op.path);
    }
}

#[test]
fn actions_are_those_of_the_policy() {
    let document = Document::load();
    let mut stated = BTreeSet::new();
    for op in document.operations() {
        match op.value.get("x-sigillo-action") {
            Some(action) => {
                let action: Action = serde_json::from_value(action.clone()).unwrap();
                stated.insert(action);
            }
            None => assert_eq!(op.path, "/v1/openapi.json"),
        }
    }
    assert_eq!(stated, samples::ACTIONS.into_iter().collect());
}

#[test]
fn limits_are_the_shipped_ones() {
    let document = Document::load();
    let Limits { body_bytes, batch_bytes, body_ms, header_bytes, header_count, h2_streams, .. } =
        Limits::default();
    let shipped = serde_json::json!({
        "body_bytes": body_bytes, "batch_bytes": batch_bytes, "body_ms": body_ms, "header_bytes": header_bytes,
        "header_count": header_count, "h2_streams": h2_streams,
    });
    assert_eq!(document.info()["x-sigillo-limits"], shipped);
    assert_eq!(document.info()["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(document.info()["license"]["identifier"], "EUPL-1.2");
}

#[test]
fn examples_hold() {
    let document = Document::load();
    let mut checked = 0;
    document.walk(&mut |at, object| {
        let Some(schema) = object.get("schema") else { return };
        let many = object.get("examples").and_then(Value::as_object);
        let values = many.into_iter().flat_map(|all| all.values().map(|one| &one["value"]));
        for value in object.get("example").into_iter().chain(values) {
            document.check(schema, value).unwrap_or_else(|e| panic!("{at}: {e}"));
            checked += 1;
        }
    });
    assert!(checked > 40, "{checked} examples");
}

#[test]
fn examples_of_requests_are_taken() {
    let document = Document::load();
    let readers: BTreeMap<_, _> = samples::all().into_iter().map(|s| (s.name, s)).collect();
    let mut bodies = 0;
    for op in document.operations() {
        let Some(content) = op.value.pointer("/requestBody/content").and_then(Value::as_object) else {
            assert!(op.method == "get" || op.path == "/v1/policy/reload", "{}", op.path);
            continue;
        };
        for media in content.values() {
            let name = media["schema"]["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
            for example in media["examples"].as_object().unwrap().values() {
                assert!(readers[name].takes(&example["value"]), "{name} does not read {example}");
                bodies += 1;
            }
        }
    }
    assert!(bodies >= 12, "{bodies} bodies");
}

#[test]
fn lines_of_an_export_are_as_described() {
    let document = Document::load();
    for line in samples::audit_lines() {
        document.check(document.schema("AuditLine"), &line).unwrap_or_else(|e| panic!("{line}: {e}"));
    }
}

/// Whoever copies an example gets past the checks of the domain.
#[test]
fn examples_are_valid_data_of_nobody() {
    let document = Document::load();
    let mut seen = BTreeSet::new();
    document.walk(&mut |at, object| {
        for (key, value) in object {
            let Some(text) = value.as_str() else { continue };
            let good = match key.as_str() {
                "tax_code" => text.parse::<TaxCode>().is_ok(),
                "team_number" | "renews" | "replaces" => {
                    text.parse::<TeamNumber>().is_ok_and(|number| number.luhn_holds())
                }
                "expires_on" => text.parse::<CivilDate>().is_ok(),
                "approval" | "card" | "delivery" | "lease" | "verification" | "request" | "request_id" => {
                    text.parse::<CardId>().is_ok()
                }
                "address" => text.ends_with("@example.it"),
                _ => continue,
            };
            assert!(good, "{at}/{key}: {text}");
            seen.insert(key.clone());
        }
    });
    assert!(seen.contains("tax_code") && seen.contains("replaces") && seen.contains("address"), "{seen:?}");
}

/// An answer of a verification has one size, as the document says.
#[test]
fn a_verification_answers_in_one_size() {
    let of = |outcome: &str| {
        let verification = CardId::new([7; 16]).to_string();
        serde_json::to_vec(&codes::Verified { outcome: outcome.into(), verification }).unwrap().len()
    };
    assert_eq!(of("accepted"), of("rejected"));
}

/// Each of them is tried at the API with the key and body of another id.
#[test]
fn changes_by_an_id_in_the_path_are_those_that_are_tried() {
    let document = Document::load();
    let takes_key = |operation: &schema::Operation<'_>| {
        let parameters = operation.value["parameters"].as_array().into_iter().flatten();
        parameters.filter_map(|p| p["$ref"].as_str()).any(|name| name.contains("/IdempotencyKey"))
    };
    let by_id: BTreeSet<_> = document
        .operations()
        .filter(|operation| operation.path.contains("{id}") && takes_key(operation))
        .map(|operation| operation.path)
        .collect();
    let tried =
        ["/v1/approvals/{id}/sign", "/v1/deliveries/{id}/resend", "/v1/operator-registrations/{id}/sign"];
    assert_eq!(by_id, BTreeSet::from(tried));
}
