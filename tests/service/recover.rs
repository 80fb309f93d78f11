//! Officers bring an older store back: no guess is given back, no card is alive again, whatever breaks off (I13).

use std::collections::BTreeMap;

use sigillo::{
    domain::{
        audit::Head,
        card::{Reason, Refusal, State},
        checkpoint::{Broken, Checkpoint, Verified, verify_export},
        fictional::FictionalCard,
        id::CardId,
        recovery::{BadEvidence, Effect, Gap, Order, Told},
    },
    hsm::Place,
    service::{Error, Recovered, Service, Standing, Verdict},
    store::memory::{Fault, Memory},
};

use crate::{
    people::line,
    post::Citizen,
    rules::LAZIO,
    world::{NOW_MS, World},
};

pub(crate) const OFFICERS: [&str; 2] = ["officer-1", "officer-3"];

/// A store of yesterday under the token of today, and what an auditor kept.
struct Lost {
    w: World,
    guessed: Citizen,
    stolen: Citizen,
    untouched: Citizen,
    /// Registered yesterday, activated in the gap.
    late: FictionalCard,
    /// Registered in the gap.
    new: FictionalCard,
    export: String,
    witness: String,
    /// The store of today.
    today: Memory,
}

async fn lost() -> Lost {
    let mut w = World::new().await;
    let (guessed, stolen, untouched) =
        (w.citizen(LAZIO).await, w.citizen(LAZIO).await, w.citizen(LAZIO).await);
    let (late, new) = (w.produced(LAZIO), w.produced(LAZIO));
    w.bureau.register(&[line(&late)]).await.unwrap();
    w.service.checkpoint().await.unwrap();
    let yesterday = w.memory.copy();

    for n in 0..3 {
        w.desk.verify(&guessed.card, "00000000", &format!("g{n}")).await.unwrap();
    }
    let proof = w.desk.verify(&stolen.card, &stolen.cip, "s").await.unwrap();
    w.desk.revoke_because(&stolen.card, proof.verification, "r", Reason::Stolen).await.unwrap();
    w.desk.activate(&late, "late").await.unwrap();
    w.bureau.register(&[line(&new)]).await.unwrap();
    let (witness, _) = w.service.checkpoint().await.unwrap();
    let export = export(&w).await;
    w.service.store().close().await;
    let today = std::mem::replace(&mut w.memory, yesterday);
    let refused = w.try_restart().await.unwrap_err();
    assert!(matches!(refused, Error::GoneBack(_)), "{refused}");
    Lost { w, guessed, stolen, untouched, late, new, export, witness, today }
}

pub(crate) async fn export(w: &World) -> String {
    let (checkpoint, _) = w.service.checkpoint().await.unwrap();
    let events = w.service.events(&w.auditor.call("", ""), 0, 10_000).unwrap();
    let lines = events.iter().map(|event| serde_json::to_string(event).unwrap() + "\n");
    lines.chain([serde_json::json!({ "checkpoint": checkpoint }).to_string() + "\n"]).collect()
}

fn verify(w: &World, export: &str, witness: &str) -> Result<Verified, Broken> {
    let key = w.token.audit_public_key();
    verify_export(export.as_bytes(), key, &[witness.to_owned()], |_, _| ())
}

/// What an export tells of the gap.
pub(crate) fn told(w: &World, export: &str, standing: &Standing) -> Result<Told, BadEvidence> {
    let mut gap = Gap::after(standing.store, standing.known.as_ref().unwrap().head);
    let key = w.token.audit_public_key();
    verify_export(export.as_bytes(), key, &[], |head, event| gap.take(head, event)).unwrap();
    gap.told()
}

/// What `sigillo recover plan` writes.
pub(crate) fn order(w: &World, service: &Service, standing: &Standing, told: Option<&Told>) -> Order {
    let known = standing.known.as_ref().unwrap();
    Order {
        log: "test".into(),
        store: standing.store,
        known: known.head,
        recoveries: known.recoveries,
        evidence: told.map(|_| [1; 32]),
        effect: service.foresee(standing, told).unwrap().effect(),
        policy: w.service.policy().digest().to_string(),
        nonce: [4; 16],
        at_ms: NOW_MS,
    }
}

