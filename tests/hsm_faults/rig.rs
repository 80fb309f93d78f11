//! A whole service over memory and a token that fails on demand, one card whose C.I.P. is known, and the count of its
//! tries by the log.

use std::{path::Path, sync::Arc, time::Duration};

use serde_json::Value;
use sigillo::{
    clock::{Clock as _, ManualClock, SystemClock},
    domain::{
        card::Card,
        fictional::{self, FictionalCard},
        template::CodeName,
        tries::Tries,
    },
    hsm::{Hsm, PoolLimits, State, config::Config, pkcs11::Device},
    seal::ContactSealer,
    service::{Error, LineOutcome, Parts, Service, Verdict, Verification},
    store::{Limits, Reader as _, Space, Store, logged_event, memory::Memory},
};

use crate::{
    people::{Client, first, line},
    rules::{BUREAU, DESK, MARCHE, Rules},
    shim::Shim,
    table::Ended,
    world::NOW_MS,
};

/// Verifications of one card, before the next one is taken: well below the guesses of a C.I.P.'s life.
const USES: usize = 15;
const IN_A_ROW: u32 = 5;

/// What outlives a service, the service of the moment, and the card of the moment.
pub(crate) struct Rig {
    pub(crate) config: Config,
    pub(crate) shim: Shim,
    pub(crate) limits: PoolLimits,
    memory: Memory,
    clock: Arc<ManualClock>,
    rules: Rules,
    service: Option<Arc<Service>>,
    made: usize,
    keys: usize,
    card: Option<Held>,
    /// Events that were looked at.
    seen: u64,
}

/// A card with what the log says of its tries.
struct Held {
    card: FictionalCard,
    cip: String,
    id: Vec<u8>,
    uses: usize,
    spent: u32,
    forgiven: u32,
    /// Tries that were granted, by request.
    tickets: Vec<(String, u32)>,
}

/// What a cell's requests were answered.
pub(crate) struct Asked {
    keys: [String; 2],
    wrong: Result<Verification, Error>,
    right: Result<Verification, Error>,
    others: Vec<(&'static str, Option<Error>)>,
}

/// The configuration of a role in the child's directory.
pub(crate) fn config(role: &str) -> Config {
    let mut config = Config::load(Path::new(&format!("{role}.toml"))).unwrap();
    config.workers = 1; // the order of calls is then that of the requests
    config
}

impl Rig {
    pub(crate) fn new() -> Self {
        // Nothing by time: a machine under load would be late.
        let hour = Duration::from_secs(3600);
        Self {
            config: config("authority"),
            shim: Shim::open(Path::new("control")),
            limits: PoolLimits { queue: 512, deadline: hour, probe_every: hour, give_up: hour },
            memory: Memory::new(),
            clock: Arc::new(ManualClock::new(NOW_MS)),
            rules: Rules::new(),
            service: None,
            made: 0,
            keys: 0,
            card: None,
            seen: 0,
        }
    }

    /// With a service, and an operator who may ask.
    pub(crate) async fn serving() -> Self {
        let mut rig = Self::new();
        rig.start().await.unwrap();
        rig.desk().register_operator().await.unwrap();
        rig
    }

    pub(crate) fn service(&self) -> &Arc<Service> {
        self.service.as_ref().unwrap()
    }

    fn desk(&self) -> Client {
        Client::new(self.service(), DESK)
    }

    /// As a process starts; the reason if it does not.
    pub(crate) async fn start(&mut self) -> Result<(), String> {
        self.end().await;
        let device = Device::open(&self.config).map_err(|error| error.to_string())?;
        let audit_key = device.audit_public_key().to_vec();
        let tokens = device.tokens().map_err(|error| error.to_string())?;
        let hsm = Hsm::supervised(tokens, Box::new(device.into_source(&self.config)), self.limits).unwrap();
        let (engine, reader) = self.memory.open().unwrap();
        let contact_key = std::fs::read("courier/contact.pub.pem").unwrap();
        let parts = Parts {
            audit_key,
            clock: Arc::<ManualClock>::clone(&self.clock),
            directory: self.rules.directory(),
            hsm: hsm.clone(),
            log: "test".into(),
            policy: self.rules.load(),
            signing: self.rules.signing,
            sealer: ContactSealer::from_pem(&contact_key).unwrap(),
            store: Store::start(engine, reader, Limits::default()),
            witnesses: Vec::new(),
        };
        match Service::start(parts).await {
            Ok(service) => {
                self.service = Some(Arc::new(service));
                Ok(())
            }
            Err(error) => {
                assert!(hsm.close().await);
                Err(error.to_string())
            }
        }
    }

