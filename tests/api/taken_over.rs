//! An authority that has been taken over, against the real courier, its token and a relay: it leases what it likes, to
//! whom it likes, and gets what the courier's own policy allows, no more (I14).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::{Arc, Mutex},
};

use http_body_util::BodyExt;
use hyper::{Request, Response, body::Incoming, header::CONTENT_TYPE};
use serde_json::{Value, json};
use sigillo::{
    api::courier::{Lease, LeasedCode, Leases, Reported},
    auth::Remote,
    clock::{Clock, SystemClock},
    domain::{
        audit::Head,
        checkpoint::{self, Claim},
        contact::{Channel, Contact},
        id::{CardId, DeliveryId, LeaseId},
    },
    hsm::{Role, soft::SoftHsm},
    http::{Body, Handler, Limits, Listener},
    metrics::Metrics,
    seal::ContactSealer,
    tls::{ServerTls, TlsFiles},
};

use crate::fixture::{Installation, eventually};

/// Limits of this test: mailbox and card as shipped, in all fewer, so that it is reached.
const ALL_HOUR: usize = 60;
const CONTACT_HOUR: usize = 6;
const CARD_HOUR: usize = 3;
/// Cards whose holders have had their second parts before the authority was taken over.
const HOLDERS: usize = 10;
/// Invented cards of a round: so many that the courier stops to write of each.
const CARDS: usize = 60;
const THIEF: &str = "ladro.example.it";

/// Events about leases that came to nothing which the courier writes in an hour, before it only counts them.
const VAIN_HOUR: usize = 200;

/// An authority that says what it is told to, and listens.
struct Hostile {
    /// Whoever owns `serve` has a session with its audit key too.
    checkpoint: String,
    sealer: ContactSealer,
    clock: Arc<dyn Clock>,
    /// What is to be leased, the next one last.
    queue: Mutex<Vec<Lease>>,
    reports: Mutex<Vec<Value>>,
    asked: Mutex<u64>,
    numbers: Mutex<u32>,
    /// Card by control number: what a message was about.
    cards: Mutex<BTreeMap<String, CardId>>,
}

impl Handler for Hostile {
    async fn handle(&self, _: Arc<Remote>, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let body: Value =
            serde_json::from_slice(&request.into_body().collect().await.unwrap().to_bytes()).unwrap();
        let answer = if path == "/v1/courier/leases" {
            let limit = usize::try_from(body["limit"].as_u64().unwrap()).unwrap();
            let mut queue = self.queue.lock().unwrap();
            let from = queue.len().saturating_sub(limit);
            let mut leases: Vec<Lease> = queue.drain(from..).collect();
            leases.reverse();
            *self.asked.lock().unwrap() += 1;
            serde_json::to_string(&Leases { leases, checkpoint: self.checkpoint.clone() })
        } else {
            self.reports.lock().unwrap().push(body);
            serde_json::to_string(&Reported { state: "sent".into() })
        };
        let response = Response::builder().header(CONTENT_TYPE, "application/json");
        response.body(Body::full(answer.unwrap())).unwrap()
    }
}

impl Hostile {
    fn lease(&self, card: CardId, to: &str) -> Lease {
        let mut numbers = self.numbers.lock().unwrap();
        *numbers += 1;
        let mut id = [0xd0; 16];
        id[..4].copy_from_slice(&numbers.to_be_bytes());
        let control = format!("{:06}", *numbers);
        self.cards.lock().unwrap().insert(control.clone(), card);
        let delivery = DeliveryId::new(id);
        let code = |code: &str, digits| LeasedCode {
            code: code.into(),
            generation: 1,
            digits,
            forbidden: Vec::new(),
        };
        let contact = Contact::parse(Channel::Email, to).unwrap();
        Lease {
            lease: LeaseId::new(id),
            delivery,
            card,
            until_ms: self.clock.now_ms() + 3_600_000,
            attempt: 1,
            message: "reprint".into(),
            control,
            template: "IT/1".into(),
            salt: "5a".repeat(32),
            codes: vec![code("PIN", 3), code("PUK", 6), code("CIP", 4)],
            contact: hex::encode(self.sealer.seal(&card, &delivery, &contact).unwrap()),
        }
    }

    /// Every way to ask for a card's second parts.
    fn tricks(&self, card: CardId, to: &str) -> Vec<Lease> {
        let of = || self.lease(card, to);
        let mut generation = of();
        generation.codes.iter_mut().for_each(|code| code.generation = 2);
        let mut one_digit = of();
        one_digit.codes[0].digits = 1;
        let mut searching = of();
        searching.codes[0].forbidden = (0..500).map(|n| format!("{n:03}")).collect();
        let (again, other) = (of(), of());
        let replay = Lease { codes: again.codes.clone(), contact: again.contact.clone(), ..of() };
        let replay = Lease { delivery: again.delivery, ..replay };
        vec![
            Lease { salt: "07".repeat(32), ..of() },
            Lease { template: "IT-042/1".into(), ..of() },
            Lease { template: "IT-999/1".into(), ..of() },
            Lease { message: "activation".into(), ..of() },
            Lease { message: "notice".into(), ..of() },
            Lease { control: "000000".into(), ..of() },
            Lease { until_ms: 0, ..of() },
            Lease { contact: other.contact, ..of() },
            generation,
            one_digit,
            searching,
            again,
            replay,
        ]
    }

