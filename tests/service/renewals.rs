//! A new C.I.P.: the former one dies at once, whoever still has a part, a try or an answer of it.

use std::pin::pin;

use sigillo::{
    domain::{
        applicant::{Applicant, Title},
        card::Refusal,
        fictional::FictionalCard,
        id::ApprovalId,
        message::MessageLanguage,
        template::CodeName::{Cip, Pin, Puk},
        tries::NotUnlocked,
    },
    secret::Digits,
    service::{ApprovalRequest, CipRenewalRequest, Error, HandedOut, LeasedDelivery, Service, Verdict, What},
    store::Space,
};

use crate::{
    applicants::{PROXY, proxy},
    people::{Client, contact, data, first, in_person, printed},
    post::{Citizen, prepared, second_part},
    recover,
    reprints::codes,
    rules::{LAZIO, LOMBARDIA, MARCHE, SARDEGNA, SICILIA},
    world::World,
};

const REASON: &str = "seen_by_others";

impl Client {
    pub(crate) async fn renew_cip(
        &self,
        card: &FictionalCard,
        approval: Option<ApprovalId>,
        key: &str,
    ) -> Result<HandedOut, Error> {
        self.renew_cip_by(card, in_person(), approval, key).await
    }

    async fn renew_cip_by(
        &self,
        card: &FictionalCard,
        applicant: Applicant,
        approval: Option<ApprovalId>,
        key: &str,
    ) -> Result<HandedOut, Error> {
        let request = CipRenewalRequest {
            card: data(card),
            reason: REASON.to_owned(),
            applicant,
            contact: contact(),
            language: MessageLanguage::Italian,
            approval,
        };
        self.service.renew_cip(self.call(key, &format!("{approval:?}")), request).await
    }
}

impl World {
    /// An approved renewal, asked for and signed.
    pub(crate) async fn approved_renewal(&self, card: &FictionalCard, key: &str) -> ApprovalId {
        let (team, reason) = (card.team_number.clone(), REASON.to_owned());
        let call = self.desk.call(&format!("{key} asked"), card.team_number.as_str());
        let asked =
            self.service.ask_approval(call, ApprovalRequest::RenewCip { team, reason }).await.unwrap();
        self.supervisor().await.approve(&asked, &format!("{key} signed")).await.unwrap();
        asked.id
    }

    async fn renewed(&self, card: &FictionalCard, key: &str) -> HandedOut {
        let approval = self.approved_renewal(card, key).await;
        self.desk.renew_cip(card, Some(approval), key).await.unwrap()
    }

    async fn verdict_of(&self, card: &FictionalCard, code: &str, key: &str) -> Verdict {
        self.desk.verify(card, code, key).await.unwrap().outcome
    }
}

/// The whole of it, from paper and message.
fn joined(paper: &HandedOut, lease: &LeasedDelivery) -> String {
    let second = second_part(lease, Cip);
    format!("{}{}", first(paper, Cip).unwrap(), second.as_ref().map_or("", Digits::expose))
}

