//! An authority and a gateway that do as told and write down what they are asked, in one list.

use std::{
    collections::VecDeque,
    fs,
    path::Path,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use sigillo::{
    api::courier::{Lease, LeasedCode, Leases, Report, ReportStatus},
    clock::Clock,
    courier::{
        Authority, AuthorityError, Courier, Gateway, Limits, Mail, Outcome, Setback,
        judge::{Judge, Policy},
        message::Messages,
    },
    domain::{
        audit::Head,
        checkpoint::{self, Claim},
        contact::{Channel, Contact},
        derive::{digits, part_message},
        id::{CardId, DeliveryId, LeaseId},
        template::{CodeName, Part},
    },
    hsm::{Hsm, MacKey, PoolLimits, Role, soft::SoftHsm},
    seal::ContactSealer,
    store::{self, Store, memory::Memory},
};

pub(crate) const CARD: CardId = CardId::new([1; 16]);
pub(crate) const NOW_MS: u64 = 1_800_000_000_000;
pub(crate) const SALT: [u8; 32] = [9; 32];
pub(crate) const LIMITS: Limits =
    Limits { margin: Duration::from_secs(12), report_tries: 3, report_pause: Duration::from_millis(1) };

/// The authority's token, for its checkpoints.
pub(crate) fn authority_token() -> &'static SoftHsm {
    static TOKEN: OnceLock<SoftHsm> = OnceLock::new();
    TOKEN.get_or_init(|| SoftHsm::new(Role::Authority).unwrap())
}

/// A checkpoint that the authority signs, of event `seq` with a hash of this byte, after so many recoveries.
pub(crate) fn shown(seq: u64, hash: u8, recoveries: u64) -> String {
    signed_by(authority_token(), seq, hash, recoveries)
}

/// As [`shown`], under the audit key of another token.
pub(crate) fn signed_by(token: &SoftHsm, seq: u64, hash: u8, recoveries: u64) -> String {
    let head = Head { seq, hash: [hash; 32] };
    let claim = Claim { log: "demo", head, policy: "aa", sequence: 1, recoveries, at_ms: NOW_MS };
    let text = checkpoint::text(&claim);
    checkpoint::signed(&text, &token.tokens(1).remove(0).sign(&checkpoint::digest(&text)).unwrap())
}

/// What was asked, in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    Reported { lease: LeaseId, status: ReportStatus, tag: Option<(u32, String)>, reason: Option<String> },
    Sent { delivery: DeliveryId, to: String, subject: String, body: String },
}

impl Event {
    /// `prepared`, `sent`, and so on; `send` for the message itself.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Reported { status, .. } => format!("{status:?}").to_lowercase(),
            Self::Sent { .. } => "send".to_owned(),
        }
    }
}

/// Wall and monotonic time that move apart when told.
#[derive(Default)]
pub(crate) struct TestClock {
    wall_ms: Mutex<u64>,
    uptime: Mutex<Duration>,
}

impl TestClock {
    pub(crate) fn pass(&self, ms: u64) {
        *self.wall_ms.lock().unwrap() += ms;
        *self.uptime.lock().unwrap() += Duration::from_millis(ms);
    }

    pub(crate) fn set_wall(&self, ms: u64) {
        *self.wall_ms.lock().unwrap() = ms;
    }
}

impl Clock for TestClock {
    fn now_ms(&self) -> u64 {
        *self.wall_ms.lock().unwrap()
    }

    fn uptime(&self) -> Duration {
        *self.uptime.lock().unwrap()
    }
}

type Queue<T> = Arc<Mutex<VecDeque<T>>>;
type Hook = Box<dyn Fn(&Event) + Send + Sync>;

/// Both fakes share it.
#[derive(Clone)]
pub(crate) struct Script {
    pub(crate) clock: Arc<TestClock>,
    events: Arc<Mutex<Vec<Event>>>,
    leases: Queue<Result<Vec<Lease>, AuthorityError>>,
    /// What the authority shows with each lease.
    checkpoint: Arc<Mutex<String>>,
    /// What it was shown with each lease.
    presented: Arc<Mutex<Vec<Option<String>>>>,
    reports: Queue<Result<(), AuthorityError>>,
    sends: Queue<Result<(), Setback>>,
    hook: Arc<Mutex<Hook>>,
}