    /// Has the courier take all this, to the last report.
    async fn play(&self, mut leases: Vec<Lease>) {
        leases.reverse();
        *self.queue.lock().unwrap() = leases;
        eventually("an empty queue", async || self.queue.lock().unwrap().is_empty().then_some(())).await;
        // The one that asks again has dealt with all it had.
        let asked = *self.asked.lock().unwrap();
        eventually("the end of a round", async || (*self.asked.lock().unwrap() > asked).then_some(())).await;
    }
}

/// A checkpoint of this token.
fn signed(token: &SoftHsm) -> String {
    let head = Head { seq: 1, hash: [1; 32] };
    let claim = Claim { log: "demo", head, policy: "aa", sequence: 1, recoveries: 0, at_ms: 0 };
    let text = checkpoint::text(&claim);
    checkpoint::signed(&text, &token.tokens(1).remove(0).sign(&checkpoint::digest(&text)).unwrap())
}

/// A message of the relay: to whom, and with which control number; a notice has none.
fn mails(home: &Installation) -> Vec<(String, Option<String>)> {
    let Ok(entries) = fs::read_dir(home.path("smtp/mail/new")) else { return Vec::new() };
    let texts = entries.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    let after = |text: &str, start: &str| {
        text.lines().find_map(|line| line.strip_prefix(start)).map(|rest| rest.trim().to_owned())
    };
    texts.map(|text| (after(&text, "X-Rcpt-To: ").unwrap(), after(&text, "Numero di controllo: "))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_over_authority_gets_what_the_couriers_policy_allows_and_no_more() {
    let mut home = Installation::new();
    let all = format!("hour = {ALL_HOUR}\nday = {ALL_HOUR}");
    home.edit("courier/policy.toml", "hour = 1000\nday = 8000", &all);
    home.edit("courier/courier.toml", "poll_ms = 200", "poll_ms = 100\nbatch = 100");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let tls = |name: &str| home.path("authority/tls").join(name);
    let files = TlsFiles {
        certificate: tls("server.pem"),
        key: tls("server.key"),
        client_ca: tls("client-ca.pem"),
        crls: Vec::new(),
    };
    let tls = Arc::new(ServerTls::load(files, Arc::clone(&clock)).unwrap());
    let metrics = Arc::new(Metrics::new().unwrap());
    let limits = Limits::default();
    let bound = Listener::bind(home.listen_address(), tls, limits, Arc::clone(&clock), metrics).await;
    let listener = bound.unwrap();
    let key = fs::read(home.path("courier/public/contact.pub.pem")).unwrap();
    let token = SoftHsm::new(Role::Authority).unwrap();
    let public = pem::encode(&pem::Pem::new("PUBLIC KEY", token.audit_public_key()));
    fs::write(home.path("courier/authority-audit.pub.pem"), public).unwrap();
    let hostile = Arc::new(Hostile {
        checkpoint: signed(&token),
        sealer: ContactSealer::from_pem(&key).unwrap(),
        clock,
        queue: Mutex::default(),
        reports: Mutex::default(),
        asked: Mutex::default(),
        numbers: Mutex::default(),
        cards: Mutex::default(),
    });
    let (_told, stop) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(listener.serve(Arc::clone(&hostile), async {
        stop.await.unwrap_or_default();
    }));
    home.start_courier();

    // While all was well: every holder gets second parts.
    let card = |kind: u8, n: usize| {
        let mut id = [kind; 16];
        id[8..].copy_from_slice(&u64::try_from(n).unwrap().to_be_bytes());
        CardId::new(id)
    };
    let holder = |n: usize| format!("titolare-{n}@esempio.it");
    hostile.play((0..HOLDERS).map(|n| hostile.lease(card(1, n), &holder(n))).collect()).await;
    assert_eq!(mails(&home).len(), HOLDERS);
    let told: BTreeSet<CardId> = (0..HOLDERS).map(|n| card(1, n)).collect();
    let before = hostile.reports.lock().unwrap().len();

    // Taken over. First every trick on the holders' cards: to one mailbox, and to many.
    let mut attack = Vec::new();
    for n in 0..HOLDERS {
        let to = if n % 2 == 0 { format!("uno@{THIEF}") } else { format!("m{n}@{THIEF}") };
        attack.extend(hostile.tricks(card(1, n), &to));
        attack.extend(hostile.tricks(card(1, n), &to));
    }
    let mut leases = attack.len();
    hostile.play(attack).await;
    let sent = mails(&home);
    assert!(!sent.iter().any(|(to, _)| to.ends_with(THIEF)), "{sent:?}");
    let notices: Vec<&String> =
        sent.iter().filter(|(_, number)| number.is_none()).map(|(to, _)| to).collect();
    let unique: BTreeSet<&String> = notices.iter().copied().collect();
    assert_eq!(unique, (0..HOLDERS).map(holder).collect::<Vec<_>>().iter().collect());
    assert_eq!(notices.len(), HOLDERS, "one each: {notices:?}");
    // No tag of a C.I.P. either: nothing was derived.
    let reports = hostile.reports.lock().unwrap()[before..].to_vec();
    assert!(reports.iter().all(|report| report["status"] != "prepared"));

    // Then cards that the courier has never heard of, existing or invented; and again after a crash.
    for round in 0..2 {
        let mut attack = Vec::new();
        // One card's far apart: the courier has one message of a card in hand, and gives the others back without an event.
        for again in 0..5 {
            for n in 0..CARDS {
                let to = if n % 3 == 0 { format!("uno@{THIEF}") } else { format!("c{n}@{THIEF}") };
                attack.push(hostile.lease(card(2, n), &to));
                if again > 0 || n >= HOLDERS {
                    continue;
                }
                attack.extend(hostile.tricks(card(1, n), &format!("uno+{n}@{THIEF}")));
            }
        }
        leases += attack.len();
        hostile.play(attack).await;
        if round == 0 {
            home.courier.as_mut().unwrap().kill();
            home.courier = Some(home.spawn("courier", "courier/courier.toml"));
        }
    }

    let sent = mails(&home);
    let parts: Vec<(&String, CardId)> = {
        let cards = hostile.cards.lock().unwrap();
        sent.iter().filter_map(|(to, number)| Some((to, cards[number.as_ref()?]))).collect()
    };
    let (mut by_contact, mut by_card) = (BTreeMap::new(), BTreeMap::new());
    for (to, card) in &parts {
        *by_contact.entry(*to).or_insert(0) += 1;
        *by_card.entry(*card).or_insert(0) += 1;
        assert!(!told.contains(card) || to.starts_with("titolare-"), "{card} went to {to}");
    }
    assert!(by_contact.values().all(|count| *count <= CONTACT_HOUR), "{by_contact:?}");
    assert!(by_card.values().all(|count| *count <= CARD_HOUR), "{by_card:?}");
    // Holders' messages, changes begun and messages to the thief are counted together.
    let taken = parts.len() - HOLDERS;
    assert!(taken > 0 && parts.len() <= ALL_HOUR, "{}", parts.len());
    let reports = hostile.reports.lock().unwrap().clone();
    let prepared = reports.iter().filter(|report| report["status"] == "prepared").count();
    assert_eq!(prepared, parts.len(), "a tag for each message, and none beside");
    println!(
        "taken-over authority: {leases} leases, {taken} messages with second parts of cards that the courier had \
         never seen, 0 of {HOLDERS} others; at most {ALL_HOUR} an hour here, 1000 an hour and 8000 a day as shipped"
    );

    // All of it is in the courier's own log.
    home.courier.as_mut().unwrap().terminate();
    assert_eq!(home.courier.as_mut().unwrap().wait().await, Some(0));
    home.sigillo(&["audit", "export-store", "--store", "courier/state", "--out", "log.ndjson"]).ended(0);
    let key = "courier/public/audit.pub.pem";
    let ran = home.sigillo(&["audit", "verify", "--json", "--public-key", key, "log.ndjson"]).ended(0);
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap()["log"], json!("courier"));
    // And every use of its keys: PIN, PUK and C.I.P. of each message, and one tag.
    let ran = home.sigillo(&["audit", "operations", "--json", "log.ndjson"]).ended(0);
    let account: Value = serde_json::from_str(&ran.out).unwrap();
    let used = json!({ "print": 0, "deliver": 3 * parts.len(), "verify": parts.len() });
    assert_eq!(account["total"], json!({ "least": used, "most": used, "unfinished": 0 }));
    let log = fs::read_to_string(home.path("log.ndjson")).unwrap();
    assert_eq!(log.matches("\"kind\":\"lease.admitted\"").count(), parts.len());
    assert!(!log.contains(THIEF) && !log.contains("titolare"));
    // However much is asked for in vain, the log does not grow with it. The courier ran twice; the first waits for a changed
    // contact are counted as messages.
    let vain =
        ["lease.waiting", "lease.refused"].map(|kind| log.matches(&format!("\"kind\":\"{kind}\"")).count());
    assert!(vain[0] + vain[1] <= 2 * VAIN_HOUR + ALL_HOUR - parts.len(), "{vain:?}");
    assert_eq!(log.matches("\"kind\":\"leases.unwritten\"").count(), 1, "at its end");
    serving.abort();
}