impl Lost {
    fn gap(&self, standing: &Standing) -> Result<Told, BadEvidence> {
        told(&self.w, &self.export, standing)
    }

    fn order(&self, service: &Service, standing: &Standing, with_evidence: bool) -> Order {
        let told = with_evidence.then(|| self.gap(standing).unwrap());
        order(&self.w, service, standing, told.as_ref())
    }

    async fn open(&self) -> (Service, Standing) {
        let parts = self.w.parts().await;
        Service::for_recovery(parts, &[]).await.unwrap()
    }

    /// One attempt of `sigillo recover apply`.
    async fn apply(&self, order: &Order, with_evidence: bool) -> Result<Recovered, Error> {
        let (service, standing) = self.open().await;
        let cards = with_evidence.then(|| {
            let from = Standing { store: order.store, ..standing.clone() };
            self.gap(&from).unwrap()
        });
        let done = service.recover(order, &standing, &OFFICERS, cards.as_ref(), |_| ()).await;
        service.store().close().await;
        service.hsm().close().await;
        done
    }

    async fn recovered(&mut self, with_evidence: bool) -> Recovered {
        let (service, standing) = self.open().await;
        let order = self.order(&service, &standing, with_evidence);
        drop(service);
        let report = self.apply(&order, with_evidence).await.unwrap();
        assert_eq!(report.effect(), order.effect);
        self.w.restart().await;
        if !with_evidence {
            // Nobody acts before.
            self.w.desk.register_operator().await.unwrap();
        }
        report
    }

    /// What a recovery with evidence must come to.
    async fn check_with_evidence(&self) {
        let w = &self.w;
        assert_eq!((w.tries(&self.guessed.card).left(), w.tries(&self.guessed.card).wrong()), (0, 5));
        let right = w.desk.verify(&self.guessed.card, &self.guessed.cip, "right").await.unwrap();
        assert_eq!(right.outcome, Verdict::Rejected);
        assert_eq!(w.desk.look_up(&self.guessed.card).await.unwrap().state, "active");
        let State::Revoked { reason, .. } = w.card(&self.stolen.card).state() else {
            panic!("revoked again")
        };
        assert_eq!(reason, Reason::Stolen);
        let refused = w.desk.reprint(&self.stolen.card, "alive?").await.unwrap_err();
        assert!(matches!(refused, Error::Refused(Refusal::CardRevoked)), "{refused}");
        // Handed out once: not again as if it were new.
        let again = w.desk.activate(&self.late, "again").await.unwrap_err();
        assert!(matches!(again, Error::Refused(Refusal::CardAlreadyActive)), "{again}");
        let none = w.desk.verify(&self.late, "00000000", "none").await.unwrap();
        assert_eq!((none.outcome, w.tries(&self.late).left()), (Verdict::Rejected, 0));
        w.desk.reprint(&self.late, "paper").await.unwrap();
        assert!(matches!(w.desk.look_up(&self.new).await, Err(Error::NotFound(_))));
        // And nobody else is touched.
        let untouched = w.desk.verify(&self.untouched.card, &self.untouched.cip, "u").await.unwrap();
        assert_eq!(untouched.outcome, Verdict::Accepted);
    }
}

