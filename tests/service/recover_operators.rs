//! Operators' cards after a recovery: a card that was ended or replaced in the gap does not act again (I13).

use sigillo::{
    domain::recovery::{Order, Told},
    hsm::Place,
    service::{CardStanding, DeregistrationRequest, Error, Recovered, Service, Standing},
    store::{
        Space,
        memory::{Fault, Memory},
    },
};

use crate::{
    people::Client,
    post::Citizen,
    recover::{OFFICERS, export, order, told},
    rules::LAZIO,
    world::World,
};

/// The certificate of those who deregister.
const SECURITY: [u8; 32] = [0x77; 32];

/// A store of yesterday, and operators whom today has changed; each of them had registered a card before, but for `new`.
struct Lost {
    w: World,
    who: Citizen,
    /// Whose card was ended, because it is lost.
    ended: Client,
    /// Whose first card was replaced by the second one.
    replaced: Client,
    /// Whose card was ended, and who has registered the second one since.
    followed: Client,
    /// Who has registered a card since.
    new: Client,
    yesterday: Memory,
    export: String,
    witness: String,
}

async fn end(w: &World, operator: &Client) -> bool {
    let request = DeregistrationRequest { operator: operator.operator().parse().unwrap() };
    w.service.deregister(&Client::new(&w.service, SECURITY).call("", ""), request).await.unwrap()
}

async fn lost() -> Lost {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let someone = || w.produced(LAZIO).tax_code;
    let [ended, replaced, followed, new] = [(); 4].map(|()| w.desk.used_by_new(someone().as_str()));
    for one in [&ended, &replaced, &followed] {
        one.register_operator().await.unwrap();
    }
    w.service.checkpoint().await.unwrap();
    let yesterday = w.memory.copy();

    assert!(end(&w, &ended).await && end(&w, &followed).await);
    assert!(replaced.with_card(1).register_operator().await.unwrap().replaced);
    followed.with_card(1).register_operator().await.unwrap();
    new.register_operator().await.unwrap();
    // A refusal in the gap changes nothing.
    w.desk.with_card(1).look_up(&who.card).await.unwrap_err();
    let export = export(&w).await;
    let (witness, _) = w.service.checkpoint().await.unwrap();
    let mut lost =
        Lost { who, ended, replaced, followed, new, yesterday: yesterday.copy(), export, witness, w };
    lost.w.service.store().close().await;
    lost.w.memory = yesterday;
    assert!(matches!(lost.w.try_restart().await, Err(Error::GoneBack(_))));
    lost
}

impl Lost {
    async fn open(&self) -> (Service, Standing) {
        Service::for_recovery(self.w.parts().await, std::slice::from_ref(&self.witness)).await.unwrap()
    }

    /// One attempt of `sigillo recover apply`, of an order that is made now where there is none yet.
    async fn apply(&self, given: Option<&Order>, with_evidence: bool) -> (Order, Result<Recovered, Error>) {
        let (service, standing) = self.open().await;
        let from = Standing { store: given.map_or(standing.store, |order| order.store), ..standing.clone() };
        let told: Option<Told> = with_evidence.then(|| told(&self.w, &self.export, &from).unwrap());
        let order = given.cloned().unwrap_or_else(|| order(&self.w, &service, &standing, told.as_ref()));
        let done = service.recover(&order, &standing, &OFFICERS, told.as_ref(), |_| ()).await;
        service.store().close().await;
        service.hsm().close().await;
        (order, done)
    }

    async fn recovered(&mut self, with_evidence: bool) -> Recovered {
        let (order, done) = self.apply(None, with_evidence).await;
        let done = done.unwrap();
        assert_eq!(done.effect(), order.effect);
        self.restart().await;
        done
    }

    async fn restart(&mut self) {
        self.w.restart().await;
        let service = &self.w.service;
        for one in [&mut self.ended, &mut self.replaced, &mut self.followed, &mut self.new] {
            one.moves_to(service);
        }
    }

    async fn acts(&self, operator: &Client) {
        operator.look_up(&self.who.card).await.unwrap();
    }