impl Script {
    fn new() -> Self {
        let clock = TestClock::default();
        clock.set_wall(NOW_MS);
        Self {
            clock: Arc::new(clock),
            events: Arc::default(),
            leases: Arc::default(),
            checkpoint: Arc::new(Mutex::new(shown(1, 1, 0))),
            presented: Arc::default(),
            reports: Arc::default(),
            sends: Arc::default(),
            hook: Arc::new(Mutex::new(Box::new(|_| {}))),
        }
    }

    /// The next answers to leases; nothing is due after them.
    pub(crate) fn lease(&self, answer: Result<Vec<Lease>, AuthorityError>) {
        self.leases.lock().unwrap().push_back(answer);
    }

    /// What the authority shows from now on.
    pub(crate) fn shows(&self, checkpoint: String) {
        *self.checkpoint.lock().unwrap() = checkpoint;
    }

    /// What the courier has presented so far.
    pub(crate) fn presented(&self) -> Vec<Option<String>> {
        self.presented.lock().unwrap().clone()
    }

    /// The next answers to reports; `Ok` after them.
    pub(crate) fn report(&self, answers: impl IntoIterator<Item = Result<(), AuthorityError>>) {
        self.reports.lock().unwrap().extend(answers);
    }

    /// The next answers to messages; `Ok` after them.
    pub(crate) fn send(&self, answers: impl IntoIterator<Item = Result<(), Setback>>) {
        self.sends.lock().unwrap().extend(answers);
    }

    /// Runs at each event, before it is answered.
    pub(crate) fn at(&self, hook: impl Fn(&Event) + Send + Sync + 'static) {
        *self.hook.lock().unwrap() = Box::new(hook);
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.events().iter().map(Event::name).collect()
    }

    /// Another handle of the authority.
    pub(crate) fn authority(&self) -> FakeAuthority {
        FakeAuthority(self.clone())
    }

    fn note(&self, event: Event) {
        (self.hook.lock().unwrap())(&event);
        self.events.lock().unwrap().push(event);
    }
}

pub(crate) struct FakeAuthority(Script);

impl Authority for FakeAuthority {
    async fn lease(&self, limit: usize, kept: Option<String>) -> Result<Leases, AuthorityError> {
        self.0.presented.lock().unwrap().push(kept);
        let next = self.0.leases.lock().unwrap().pop_front();
        let leases = next.unwrap_or_else(|| Ok(Vec::new()))?;
        assert!(leases.len() <= limit);
        Ok(Leases { leases, checkpoint: self.0.checkpoint.lock().unwrap().clone() })
    }

    async fn report(&self, lease: &LeaseId, report: &Report) -> Result<(), AuthorityError> {
        let tag = report.generation.zip(report.second_part_tag.clone());
        assert_eq!(report.generation.is_some(), report.second_part_tag.is_some());
        let reason = report.reason.clone();
        self.0.note(Event::Reported { lease: *lease, status: report.status, tag, reason });
        self.0.reports.lock().unwrap().pop_front().unwrap_or(Ok(()))
    }
}

pub(crate) struct RecordingGateway(Script);

impl Gateway for RecordingGateway {
    async fn send(&self, mail: &Mail<'_>) -> Result<(), Setback> {
        self.0.note(Event::Sent {
            delivery: mail.delivery,
            to: mail.to.expose().to_owned(),
            subject: mail.text.subject().to_owned(),
            body: mail.text.expose().to_owned(),
        });
        self.0.sends.lock().unwrap().pop_front().unwrap_or(Ok(()))
    }
}