#[tokio::test]
async fn with_evidence_exactly_the_cards_of_the_gap_are_changed() {
    let mut lost = lost().await;
    let (guessed, stolen, late) = (&lost.guessed.card, &lost.stolen.card, &lost.late);
    let [stolen, late, guessed] = [stolen, late, guessed].map(|card| lost.w.id(card).unwrap());
    let report = lost.recovered(true).await;
    let (revoked, activated) = (vec![stolen], vec![late]);
    assert_eq!((report.locked, report.held), (3, 0));
    assert_eq!((&report.revoked, &report.activated, report.lost.len()), (&revoked, &activated, 1));
    lost.check_with_evidence().await;

    let events = lost.w.events();
    let of = |kind: &str| events.iter().filter(|event| event["kind"] == kind).collect::<Vec<_>>();
    let [recovered] = &of("store.recovered")[..] else { panic!("one event") };
    assert_eq!(recovered["officers"], "officer-1,officer-3");
    assert_eq!((&recovered["recoveries"], &recovered["locked"]), (&"1".into(), &"3".into()));
    let changes: BTreeMap<_, _> =
        of("card.recovered").iter().map(|e| (e["card"].to_string(), e["changes"].to_string())).collect();
    let text = |id: CardId| format!("\"{id}\"");
    assert_eq!(changes[&text(guessed)], "\"locked\"");
    assert_eq!(changes[&text(late)], "\"activated,locked\"");
    assert_eq!(changes[&text(stolen)], "\"revoked,locked\"");
}

#[tokio::test]
async fn without_evidence_every_card_is_held_until_it_is_replaced() {
    let mut lost = lost().await;
    let report = lost.recovered(false).await;
    assert_eq!((report.locked, report.held), (4, 4));
    lost.all_are_held("after").await;
    let w = &lost.w;
    assert_eq!(w.log_of("verification.decided").iter().filter(|o| *o == "accepted").count(), 0);
}

impl Lost {
    /// Puts a copy in the place of the store, which an auditor has exported; it is refused.
    async fn goes_back_to(&mut self, copy: &Memory) {
        self.export = export(&self.w).await;
        self.w.service.store().close().await;
        self.w.memory = copy.copy();
        let refused = self.w.try_restart().await.unwrap_err();
        assert!(matches!(refused, Error::GoneBack(_)), "{refused}");
    }

    /// Nobody can do anything with the cards that a recovery held, in whatever state they were.
    async fn all_are_held(&self, turn: &str) {
        let w = &self.w;
        for (n, card) in
            [&self.guessed.card, &self.stolen.card, &self.untouched.card, &self.late].into_iter().enumerate()
        {
            let view = w.desk.look_up(card).await.unwrap();
            assert_eq!((view.state, w.tries(card).left()), ("held", 0), "{turn} {n}");
            for refused in [
                w.desk.activate(card, &format!("{turn} a{n}")).await.unwrap_err(),
                w.desk.reprint(card, &format!("{turn} p{n}")).await.unwrap_err(),
            ] {
                assert!(matches!(refused, Error::Refused(Refusal::CardHeld)), "{turn} {n}: {refused}");
            }
        }
        for (n, who) in [&self.guessed, &self.stolen, &self.untouched].into_iter().enumerate() {
            let right = w.desk.verify(&who.card, &who.cip, &format!("{turn} v{n}")).await.unwrap();
            assert_eq!(right.outcome, Verdict::Rejected, "{turn} {n}");
        }
    }
}

/// The same backup is all that there is when the store is lost a second time: what the first recovery took away is told by
/// its log, and stays away.
#[tokio::test]
async fn a_second_recovery_from_the_same_copy_gives_nothing_back() {
    for with_evidence in [false, true] {
        let mut lost = lost().await;
        let yesterday = lost.w.memory.copy();
        lost.recovered(with_evidence).await;
        lost.goes_back_to(&yesterday).await;
        let report = lost.recovered(true).await;
        let events = lost.w.events();
        let [second] = &events.iter().filter(|e| e["kind"] == "store.recovered").collect::<Vec<_>>()[..]
        else {
            panic!("the first one was in the store that is lost")
        };
        assert_eq!(second["recoveries"], "2");
        if with_evidence {
            assert_eq!((report.locked, report.revoked.len(), report.activated.len()), (3, 1, 1));
            lost.check_with_evidence().await;
        } else {
            assert_eq!((report.locked, report.activated.len()), (4, 0));
            lost.all_are_held("second").await;
        }
    }
}