    /// Ends the service, if there is one.
    pub(crate) async fn end(&mut self) {
        if let Some(service) = self.service.take() {
            service.store().close().await;
            assert!(service.hsm().close().await, "every worker has let go");
        }
    }

    fn produced(&mut self) -> FictionalCard {
        self.made += 1;
        fictional::cards(11, 100_000, &[MARCHE.parse().unwrap()]).nth(self.made).unwrap()
    }

    fn cards(&self) -> Vec<Vec<u8>> {
        let found = self.memory.scan(Space::Card, &[], &[], usize::MAX).unwrap();
        found.into_iter().map(|found| found.key).collect()
    }

    /// An active card with its C.I.P., which is all on paper here; another one after some uses.
    async fn take_card(&mut self) {
        if let Some(held) = self.card.as_mut().filter(|held| held.uses < USES) {
            held.uses += 1;
            return;
        }
        let (card, before) = (self.produced(), self.cards());
        let bureau = Client::new(self.service(), BUREAU);
        assert_eq!(bureau.register(&[line(&card)]).await.unwrap(), [LineOutcome::Registered]);
        let id = self.cards().into_iter().find(|id| !before.contains(id)).unwrap();
        let key = self.key();
        let paper = self.desk().activate(&card, &key).await.unwrap();
        let cip = first(&paper, CodeName::Cip).unwrap().to_owned();
        assert_eq!(cip.len(), 6, "the whole of it");
        self.card = Some(Held { card, cip, id, uses: 1, spent: 0, forgiven: 0, tickets: Vec::new() });
    }

    fn key(&mut self) -> String {
        self.keys += 1;
        format!("key {}", self.keys)
    }

    fn wrong(held: &Held) -> String {
        let mut digits = held.cip.clone().into_bytes();
        digits[5] = if digits[5] == b'9' { b'0' } else { digits[5] + 1 };
        String::from_utf8(digits).unwrap()
    }

    /// A card to ask about is there, and nothing is owed.
    pub(crate) async fn ready(&mut self) {
        self.take_card().await;
        self.service().checkpoint().await.unwrap();
    }

    /// One of everything that a service asks its token: a wrong and a right code, a checkpoint, a new card, an activation.
    pub(crate) async fn ask(&mut self) -> Asked {
        let (desk, keys) = (self.desk(), [self.key(), self.key()]);
        let new = self.produced();
        let held = self.card.as_ref().unwrap();
        let wrong = desk.verify(&held.card, &Self::wrong(held), &keys[0]).await;
        let right = desk.verify(&held.card, &held.cip, &keys[1]).await;
        let mut others = vec![("checkpoint", self.service().checkpoint().await.err())];
        let bureau = Client::new(self.service(), BUREAU);
        let registered = bureau.register(&[line(&new)]).await;
        if registered.is_ok() {
            let key = self.key();
            others.push(("activation", self.desk().activate(&new, &key).await.err()));
        }
        others.push(("registration", registered.err()));
        Asked { keys, wrong, right, others }
    }

    /// What must not be, after [`Rig::ask`].
    pub(crate) fn judge(&mut self, asked: &Asked, what: &str) -> Vec<String> {
        let mut findings = Vec::new();
        match &asked.wrong {
            Ok(answer) if answer.outcome == Verdict::Accepted => {
                findings.push("a wrong code accepted".to_owned())
            }
            Ok(_) | Err(Error::Unavailable(_)) => {}
            Err(error) => findings.push(format!("wrong code: {error:?}")),
        }
        match &asked.right {
            Ok(answer) if answer.outcome == Verdict::Rejected => {
                findings.push("the right code rejected".to_owned())
            }
            Ok(_) | Err(Error::Unavailable(_)) => {}
            Err(error) => findings.push(format!("right code: {error:?}")),
        }
        for (operation, error) in &asked.others {
            match error {
                None | Some(Error::Unavailable(_)) => {}
                Some(error) => findings.push(format!("{operation}: {error:?}")),
            }
        }
        let answered = u32::from(asked.wrong.is_ok()) + u32::from(asked.right.is_ok());
        findings.extend(self.count(answered, 2));
        for finding in &mut findings {
            *finding = format!("{what}: {finding}");
        }
        findings
    }

