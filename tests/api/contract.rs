//! What is served keeps to the description that is served: schemathesis reads `/v1/openapi.json` over mutual TLS and tries every
//! operation as each caller that the policy lets ask for it, and as a stranger. A new operation is tried without a change here.
//!
//! `tests/support/schemathesis.sh` installs it; the variable `SIGILLO_SCHEMATHESIS` names another program. `SIGILLO_CONTRACT`
//! says how many requests there are to be at least (`make contract`: 20000).

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use hyper::{HeaderMap, Method, header::CONTENT_TYPE};
use serde_json::{Value, json};
use sigillo::policy::{Action, Policy};

use crate::fixture::{Installation, api::forwarded, registered::OperatorCard};

/// Requests of the form that runs with all other tests.
const USUAL: u64 = 1000;

/// Requests that are made up for each operation in one round, beside those that follow from the description: usually, and where
/// many are asked for.
const IN_A_ROUND: [u32; 2] = [12, 150];

const HOOKS: &str = include_str!("../contract/hooks.py");
const SETTINGS: &str = include_str!("../contract/schemathesis.toml");

/// Who asks: certificate, entrance, and what the policy allows.
struct Caller {
    name: String,
    identity: PathBuf,
    port: u16,
    actions: Vec<Action>,
    forwards: bool,
}

/// How many answers of each status, by operation.
type Counts = BTreeMap<String, BTreeMap<String, u64>>;

fn program() -> PathBuf {
    let path = std::env::var_os("SIGILLO_SCHEMATHESIS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/schemathesis/bin/schemathesis"),
        PathBuf::from,
    );
    assert!(
        path.is_file(),
        "no {}: sh tests/support/schemathesis.sh, which takes Python 3.11 or later and PyPI",
        path.display()
    );
    path
}

fn callers(home: &Installation) -> Vec<Caller> {
    let policy = Policy::load(&home.path("authority/policies")).unwrap();
    let mut callers: Vec<_> = policy
        .callers()
        .map(|caller| {
            let name = caller.name().to_string();
            let (at, port) = match name.as_str() {
                "courier" => ("courier/tls/courier".to_owned(), home.ports().listen),
                "direct" => ("clients/operator".to_owned(), home.ports().direct),
                other => (format!("clients/{other}"), home.ports().listen),
            };
            let (actions, forwards) = (caller.actions().collect(), caller.forwards_operators());
            Caller { name, identity: home.path(&at), port, actions, forwards }
        })
        .collect();
    // Nobody to the policy: a refusal is an answer too.
    let identity = home.path("clients/stranger");
    let (name, port) = ("stranger".to_owned(), home.ports().listen);
    callers.push(Caller { name, identity, port, actions: Vec::new(), forwards: false });
    callers
}

/// The ids of the operations that this caller asks for: what it may, or all of them where it may nothing.
fn operations(document: &Value, caller: &Caller) -> Vec<String> {
    let methods = document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap());
    let theirs = methods.filter(|(_, operation)| match operation.get("x-sigillo-action") {
        Some(action) => {
            let action: Action = serde_json::from_value(action.clone()).unwrap();
            caller.actions.is_empty() || caller.actions.contains(&action)
        }
        None => caller.actions.is_empty(),
    });
    theirs.map(|(_, operation)| operation["operationId"].as_str().unwrap().to_owned()).collect()
}

/// Every card that an example of the description names, so that examples are about cards that are there.
fn cards_of_examples(value: &Value, found: &mut BTreeMap<String, Value>) {
    let (Some(number), Some(_), Some(_)) =
        (value["team_number"].as_str(), value["tax_code"].as_str(), value["expires_on"].as_str())
    else {
        let inner: Vec<&Value> = match value {
            Value::Array(list) => list.iter().collect(),
            Value::Object(object) => object.values().collect(),
            Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => Vec::new(),
        };
        inner.into_iter().for_each(|one| cards_of_examples(one, found));
        return;
    };
    let names = ["tax_code", "team_number", "expires_on"];
    let card = names.map(|name| (name.to_owned(), value[name].clone())).into_iter().collect();
    found.insert(number.to_owned(), Value::Object(card));
}