/// The copy is of after the first recovery: its cards are held in it, and nothing that happened since opens them.
#[tokio::test]
async fn a_card_that_is_held_stays_held_in_a_second_recovery() {
    for with_evidence in [false, true] {
        let mut lost = lost().await;
        lost.recovered(false).await;
        let held = lost.w.memory.copy();
        lost.all_are_held("between").await;
        let spent = lost.w.tries(&lost.guessed.card).wrong();
        lost.goes_back_to(&held).await;
        let before = lost.w.log_of("card.recovered").len();
        let report = lost.recovered(with_evidence).await;
        assert_eq!((report.locked, report.activated.len(), report.revoked.len()), (4, 0, 0));
        assert_eq!(lost.w.log_of("card.recovered").len(), before, "there was nothing to change");
        assert!(lost.w.tries(&lost.guessed.card).wrong() >= spent);
        lost.all_are_held("after").await;
        assert_eq!(lost.w.log_of("store.recovered").len(), 2);
    }
}

/// Whatever commit of it breaks off, and however: the store stays refused, and the same order comes to the same end.
#[tokio::test]
async fn a_recovery_that_breaks_off_is_run_again() {
    let mut broken = 0;
    for fault in [Fault::NotWritten, Fault::UnknownKept, Fault::UnknownLost] {
        for nth in 1.. {
            let mut lost = lost().await;
            let (service, standing) = lost.open().await;
            let order = lost.order(&service, &standing, true);
            drop(service);
            lost.w.memory.fail(nth, fault);
            if lost.apply(&order, true).await.is_ok() {
                lost.w.memory.fail(0, fault);
                break;
            }
            broken += 1;
            // The checkpoint in the token is the last step of all.
            let refused = lost.w.try_restart().await.map(drop).unwrap_err();
            assert!(matches!(refused, Error::GoneBack(_)), "{fault:?} {nth}: {refused}");
            lost.apply(&order, true).await.unwrap();
            lost.w.restart().await;
            lost.check_with_evidence().await;
            assert_eq!(lost.w.log_of("store.recovered").len(), 1, "{fault:?} {nth}");
        }
    }
    assert!(broken >= 9, "{broken}");
}

#[tokio::test]
async fn an_order_holds_for_one_store_and_one_checkpoint() {
    let lost = lost().await;
    let (service, standing) = lost.open().await;
    let order = lost.order(&service, &standing, true);
    drop(service);
    let known = Head { hash: [9; 32], ..order.known };
    for (other, said) in [
        (Order { log: "other".into(), ..order.clone() }, "another log"),
        (Order { policy: "ab".repeat(32), ..order.clone() }, "another policy set"),
        (Order { known, ..order.clone() }, "another checkpoint"),
        (Order { recoveries: 5, ..order.clone() }, "another checkpoint"),
        (Order { store: Head { hash: [9; 32], ..order.store }, ..order.clone() }, "its log is another one"),
        (Order { store: Head::EMPTY, ..order.clone() }, "events of other requests"),
        (Order { effect: Effect { locked: 1, ..order.effect }, ..order.clone() }, "another effect"),
    ] {
        let refused = lost.apply(&other, false).await.unwrap_err();
        assert!(refused.to_string().contains(said), "{refused}");
    }
    lost.apply(&order, true).await.unwrap();
    let again = lost.apply(&order, false).await.unwrap_err();
    assert!(again.to_string().contains("start `sigillo serve`"), "{again}");
}