    /// Reads the new events, and compares what they say of the card's tries with its record. At least so many tries were
    /// granted since the last time, and at most so many.
    fn count(&mut self, least: u32, most: u32) -> Option<String> {
        let from = (self.seen + 1).to_be_bytes();
        let found = self.memory.scan(Space::Event, &[], &from, usize::MAX).unwrap();
        let held = self.card.as_mut().unwrap();
        let before = held.spent;
        for event in found {
            let (_, bytes) = logged_event(&event.record.value).unwrap();
            let event: Value = serde_json::from_slice(bytes).unwrap();
            self.seen = event["seq"].as_u64().unwrap();
            if event["card"] != hex::encode(&held.id) {
                continue;
            }
            let request = event["request"].as_str().unwrap_or_default();
            match (event["kind"].as_str().unwrap(), event["outcome"].as_str().unwrap()) {
                ("verification.spent", _) => {
                    let ticket: u32 = event["ticket"].as_str().unwrap().parse().unwrap();
                    if ticket > 0 {
                        held.spent += 1;
                        held.tickets.push((request.to_owned(), ticket));
                    }
                }
                ("verification.decided", "accepted") => {
                    let (_, ticket) = held.tickets.iter().find(|(of, _)| of == request).unwrap();
                    held.forgiven = held.forgiven.max(*ticket);
                }
                _ => {}
            }
        }
        let key = [b"c".as_slice(), &held.id].concat();
        let record = self.memory.get(Space::Tries, &key).unwrap().unwrap();
        let left = Tries::decode(&record.value).unwrap().left();
        let card = self.memory.get(Space::Card, &held.id).unwrap().unwrap();
        assert!(Card::decode(&card.value).is_some());
        let granted = held.spent - before;
        if !(least..=most).contains(&granted) {
            return Some(format!("{granted} tries granted, where {least} to {most} could be"));
        }
        let expected = IN_A_ROW - (held.spent - held.forgiven);
        (left != expected).then(|| format!("{left} tries left, where the log says {expected}"))
    }

    /// Waits until the token is up; a token that is refused for good needs a new start, as its process would.
    /// How it ended, and how long it took.
    pub(crate) async fn back(&mut self, asked: Option<&Asked>) -> (Ended, Duration) {
        let clock = SystemClock::new();
        let mut ended = match asked {
            Some(Asked { wrong: Ok(_), right: Ok(_), others, .. })
                if others.iter().all(|(_, error)| error.is_none()) =>
            {
                Ended::Served
            }
            Some(_) | None => Ended::Unavailable,
        };
        loop {
            let hsm = self.service().hsm();
            match (hsm.state(), hsm.refuse_if_down()) {
                // A call that fails has the pool look: a token that is lost without a word is seen now.
                (State::Up, Ok(())) if hsm.sign([7; 32]).await.is_ok() => break,
                (_, Err(error)) if error.to_string().contains("until this process is started again") => {
                    let (_, reason) = error
                        .to_string()
                        .split_once("started again: ")
                        .map_or_else(|| panic!("no reason: {error}"), |(a, b)| (a.to_owned(), b.to_owned()));
                    assert!(!reason.is_empty());
                    self.start().await.unwrap();
                    return (Ended::Stopped, clock.uptime());
                }
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
            assert!(clock.uptime() < Duration::from_secs(120), "not back: {:?}", hsm.refuse_if_down());
        }
        if self.service().hsm().recoveries() > 0 {
            ended = Ended::Recovered;
        }
        (ended, clock.uptime())
    }

    /// The fault is gone: what was asked is asked again, and the right code is right, with all tries back.
    pub(crate) async fn serves_again(&mut self, asked: Option<&Asked>, what: &str) -> Vec<String> {
        let mut findings = Vec::new();
        let desk = self.desk();
        let key = self.key();
        let held = self.card.as_ref().unwrap();
        if let Some(asked) = asked {
            let again = desk.verify(&held.card, &Self::wrong(held), &asked.keys[0]).await;
            match (&asked.wrong, &again) {
                (_, Ok(answer)) if answer.outcome == Verdict::Rejected => {}
                (Err(_), Err(Error::OutcomeUnknown)) => {}
                other => findings.push(format!("the wrong code repeated: {other:?}")),
            }
        }
        match desk.verify(&held.card, &held.cip, &key).await {
            Ok(answer) if answer.outcome == Verdict::Accepted => {}
            other => findings.push(format!("the right code afterwards: {other:?}")),
        }
        findings.extend(self.count(1, 2));
        let held = self.card.as_ref().unwrap();
        if held.spent != held.forgiven {
            findings.push("a success did not give the tries back".to_owned());
        }
        if let Err(error) = self.service().checkpoint().await {
            findings.push(format!("checkpoint afterwards: {error:?}"));
        }
        if self.service().unaccounted().sum() > 0 {
            findings
                .push(format!("keys of codes used without an intent: {:?}", self.service().unaccounted()));
        }
        findings.into_iter().map(|finding| format!("{what}: {finding}")).collect()
    }

    /// A pool that has lost its token before waits longer and longer: each cell begins with one that has not.
    pub(crate) async fn renew(&mut self) {
        if self.service().hsm().recoveries() > 0 {
            self.start().await.unwrap();
        }
    }
}
