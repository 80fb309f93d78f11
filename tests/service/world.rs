//! A service over memory, and the people around it.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, OnceLock},
    task::Poll,
    time::Duration,
};

use sigillo::{
    clock::ManualClock,
    domain::{
        audit::Head,
        card::Card,
        encoding,
        fictional::{self, FictionalCard},
        id::CardId,
        tries::Tries,
    },
    hsm::{Hsm, MacKey, PoolLimits, Role, soft::SoftHsm},
    seal::ContactSealer,
    secret::Secret,
    service::{Error, Parts, Service},
    store::{Limits, Reader, Space, Store, logged_event, memory::Memory},
    witness::Witness,
};

use crate::{
    people::Client,
    rules::{AUDITOR, BUREAU, COURIER, DESK, OTHER_DESK, Rules, supervisors},
    watch::{Hands, Ledger},
};

/// A moment in 2026, before any fictional card expires.
pub(crate) const NOW_MS: u64 = 1_780_000_000_000;

/// What outlives a service, and the service of the moment.
pub(crate) struct World {
    pub(crate) memory: Memory,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) rules: Rules,
    pub(crate) token: SoftHsm,
    pub(crate) hands: Arc<Hands>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) service: Arc<Service>,
    pub(crate) bureau: Client,
    pub(crate) desk: Client,
    pub(crate) other_desk: Client,
    pub(crate) post: Client,
    pub(crate) auditor: Client,
    /// Of the next service.
    pub(crate) witnesses: Vec<Arc<dyn Witness>>,
    made: Mutex<usize>,
}

/// The courier's token: one for all tests, since its RSA key takes its time.
pub(crate) fn courier_token() -> &'static SoftHsm {
    static TOKEN: OnceLock<SoftHsm> = OnceLock::new();
    TOKEN.get_or_init(|| SoftHsm::new(Role::Courier).unwrap())
}

/// A MAC past every watch and fault: the keys of software tokens are the same in all of them.
pub(crate) fn mac(role: Role, key: MacKey, message: &[u8]) -> Secret<32> {
    static AUTHORITY: OnceLock<SoftHsm> = OnceLock::new();
    let token = match role {
        Role::Authority => AUTHORITY.get_or_init(|| SoftHsm::new(Role::Authority).unwrap()),
        Role::Courier => courier_token(),
    };
    token.tokens(1).remove(0).mac(key, message).unwrap()
}

/// What a new process finds.
fn parts(
    memory: &Memory,
    clock: &Arc<ManualClock>,
    rules: &Rules,
    token: &SoftHsm,
    (hands, ledger): (&Arc<Hands>, &Arc<Ledger>),
    witnesses: &[Arc<dyn Witness>],
) -> Parts {
    // No probe by time: a machine under load would be late with one, and the pool would refuse.
    let hour = Duration::from_secs(3600);
    let pool = PoolLimits { queue: 512, deadline: hour, probe_every: hour, give_up: hour };
    let (engine, reader) = ledger.watch(memory.open().unwrap());
    Parts {
        audit_key: token.audit_public_key().to_vec(),
        clock: Arc::<ManualClock>::clone(clock),
        directory: rules.directory(),
        hsm: Hsm::start(hands.watch(token.tokens(1)), pool).unwrap(),
        log: "test".into(),
        policy: rules.load(),
        signing: rules.signing,
        sealer: ContactSealer::from_pem(courier_token().contact_public_pem().unwrap().as_bytes()).unwrap(),
        store: Store::start(engine, reader, Limits::default()),
        witnesses: witnesses.to_vec(),
    }
}