/// However an order came about: what the plan refuses, its execution refuses too.
#[tokio::test]
async fn an_order_that_is_not_needed_is_not_carried_out() {
    // The store that was lost is found again, while the officers sign.
    let mut lost = lost().await;
    let yesterday = lost.w.memory.clone();
    let (service, standing) = lost.open().await;
    let order = lost.order(&service, &standing, false);
    drop(service);
    lost.w.memory = lost.today.clone();
    let (service, healthy) = lost.open().await;
    assert_eq!(healthy.refused, None);
    let named = Order { store: healthy.store, ..order.clone() };
    for order in [&order, &named, &Order { evidence: Some([1; 32]), ..named.clone() }] {
        let before = lost.w.events().len();
        let refused = service.recover(order, &healthy, &OFFICERS, None, |_| ()).await.unwrap_err();
        assert!(refused.to_string().contains("start `sigillo serve`"), "{refused}");
        assert_eq!(lost.w.events().len(), before, "nothing was changed");
    }
    assert_eq!(lost.w.log_of("store.recovered").len(), 0);
    drop(service);

    // The token has lost its checkpoint since: evidence has nothing to reach any more.
    lost.w.memory = yesterday;
    for place in Place::ALL {
        lost.w.token.tamper_mark(place, Some(Vec::new()));
    }
    let (service, blind) = lost.open().await;
    assert_eq!((&blind.known, &blind.refused), (&None, &None));
    let order = Order { known: Head::EMPTY, evidence: Some([1; 32]), ..order };
    let none = Told::default();
    let refused = service.recover(&order, &blind, &OFFICERS, Some(&none), |_| ()).await.unwrap_err();
    assert!(refused.to_string().contains("no checkpoint is known"), "{refused}");
    assert_eq!(lost.w.log_of("store.recovered").len(), 0);
}

#[tokio::test]
async fn a_witness_of_the_lost_branch_is_covered_by_the_recovery_and_by_nothing_else() {
    let mut lost = lost().await;
    let before: Memory = lost.w.memory.copy();
    lost.recovered(true).await;
    let now = export(&lost.w).await;
    let verified = verify(&lost.w, &now, &lost.witness).unwrap();
    let key = lost.w.token.audit_public_key().to_vec();
    assert_eq!(verified.lost, [Checkpoint::open(&lost.witness, &key).unwrap()]);
    assert_eq!(verified.newest.recoveries, 1);
    // The old export goes on to hold by itself, and not with a witness of the new branch.
    verify(&lost.w, &lost.export, &lost.witness).unwrap();
    let (new, _) = lost.w.service.checkpoint().await.unwrap();
    verify(&lost.w, &lost.export, &new).unwrap_err();
    // Without the recovery's event the witness speaks against the log.
    let cut: String =
        now.lines().filter(|l| !l.contains("checkpoint\":")).take(20).map(|l| format!("{l}\n")).collect();
    verify(&lost.w, &cut, &lost.witness).unwrap_err();

    // The copy from before the recovery is refused from now on, however often it comes back.
    lost.w.service.store().close().await;
    lost.w.memory = before;
    let refused = lost.w.try_restart().await.unwrap_err();
    assert!(matches!(refused, Error::GoneBack(_)), "{refused}");
}

#[tokio::test]
async fn evidence_that_ends_too_early_or_went_another_way_is_not_taken() {
    let lost = lost().await;
    let (_, standing) = lost.open().await;
    assert_eq!(standing.refused.as_ref().map(|why| why.to_string().contains("older")), Some(true));
    let far = Standing {
        known: standing
            .known
            .clone()
            .map(|known| Checkpoint { head: Head { seq: 9999, ..known.head }, ..known }),
        ..standing.clone()
    };
    assert!(matches!(lost.gap(&far), Err(BadEvidence::TooShort { .. })));
    let other = Standing { store: Head { hash: [1; 32], ..standing.store }, ..standing.clone() };
    assert_eq!(lost.gap(&other), Err(BadEvidence::OtherBranch));
    let other = Standing {
        known: standing
            .known
            .clone()
            .map(|known| Checkpoint { head: Head { hash: [1; 32], ..known.head }, ..known }),
        ..standing
    };
    assert_eq!(lost.gap(&other), Err(BadEvidence::OtherBranch));
}