#[tokio::test]
async fn the_former_one_dies_at_once_and_the_new_one_lives_when_both_parts_are_out() {
    let w = World::new().await;
    let who = w.citizen(SARDEGNA).await; // parts of 20 digits: none is another's by chance
    let alone = w.desk.renew_cip(&who.card, None, "alone").await;
    let rule = "no_new_cip_without_approval";
    assert!(matches!(&alone, Err(Error::NotAllowedOnCard(named)) if named == rule), "{alone:?}");
    let accepted = w.desk.verify(&who.card, &who.cip, "before").await.unwrap();
    let pin = w.desk.reprint(&who.card, "p").await.unwrap();
    w.deliver().await;

    let paper = w.renewed(&who.card, "n").await;
    assert_eq!(paper.first_parts.0.iter().map(|(code, _)| *code).collect::<Vec<_>>(), [Cip]);
    assert_ne!(first(&paper, Cip), Some(&who.cip[..20]));
    assert_eq!(w.verdict_of(&who.card, &who.cip, "1").await, Verdict::Rejected);
    let late = w.desk.revoke(&who.card, accepted.verification, "r").await;
    assert!(matches!(late, Err(Error::NotFound(What::Verification))), "{late:?}");

    let lease = w.lease_one().await;
    assert_eq!((lease.message.as_str(), codes(&lease)), ("renewal", vec![Cip]));
    assert_eq!(lease.codes[0].1, 2, "the next generation");
    let new = joined(&paper, &lease);
    assert_eq!(w.verdict_of(&who.card, &new, "2").await, Verdict::Rejected, "its second part is on its way");
    assert_eq!(w.tell(&lease, prepared(&lease)).await.unwrap(), "leased");
    assert_eq!(w.verdict_of(&who.card, &who.cip, "3").await, Verdict::Rejected);
    // The paper of one with the message of the other, and the other way round.
    for (n, (one, other)) in [(&new, &who.cip), (&who.cip, &new)].into_iter().enumerate() {
        let mixed = format!("{}{}", &one[..20], &other[20..]);
        assert_eq!(w.verdict_of(&who.card, &mixed, &format!("mixed {n}")).await, Verdict::Rejected);
    }
    let answer = w.desk.verify(&who.card, &new, "4").await;
    assert_eq!(answer.unwrap().outcome, Verdict::Rejected, "five wrong in a row: locked, as any C.I.P.");
    let approval = w.approved_unlock(&who.card, "u").await;
    w.desk.unlock(&who.card, Some(approval), "u").await.unwrap();
    let right = w.desk.verify(&who.card, &new, "5").await.unwrap();
    assert_eq!(right.outcome, Verdict::Accepted);
    w.desk.revoke(&who.card, right.verification, "rr").await.unwrap();

    assert_eq!(first(&pin, Pin).map(str::len), Some(20));
    assert_eq!(w.log_of("cip.renewed"), ["refused: not_allowed_on_card", "intent", "done: seen_by_others"]);
    let done = w.events().into_iter().rfind(|event| event["kind"] == "cip.renewed").unwrap();
    assert_eq!(
        (done["generation"].as_str(), done["operations"].as_str()),
        (Some("2"), Some("print=1 verify=1"))
    );
    assert_ne!(done["approver"], done["operator"]);
}

#[tokio::test]
async fn guesses_are_counted_from_the_new_ones_own_beginning() {
    let w = World::new().await;
    let who = w.citizen(SICILIA).await; // three in a row, seven in its life
    for round in 0..2 {
        w.lock(&who, &format!("round {round}")).await;
        let approval = w.approved_unlock(&who.card, &format!("u{round}")).await;
        w.desk.unlock(&who.card, Some(approval), &format!("u{round}")).await.unwrap();
    }
    w.lock(&who, "last").await;
    assert_eq!(w.desk.look_up(&who.card).await.unwrap().cip_lock, Some("lifetime"));
    let paper = w.renewed(&who.card, "n").await;
    let view = w.desk.look_up(&who.card).await.unwrap();
    assert_eq!((view.cip_tries_left, view.cip_lock, w.tries(&who.card).wrong()), (Some(3), None, 0));
    let lease = w.deliver().await.remove(0);
    assert_eq!(w.verdict_of(&who.card, &joined(&paper, &lease), "right").await, Verdict::Accepted);
    assert_eq!(w.tickets().last(), Some(&8), "the count goes on: it never goes back");
}

/// Its try is spent and its answer still to come when the C.I.P. is renewed.
#[tokio::test]
async fn a_verification_under_way_is_of_the_former_one_and_gives_the_new_one_nothing() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let approval = w.approved_renewal(&who.card, "n").await;
    let mut right = pin!(w.desk.verify(&who.card, &who.cip, "right"));
    w.until_held(right.as_mut()).await;
    w.release().await;
    let paper = w.desk.renew_cip(&who.card, Some(approval), "n").await.unwrap();
    let lease = w.deliver().await.remove(0);
    let wrong = Citizen { card: who.card.clone(), cip: joined(&paper, &lease) };
    w.lock(&wrong, "guess").await;
    let answer = right.await.unwrap();
    assert_eq!((answer.outcome, w.tries(&who.card).left()), (Verdict::Rejected, 0));
    assert_eq!(w.tries(&who.card).wrong(), 5);
}