/// What a new process does with what outlives it.
async fn serve(
    memory: &Memory,
    clock: &Arc<ManualClock>,
    rules: &Rules,
    token: &SoftHsm,
    watches: (&Arc<Hands>, &Arc<Ledger>),
    witnesses: &[Arc<dyn Witness>],
) -> Result<Service, Error> {
    Service::start(parts(memory, clock, rules, token, watches, witnesses)).await
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::over(Memory::new(), Rules::new()).await
    }

    pub(crate) async fn over(memory: Memory, rules: Rules) -> Self {
        let clock = Arc::new(ManualClock::new(NOW_MS));
        let token = SoftHsm::new(Role::Authority).unwrap();
        let (hands, ledger): (Arc<Hands>, Arc<Ledger>) = (Arc::default(), Arc::default());
        let service = Arc::new(serve(&memory, &clock, &rules, &token, (&hands, &ledger), &[]).await.unwrap());
        let client = |print| Client::new(&service, print);
        let desk = client(DESK);
        if memory.last(Space::OperatorCard).unwrap().is_none() {
            desk.register_operator().await.unwrap();
        }
        hands.clear();
        ledger.clear();
        Self {
            bureau: client(BUREAU),
            desk,
            other_desk: client(OTHER_DESK),
            post: client(COURIER),
            auditor: client(AUDITOR),
            made: Mutex::new(0),
            memory,
            clock,
            rules,
            token,
            hands,
            ledger,
            service,
            witnesses: Vec::new(),
        }
    }

    /// Ends the service and tries to start another over the same store.
    pub(crate) async fn try_restart(&mut self) -> Result<(), Error> {
        self.service.store().close().await;
        self.service.hsm().close().await;
        self.hands.clear();
        let watches = (&self.hands, &self.ledger);
        let service =
            serve(&self.memory, &self.clock, &self.rules, &self.token, watches, &self.witnesses).await?;
        self.service = Arc::new(service);
        let clients = [&mut self.bureau, &mut self.desk, &mut self.other_desk, &mut self.post];
        for client in clients.into_iter().chain([&mut self.auditor]) {
            client.moves_to(&self.service);
        }
        Ok(())
    }

    /// Ends the service; answers what the next process finds.
    pub(crate) async fn parts(&self) -> Parts {
        self.service.store().close().await;
        self.service.hsm().close().await;
        self.hands.clear();
        parts(
            &self.memory,
            &self.clock,
            &self.rules,
            &self.token,
            (&self.hands, &self.ledger),
            &self.witnesses,
        )
    }

    pub(crate) async fn restart(&mut self) {
        self.try_restart().await.unwrap();
    }

    pub(crate) fn advance_ms(&self, ms: u64) {
        self.clock.advance(Duration::from_millis(ms));
    }

    /// A supervisor at the desk, who holds no card.
    pub(crate) async fn supervisor(&self) -> Client {
        self.desk.used_by(&supervisors()[0]).await
    }

    /// A card that was never seen before, not registered.
    pub(crate) fn produced(&self, region: &str) -> FictionalCard {
        let mut made = self.made.lock().unwrap();
        *made += 1;
        fictional::cards(11, 1000, &[region.parse().unwrap()]).nth(*made).unwrap()
    }

    /// The record of a card.
    pub(crate) fn card(&self, card: &FictionalCard) -> Card {
        let record = self.memory.get(Space::Card, self.id(card).unwrap().bytes()).unwrap().unwrap();
        Card::decode(&record.value).unwrap()
    }

    /// The id of a card, if it is registered.
    pub(crate) fn id(&self, card: &FictionalCard) -> Option<CardId> {
        let message = encoding::domain("team", &[card.team_number.as_str().as_bytes()]).unwrap();
        let key = mac(Role::Authority, MacKey::Index, message.expose());
        let found = self.memory.get(Space::TeamCard, &key.expose()[..16]).unwrap()?;
        Some(CardId::new(found.value.as_slice().try_into().unwrap()))
    }

    /// The counters of a card.
    pub(crate) fn tries(&self, card: &FictionalCard) -> Tries {
        let key = [b"c".as_slice(), self.id(card).unwrap().bytes()].concat();
        Tries::decode(&self.memory.get(Space::Tries, &key).unwrap().unwrap().value).unwrap()
    }

    /// Every stored record of a space, by key.
    pub(crate) fn all(&self, space: Space) -> Vec<(Vec<u8>, Vec<u8>)> {
        let found = self.memory.scan(space, &[], &[], usize::MAX).unwrap();
        found.into_iter().map(|f| (f.key, f.record.value)).collect()
    }

    /// The whole log, proved link by link.
    pub(crate) fn events(&self) -> Vec<serde_json::Value> {
        let mut head = Head::EMPTY;
        let mut events = Vec::new();
        for (key, value) in self.all(Space::Event) {
            let (hash, bytes) = logged_event(&value).unwrap();
            head = head.next(bytes).unwrap();
            assert_eq!((key.as_slice(), *hash), (head.seq.to_be_bytes().as_slice(), head.hash));
            events.push(serde_json::from_slice(bytes).unwrap());
        }
        events
    }

    /// The events of one kind, as `outcome` or `outcome: reason`.
    pub(crate) fn log_of(&self, kind: &str) -> Vec<String> {
        let of_kind = self.events().into_iter().filter(|event| event["kind"] == kind);
        let text = |event: serde_json::Value| {
            let outcome = event["outcome"].as_str().unwrap().to_owned();
            match event["reason"].as_str() {
                Some(reason) => format!("{outcome}: {reason}"),
                None => outcome,
            }
        };
        of_kind.map(text).collect()
    }

    /// Polls `future` until a commit of it waits at the gate of the store. It goes no further by itself.
    pub(crate) async fn until_held<F: Future>(&self, mut future: Pin<&mut F>) {
        self.memory.hold();
        let before = self.ledger.entered();
        while self.ledger.entered() == before {
            let ended = std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_ready())).await;
            assert!(!ended, "ended without a commit");
            tokio::task::yield_now().await;
        }
    }

    /// Polls `future` until its look-up is charged and a later commit of it waits at the gate.
    pub(crate) async fn until_held_after_charge<F: Future>(&self, mut future: Pin<&mut F>) {
        self.until_held(future.as_mut()).await;
        self.release().await;
        self.until_held(future).await;
    }

    /// Opens the gate and waits until the commit at it is over.
    pub(crate) async fn release(&self) {
        self.memory.release();
        while self.ledger.is_busy() {
            tokio::task::yield_now().await;
        }
    }
}