/// One round of one caller.
fn try_all(
    home: &Installation,
    caller: &Caller,
    document: &Value,
    facts: &Value,
    (round, each): (u64, u32),
) -> Result<Counts, String> {
    let directory = home.path(&format!("contract/{}-{round}", caller.name));
    fs::create_dir_all(&directory).unwrap();
    let counts = directory.join("counts.json");
    let mut facts = facts.clone();
    facts["counts"] = json!(counts);
    if !caller.forwards {
        facts["operators"] = json!([]);
    }
    fs::write(directory.join("facts.json"), facts.to_string()).unwrap();
    fs::write(directory.join("hooks.py"), HOOKS).unwrap();
    fs::write(directory.join("schemathesis.toml"), SETTINGS).unwrap();
    let address = format!("https://127.0.0.1:{}", caller.port);
    let mut command = Command::new(program());
    command.args(["run", &format!("{address}/v1/openapi.json"), "--url", &address]);
    command.arg("--tls-verify").arg(home.path("clients/ca.pem"));
    command.arg("--request-cert").arg(caller.identity.with_extension("pem"));
    command.arg("--request-cert-key").arg(caller.identity.with_extension("key"));
    // A stranger gets one answer whatever it sends.
    let (phases, each) = match caller.actions.is_empty() {
        true => ("examples,fuzzing", 3),
        false => ("examples,coverage,fuzzing,stateful", each),
    };
    command.args(["--phases", phases, "--max-examples", &each.to_string(), "--seed", &round.to_string()]);
    for id in operations(document, caller) {
        command.args(["--include-operation-id", &id]);
    }
    command.current_dir(&directory).env("SIGILLO_CONTRACT_FACTS", directory.join("facts.json"));
    command.env("PYTHONPATH", &directory).env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null());
    let ended = command.output().unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    let more = String::from_utf8_lossy(&ended.stderr);
    if !ended.status.success() {
        return Err(format!("as {}, round {round}:\n{said}\n{more}", caller.name));
    }
    Ok(serde_json::from_slice(&fs::read(&counts).unwrap()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_served_keeps_to_the_description_that_is_served() {
    let least =
        std::env::var_os("SIGILLO_CONTRACT").and_then(|text| text.to_str()?.parse().ok()).unwrap_or(USUAL);
    let home = Installation::serving().await;
    let desk = home.api("desk");
    let document = desk.get("/v1/openapi.json").await.ok();
    let read = |name: &str| fs::read(home.path("clients").join(name)).unwrap();
    let supervisor = read("supervisor.pem");
    OperatorCard::new(&supervisor, &read("supervisor.key")).register(&desk).await;
    let operators = [forwarded(&read("operator.pem")), forwarded(&supervisor)];
    let operators = operators.each_ref().map(|header| header.to_str().unwrap());

    let mut cards = BTreeMap::new();
    cards_of_examples(&document, &mut cards);
    let lines: Vec<String> = cards.values().map(Value::to_string).collect();
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, "application/x-ndjson".parse().unwrap());
    let registered = home.api("bureau").send(Method::POST, "/v1/cards", headers, lines.join("\n")).await;
    assert_eq!(registered.unwrap().ok()["registered"], cards.len());
    let others = home.cards(20).await;
    for card in &others[..15] {
        home.activate(&desk, card).await;
    }
    let cards: Vec<Value> = cards.into_values().chain(others.iter().map(|card| card.printed())).collect();
    let header_bytes = &document["info"]["x-sigillo-limits"]["header_bytes"];
    let facts = json!({ "cards": cards, "operators": operators, "header_bytes": header_bytes });

    let each = IN_A_ROUND[usize::from(least > USUAL)];
    let (mut all, mut requests, mut round) = (Counts::new(), 0, 1);
    while requests < least {
        let mut failures = Vec::new();
        for caller in callers(&home) {
            let counts = try_all(&home, &caller, &document, &facts, (round, each)).unwrap_or_else(|said| {
                failures.push(said);
                Counts::new()
            });
            for (operation, statuses) in counts {
                for (status, count) in statuses {
                    requests += count;
                    *all.entry(operation.clone()).or_default().entry(status).or_default() += count;
                }
            }
        }
        // All callers of a round, so that one run shows what there is to mend.
        assert!(failures.is_empty(), "{}", failures.join("\n"));
        round += 1;
    }
    for (operation, statuses) in &all {
        println!("{operation:45} {statuses:?}");
    }
    println!("{requests} requests, no failure");
    let described: usize =
        document["paths"].as_object().unwrap().values().map(|p| p.as_object().unwrap().len()).sum();
    assert_eq!(all.len(), described, "every operation was tried: {:?}", all.keys());
    assert_eq!(home.internal("/readyz").await.0, 200);
}