/// The same, where it was looked at just before: its answer may say so, and serves nothing.
#[tokio::test]
async fn an_answer_that_came_just_before_serves_nothing_after_it() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let approval = w.approved_renewal(&who.card, "n").await;
    let spent = w.desk.verify(&who.card, &who.wrong(0), "wrong").await.unwrap();
    assert_eq!(spent.outcome, Verdict::Rejected);
    let mut right = pin!(w.desk.verify(&who.card, &who.cip, "right"));
    w.until_held(right.as_mut()).await;
    w.release().await;
    w.until_held(right.as_mut()).await; // decided; its outcome is at the gate
    let mut renewal = pin!(w.desk.renew_cip(&who.card, Some(approval), "n"));
    for _ in 0..64 {
        let ended =
            std::future::poll_fn(|cx| std::task::Poll::Ready(renewal.as_mut().poll(cx).is_ready())).await;
        assert!(!ended);
        tokio::task::yield_now().await;
    }
    w.memory.release();
    let answer = right.await.unwrap();
    assert_eq!(answer.outcome, Verdict::Accepted);
    renewal.await.unwrap();
    let late = w.desk.revoke(&who.card, answer.verification, "r").await;
    assert!(matches!(late, Err(Error::NotFound(What::Verification))), "{late:?}");
}

#[tokio::test]
async fn pin_and_puk_go_with_it_while_their_second_parts_are_still_to_be_sent() {
    let w = World::new().await;
    let card = w.registered(LAZIO).await;
    let activated = w.desk.activate(&card, "a").await.unwrap();
    let held = w.lease_one().await;
    let paper = w.renewed(&card, "n").await;
    for code in [Pin, Puk] {
        assert_eq!(first(&paper, code), first(&activated, code), "never a new one");
    }
    assert_eq!(w.seen(activated.delivery.unwrap()).await.0, "cancelled");
    let late = w.tell(&held, prepared(&held)).await;
    assert!(crate::deliveries::lost(&late), "{late:?}");
    let lease = w.deliver().await.remove(0);
    assert_eq!(codes(&lease), [Cip, Pin, Puk]);
    assert_eq!(
        second_part(&lease, Pin).map(|part| part.expose().to_owned()),
        second_part(&held, Pin).map(|part| part.expose().to_owned())
    );
    assert_eq!(w.verdict_of(&card, &joined(&paper, &lease), "v").await, Verdict::Accepted);
}

#[tokio::test]
async fn a_repetition_hands_the_same_out_until_the_cip_is_another_one() {
    let w = World::new().await;
    let card = w.registered(LAZIO).await;
    w.desk.activate(&card, "a").await.unwrap();
    let approval = w.approved_renewal(&card, "n").await;
    let paper = printed(&w.desk.renew_cip(&card, Some(approval), "n").await.unwrap());
    w.advance_ms(1);
    assert_eq!(printed(&w.desk.renew_cip(&card, Some(approval), "n").await.unwrap()), paper);
    assert_eq!(w.log_of("cip.renewed").len(), 2);
    // The activation's paper has a dead C.I.P. by now.
    for answer in [w.desk.activate(&card, "a").await, {
        w.renewed(&card, "m").await;
        w.desk.renew_cip(&card, Some(approval), "n").await
    }] {
        assert!(matches!(answer, Err(Error::Refused(Refusal::GenerationChanged))), "{answer:?}");
    }
    assert_eq!(w.card(&card).generation(Cip), 3);
}

#[tokio::test]
async fn cards_that_get_none() {
    let w = World::new().await;
    let (without, registered) = (w.citizen(LOMBARDIA).await.card, w.registered(LAZIO).await);
    for (card, refusal) in [(&without, Refusal::NoCip), (&registered, Refusal::CardNotActive)] {
        let (team, reason) = (card.team_number.clone(), REASON.to_owned());
        let call = w.desk.call("asked", card.team_number.as_str());
        let answer = w.service.ask_approval(call, ApprovalRequest::RenewCip { team, reason }).await;
        match answer {
            Err(Error::Refused(is)) => assert_eq!(is, refusal),
            other => panic!("{other:?}"),
        }
    }
    // Whole on paper: right at once.
    let on_paper = w.citizen(MARCHE).await;
    let paper = w.renewed(&on_paper.card, "n").await;
    assert_eq!(paper.delivery, None);
    assert_eq!(w.verdict_of(&on_paper.card, first(&paper, Cip).unwrap(), "v").await, Verdict::Accepted);
    assert_eq!(w.verdict_of(&on_paper.card, &on_paper.cip, "w").await, Verdict::Rejected);
    let locked = w.desk.ask_unlock(&on_paper.card, "u").await;
    assert!(matches!(locked, Err(Error::NotUnlocked(NotUnlocked::NotLocked))), "{locked:?}");
}