    /// Neither acts nor can be registered.
    async fn is_former(&self, operator: &Client, key: &str) {
        let refused = operator.look_up(&self.who.card).await.unwrap_err();
        assert!(matches!(refused, Error::OperatorOtherCard), "{key}: {refused}");
        assert_eq!(operator.session().await.unwrap().card, CardStanding::Former, "{key}");
        let refused = operator.open_registration(key).await.unwrap_err();
        assert!(matches!(refused, Error::OperatorFormerCard), "{key}: {refused}");
    }

    async fn is_held(&self, operator: &Client) {
        let refused = operator.look_up(&self.who.card).await.unwrap_err();
        assert!(matches!(refused, Error::OperatorNotRegistered), "{refused}");
        assert_eq!(operator.session().await.unwrap().card, CardStanding::None);
    }

    /// As it was before the store was lost.
    async fn check_as_told(&self, turn: &str) {
        self.acts(&self.w.desk).await;
        self.is_former(&self.ended, &format!("{turn} ended")).await;
        self.is_former(&self.replaced, &format!("{turn} replaced")).await;
        self.acts(&self.replaced.with_card(1)).await;
        self.is_former(&self.followed, &format!("{turn} followed")).await;
        self.acts(&self.followed.with_card(1)).await;
        self.acts(&self.new).await;
    }

    async fn goes_back_to_yesterday(&mut self) {
        self.export = export(&self.w).await;
        (self.witness, _) = self.w.service.checkpoint().await.unwrap();
        self.w.service.store().close().await;
        self.w.memory = self.yesterday.copy();
        assert!(matches!(self.w.try_restart().await, Err(Error::GoneBack(_))));
    }
}

const fn numbers(report: &Recovered) -> (u64, u64, u64, bool) {
    (report.operators_bound, report.operators_ended, report.operators_held, report.every_operator)
}

#[tokio::test]
async fn with_evidence_operators_cards_are_as_they_were_and_others_go_on() {
    let mut lost = lost().await;
    let records = lost.w.all(Space::OperatorCard);
    let report = lost.recovered(true).await;
    assert_eq!(numbers(&report), (3, 1, 0, false));
    lost.check_as_told("after").await;
    let events = lost.w.events();
    let of = |kind: &str| events.iter().filter(|event| event["kind"] == kind).collect::<Vec<_>>();
    let [recovered] = &of("store.recovered")[..] else { panic!("one event") };
    let said = ["operators_bound", "operators_ended", "operators_held"].map(|name| recovered[name].clone());
    assert_eq!(said, ["3", "1", "0"]);
    let mut changes: Vec<_> = of("operator.recovered").iter().map(|event| event["changes"].clone()).collect();
    changes.sort_by_key(ToString::to_string);
    assert_eq!(changes, ["ended", "registered", "registered", "registered"]);
    let same = lost.w.all(Space::OperatorCard).into_iter().filter(|record| records.contains(record));
    assert_eq!(same.count(), 1, "the one of whom nothing is told");
}

#[tokio::test]
async fn without_evidence_no_card_acts_until_it_is_registered_again() {
    let mut lost = lost().await;
    let report = lost.recovered(false).await;
    assert_eq!(numbers(&report), (0, 0, 4, true));
    for one in [&lost.w.desk, &lost.ended, &lost.replaced, &lost.followed, &lost.new] {
        lost.is_held(one).await;
        lost.is_held(&one.with_card(1)).await;
    }
    // Who knows that a card is lost ends it, before it is registered by whoever has it now.
    assert!(end(&lost.w, &lost.ended).await);
    lost.is_former(&lost.ended, "ended").await;
    // The others register: the same card, or another one, which ends the one that was held.
    assert!(!lost.w.desk.register_operator().await.unwrap().replaced);
    lost.acts(&lost.w.desk).await;
    assert!(lost.replaced.with_card(1).register_operator().await.unwrap().replaced);
    lost.is_former(&lost.replaced, "replaced").await;
    lost.acts(&lost.replaced.with_card(1)).await;
    assert!(!lost.new.register_operator().await.unwrap().replaced);
}