/// A courier on a software token.
pub(crate) struct World<G> {
    pub(crate) script: Script,
    pub(crate) soft: SoftHsm,
    pub(crate) hsm: Hsm,
    pub(crate) courier: Courier<FakeAuthority, G>,
    /// The courier's own store, as a disk would have it.
    pub(crate) memory: Memory,
    sealer: ContactSealer,
}

/// With the shipped texts and a gateway that records.
pub(crate) fn world() -> World<RecordingGateway> {
    world_under(&WIDE)
}

/// As [`world`], with a template `IT-PROVA/1` that forbids these second parts of a PIN.
pub(crate) fn world_forbidding(parts: &[String]) -> World<RecordingGateway> {
    world_of_policy(policy(&WIDE, parts))
}

/// As [`world`], with these changes to the shipped policy of the courier.
pub(crate) fn world_under(changes: &[(&str, &str)]) -> World<RecordingGateway> {
    world_of_policy(policy(changes, &[]))
}

fn world_of_policy(policy: Policy) -> World<RecordingGateway> {
    let script = Script::new();
    let clock = Arc::clone(&script.clock);
    let soft = SoftHsm::new(Role::Courier).unwrap();
    world_with(script.clone(), RecordingGateway(script), clock, policy, soft, Memory::new())
}

/// What a restart of the courier would find, under the shipped policy with these changes.
pub(crate) fn restarted(w: &World<RecordingGateway>, changes: &[(&str, &str)]) -> World<RecordingGateway> {
    let (script, clock) = (w.script.clone(), Arc::clone(&w.script.clock));
    let gateway = RecordingGateway(script.clone());
    world_with(script, gateway, clock, policy(changes, &[]), w.soft.clone(), w.memory.clone())
}

/// As [`restarted`], with another file of the authority's audit keys.
pub(crate) fn told_of_keys(w: &World<RecordingGateway>, authority: &[&SoftHsm]) -> World<RecordingGateway> {
    let (script, clock) = (w.script.clone(), Arc::clone(&w.script.clock));
    let (gateway, outlives) = (RecordingGateway(script.clone()), (w.soft.clone(), w.memory.clone()));
    world_knowing(script, gateway, clock, policy(&[], &[]), outlives, authority)
}

/// No limit that a test of something else could meet.
const WIDE: [(&str, &str); 2] =
    [("hour = 3\nday = 6", "hour = 1000\nday = 1000"), ("hour = 6\nday = 12", "hour = 1000\nday = 1000")];

/// The shipped policy of the courier with changes, and with the template `IT-PROVA/1` beside the shipped ones.
fn policy(changes: &[(&str, &str)], forbidden: &[String]) -> Policy {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("templates")).unwrap();
    for entry in fs::read_dir(shipped.join("templates")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), dir.path().join("templates").join(entry.file_name())).unwrap();
    }
    let prova = PROVA.replace("[]", &format!("{forbidden:?}"));
    fs::write(dir.path().join("templates/prova.toml"), prova).unwrap();
    let mut text = fs::read_to_string(shipped.join("courier/policy.toml")).unwrap();
    for (from, to) in [("../templates", "templates")].iter().chain(changes) {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    fs::write(dir.path().join("policy.toml"), text).unwrap();
    Policy::load(&dir.path().join("policy.toml")).unwrap()
}

/// A template that forbids second parts of a PIN.
const PROVA: &str = r#"id = "IT-PROVA/1"

[pin]
first = 2
second = 3
forbidden_second = []

[puk]
first = 2
second = 6

[tries]
in_a_row = 5
lifetime = 100
"#;

/// With the shipped texts and another gateway.
pub(crate) fn world_of<G: Gateway>(gateway: G, clock: Arc<dyn Clock>) -> World<G> {
    let soft = SoftHsm::new(Role::Courier).unwrap();
    world_with(Script::new(), gateway, clock, policy(&WIDE, &[]), soft, Memory::new())
}

fn world_with<G: Gateway>(
    script: Script,
    gateway: G,
    clock: Arc<dyn Clock>,
    policy: Policy,
    soft: SoftHsm,
    memory: Memory,
) -> World<G> {
    world_knowing(script, gateway, clock, policy, (soft, memory), &[authority_token()])
}