/// Two at one time with an approval each: one paper, one C.I.P.
#[tokio::test]
async fn two_at_once_are_one() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let (one, two) = (w.approved_renewal(&who.card, "1").await, w.approved_renewal(&who.card, "2").await);
    let mut slow = pin!(w.desk.renew_cip(&who.card, Some(one), "slow"));
    w.until_held_after_charge(slow.as_mut()).await;
    w.release().await;
    w.desk.renew_cip(&who.card, Some(two), "fast").await.unwrap();
    let lost = slow.await;
    assert!(matches!(lost, Err(Error::Conflict)), "{lost:?}");
    assert_eq!(w.card(&who.card).generation(Cip), 2);
    assert_eq!(
        w.log_of("cip.renewed"),
        ["intent", "intent", "done: seen_by_others", "refused: changed_meanwhile"]
    );
    assert_eq!(w.all(Space::Approval).len(), 2, "the other approval stays unused");
    assert_eq!(w.post.lease(9).await.unwrap().len(), 1);
}

/// The renewal is in the gap between a store of yesterday and the evidence of today: the former C.I.P. stays dead, whoever
/// unlocks it, and the next one is of a generation that was never handed out.
#[tokio::test]
async fn a_recovery_repeats_a_renewal_and_the_next_one_mends_it() {
    let mut w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let approval = w.approved_renewal(&who.card, "n").await;
    w.service.checkpoint().await.unwrap();
    let yesterday = w.memory.copy();
    w.desk.renew_cip(&who.card, Some(approval), "n").await.unwrap();
    let export = recover::export(&w).await;
    w.service.store().close().await;
    let today = std::mem::replace(&mut w.memory, yesterday);
    assert_eq!(w.card(&who.card).generation(Cip), 1, "the store of yesterday knows nothing of it");
    w.try_restart().await.unwrap_err();
    let (service, standing) = Service::for_recovery(w.parts().await, &[]).await.unwrap();
    let told = recover::told(&w, &export, &standing).unwrap();
    let order = recover::order(&w, &service, &standing, Some(&told));
    service.recover(&order, &standing, &recover::OFFICERS, Some(&told), |_| ()).await.unwrap();
    service.store().close().await;
    service.hsm().close().await;
    w.restart().await;
    drop(today);

    let card = w.card(&who.card);
    assert_eq!((card.generation(Cip), card.cip_first_tag(), card.cip_second_tag()), (2, None, None));
    let event = w.events().into_iter().rfind(|event| event["kind"] == "card.recovered").unwrap();
    assert_eq!(
        (event["changes"].as_str(), event["generation"].as_str()),
        (Some("cip_voided,locked"), Some("2"))
    );
    let unlock = w.desk.ask_unlock(&who.card, "u").await;
    assert!(matches!(unlock, Err(Error::Refused(Refusal::NoCip))), "{unlock:?}");
    assert_eq!(w.verdict_of(&who.card, &who.cip, "dead").await, Verdict::Rejected);
    let paper = w.renewed(&who.card, "m").await;
    let lease = w.deliver().await.remove(0);
    assert_eq!((lease.codes[0].1, w.card(&who.card).generation(Cip)), (3, 3));
    assert_eq!(w.verdict_of(&who.card, &joined(&paper, &lease), "new").await, Verdict::Accepted);
}

#[tokio::test]
async fn a_colleague_does_not_approve_what_they_ask_for_as_a_proxy() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let approval = w.approved_renewal(&who.card, "a").await;
    let colleague = proxy(Title::Guardian, &w.supervisor().await.operator());
    let refused = w.desk.renew_cip_by(&who.card, colleague, Some(approval), "b").await;
    assert!(matches!(refused, Err(Error::OperatorIsProxy)), "{refused:?}");
    assert_eq!(w.log_of("cip.renewed"), ["refused: operator_is_proxy"]);
    assert_eq!(w.verdict_of(&who.card, &who.cip, "v").await, Verdict::Accepted, "nothing was renewed");
    let other = proxy(Title::Guardian, PROXY);
    w.desk.renew_cip_by(&who.card, other, Some(approval), "c").await.unwrap();
}