/// The newest that somebody kept may be older than what was answered.
#[tokio::test]
async fn evidence_up_to_a_checkpoint_that_is_not_the_tokens_own_holds_every_card() {
    // Nothing is in the token, or what a courier presented when the token itself had gone back.
    for courier in [false, true] {
        let mut lost = lost().await;
        let left = if courier { lost.witness.clone().into_bytes() } else { Vec::new() };
        for place in Place::ALL {
            lost.w.token.tamper_mark(place, Some(left.clone()));
        }
        let report = lost.recovered(true).await;
        assert_eq!(numbers(&report), (0, 1, 4, true), "{courier}");
        lost.is_former(&lost.ended, "ended").await;
        lost.is_former(&lost.replaced, "replaced").await;
        for held in [&lost.w.desk, &lost.replaced.with_card(1), &lost.followed.with_card(1), &lost.new] {
            lost.is_held(held).await;
            held.register_operator().await.unwrap();
        }
        lost.check_as_told("again").await;
    }
}

/// What a recovery did to an operator's card is told by its events to the next one, from the same copy.
#[tokio::test]
async fn a_second_recovery_binds_no_card_that_the_first_one_ended_or_held() {
    for with_evidence in [true, false] {
        let mut lost = lost().await;
        lost.recovered(with_evidence).await;
        if with_evidence {
            lost.check_as_told("first").await;
            lost.goes_back_to_yesterday().await;
            assert_eq!(numbers(&lost.recovered(true).await), (3, 1, 0, false));
            lost.check_as_told("second").await;
        } else {
            lost.w.desk.register_operator().await.unwrap();
            lost.goes_back_to_yesterday().await;
            assert_eq!(numbers(&lost.recovered(true).await), (1, 0, 3, false));
            lost.acts(&lost.w.desk).await;
            for held in [&lost.ended, &lost.replaced, &lost.followed] {
                lost.is_held(held).await;
            }
        }
    }
}

#[tokio::test]
async fn a_recovery_of_operators_that_breaks_off_is_run_again() {
    for with_evidence in [true, false] {
        let mut broken = 0;
        for fault in [Fault::NotWritten, Fault::UnknownKept, Fault::UnknownLost] {
            for nth in 1.. {
                let mut lost = lost().await;
                lost.w.memory.fail(nth, fault);
                let (order, done) = lost.apply(None, with_evidence).await;
                lost.w.memory.fail(0, fault);
                if done.is_ok() {
                    break;
                }
                broken += 1;
                let refused = lost.w.try_restart().await.unwrap_err();
                assert!(matches!(refused, Error::GoneBack(_)), "{fault:?} {nth}: {refused}");
                let (_, done) = lost.apply(Some(&order), with_evidence).await;
                assert_eq!(done.unwrap().effect(), order.effect, "{fault:?} {nth}");
                lost.restart().await;
                assert_eq!(lost.w.log_of("store.recovered").len(), 1, "{fault:?} {nth}");
                assert_eq!(lost.w.log_of("operator.recovered").len(), 4, "{fault:?} {nth}: each once");
                if with_evidence {
                    lost.check_as_told("after").await;
                } else {
                    lost.is_held(&lost.ended).await;
                    lost.is_held(&lost.w.desk).await;
                }
            }
        }
        assert!(broken >= 6, "{broken}");
    }
}

/// Else the last second before a store is lost would be in no evidence.
#[tokio::test]
async fn what_changes_an_operators_card_is_answered_once_the_token_vouches_for_it() {
    let w = World::new().await;
    let desk = w.desk.used_by_new(w.produced(LAZIO).tax_code.as_str());
    w.produced(LAZIO);
    w.desk.session().await.unwrap();
    assert_ne!(w.service.unmarked(), 0);
    desk.register_operator().await.unwrap();
    assert_eq!(w.service.unmarked(), 0);
    w.desk.session().await.unwrap();
    assert!(end(&w, &desk).await);
    assert_eq!(w.service.unmarked(), 0);
    w.desk.session().await.unwrap();
    assert!(!end(&w, &desk).await, "a repetition too");
    assert_eq!(w.service.unmarked(), 0);
}