/// As [`world_with`], with the audit keys of these tokens as the authority's, the newest first.
fn world_knowing<G: Gateway>(
    script: Script,
    gateway: G,
    clock: Arc<dyn Clock>,
    policy: Policy,
    (soft, memory): (SoftHsm, Memory),
    authority: &[&SoftHsm],
) -> World<G> {
    let keys = authority.iter().map(|token| token.audit_public_key().to_vec()).collect();
    let pool = PoolLimits {
        queue: 8,
        deadline: Duration::from_secs(60),
        probe_every: Duration::from_millis(20),
        give_up: Duration::from_secs(3600),
    };
    let hsm = Hsm::supervised(soft.tokens(1), soft.source(1), pool).unwrap();
    let sealer = ContactSealer::from_pem(soft.contact_public_pem().unwrap().as_bytes()).unwrap();
    let texts = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/courier/messages");
    let messages = Messages::load(&texts).unwrap();
    let authority = FakeAuthority(script.clone());
    let (engine, reader) = memory.open().unwrap();
    let store = Store::start(engine, reader, store::Limits::default());
    let judge = Judge::new(store, hsm.clone(), policy, keys, Arc::clone(&clock));
    let courier = Courier::new(authority, gateway, hsm.clone(), messages, judge, clock, LIMITS);
    World { script, soft, hsm, courier, memory, sealer }
}

impl<G: Gateway> World<G> {
    /// An activation with PIN, PUK and C.I.P. of a card of this number ([`CARD`] is the first), held for a minute from [`NOW_MS`].
    pub(crate) fn lease(&self, number: u8, to: &str) -> Lease {
        let (card, delivery) = (CardId::new([number; 16]), DeliveryId::new([number; 16]));
        Lease {
            lease: LeaseId::new([number.wrapping_add(100); 16]),
            delivery,
            card,
            until_ms: NOW_MS + 60_000,
            attempt: 1,
            message: "activation".to_owned(),
            control: "246810".to_owned(),
            template: "IT/1".to_owned(),
            salt: hex::encode(SALT),
            codes: vec![code("PIN", 1, 3), code("PUK", 2, 6), code("CIP", 3, 4)],
            contact: self.sealed(card, delivery, to),
        }
    }

    /// A contact as the authority seals it.
    pub(crate) fn sealed(&self, card: CardId, delivery: DeliveryId, to: &str) -> String {
        let channel = if to.starts_with('+') { Channel::Sms } else { Channel::Email };
        let contact = Contact::parse(channel, to).unwrap();
        hex::encode(self.sealer.seal(&card, &delivery, &contact).unwrap())
    }

    /// As [`World::lease`], for another card.
    pub(crate) fn lease_for(&self, card: CardId, number: u8, to: &str) -> Lease {
        let lease = self.lease(number, to);
        Lease { card, contact: self.sealed(card, lease.delivery, to), ..lease }
    }

    pub(crate) async fn deliver(&self, lease: &Lease) -> Outcome {
        self.courier.deliver(lease, self.courier.moment()).await
    }

    /// A second part of [`CARD`], derived without the courier.
    pub(crate) async fn part(&self, code: CodeName, generation: u32, count: u8, counter: u32) -> String {
        self.part_of("IT/1", code, generation, count, counter).await
    }

    /// As [`World::part`], under another template.
    pub(crate) async fn part_of(
        &self,
        template: &str,
        code: CodeName,
        generation: u32,
        count: u8,
        counter: u32,
    ) -> String {
        let template = template.parse().unwrap();
        let message = part_message(Part::Second, code, &CARD, generation, &SALT, &template, counter);
        let mac = self.hsm.mac(MacKey::Deliver, message).await.unwrap();
        digits(&mac, count).unwrap().expose().to_owned()
    }
}

pub(crate) fn code(code: &str, generation: u32, digits: u8) -> LeasedCode {
    LeasedCode { code: code.to_owned(), generation, digits, forbidden: Vec::new() }
}
