//! A changed contact: the message goes elsewhere, and the paper that the citizen has stays good.

use std::pin::pin;

use sigillo::{
    domain::{
        approval::NotApproved,
        contact::{Channel, Contact},
        delivery::NotSentAgain,
        fictional::FictionalCard,
        id::ApprovalId,
        template::CodeName::{Cip, Pin, Puk},
    },
    secret::Digits,
    service::{
        ApprovalRequest, ApprovalView, ContactChanged, ContactRequest, DeliveryOutcome, Error, Verdict,
    },
    store::{Space, memory::Fault},
};

use crate::{
    deliveries::lost,
    people::{Client, data, first},
    post::{prepared, second_part},
    reprints::codes,
    rules::LAZIO,
    world::World,
};

pub(crate) const OTHER: &str = "altra.casella@esempio.example";

fn to(address: &str) -> Contact {
    Contact::parse(Channel::Email, address).unwrap()
}

impl Client {
    pub(crate) async fn change_contact(
        &self,
        card: &FictionalCard,
        address: &str,
        key: &str,
    ) -> Result<ContactChanged, Error> {
        self.change_approved(card, address, None, key).await
    }

    async fn change_approved(
        &self,
        card: &FictionalCard,
        address: &str,
        approval: Option<ApprovalId>,
        key: &str,
    ) -> Result<ContactChanged, Error> {
        let reason = "mistyped".to_owned();
        let request =
            ContactRequest { card: data(card), reason, contact: to(address), language: None, approval };
        self.service.change_contact(self.call(key, &format!("{address} {approval:?}")), request).await
    }

    async fn ask_change(
        &self,
        card: &FictionalCard,
        address: &str,
        key: &str,
    ) -> Result<ApprovalView, Error> {
        let (team, reason) = (card.team_number.clone(), "mistyped".to_owned());
        let request = ApprovalRequest::ChangeContact { team, reason, contact: to(address), language: None };
        self.service.ask_approval(self.call(key, address), request).await
    }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: &Result<T, Error>, why: NotSentAgain) {
    assert!(matches!(answer, Err(Error::NotSentAgain(is)) if *is == why), "{answer:?} should be {why:?}");
}

fn bounced() -> DeliveryOutcome {
    DeliveryOutcome::Failed("no such mailbox".into())
}

#[tokio::test]
async fn a_message_that_bounced_goes_elsewhere_and_fits_the_paper() {
    let w = World::new().await;
    let card = w.registered(LAZIO).await;
    let paper = w.desk.activate(&card, "a").await.unwrap();
    let former = paper.delivery.unwrap();
    let lease = w.lease_one().await;
    w.tell(&lease, prepared(&lease)).await.unwrap();
    w.tell(&lease, bounced()).await.unwrap();
    let changed = w.desk.change_contact(&card, OTHER, "c").await.unwrap();
    assert_eq!(changed.control, paper.control, "the paper says the same number");
    assert_ne!(changed.delivery, former);
    assert_eq!(w.desk.look_up(&card).await.unwrap().delivery, Some(changed.delivery));
    assert_eq!((w.seen(former).await.0, w.has_contact(former)), ("failed", false));

    let lease = w.deliver().await.remove(0);
    assert_eq!((lease.delivery, lease.message.as_str()), (changed.delivery, "activation"));
    assert_eq!((lease.control.as_str(), codes(&lease)), (&*paper.control, vec![Cip, Pin, Puk]));
    let cip =
        [first(&paper, Cip).unwrap(), second_part(&lease, Cip).as_ref().map_or("", Digits::expose)].concat();
    assert_eq!(w.desk.verify(&card, &cip, "v").await.unwrap().outcome, Verdict::Accepted);

    w.advance_ms(1);
    assert_eq!(w.desk.change_contact(&card, OTHER, "c").await.unwrap(), changed, "a repetition");
    assert_eq!(
        (w.log_of("contact.changed"), w.all(Space::Delivery).len()),
        (vec!["done: mistyped".into()], 2)
    );
    let event = w.events().into_iter().find(|event| event["kind"] == "contact.changed").unwrap();
    assert_eq!(event["delivery"], changed.delivery.to_string());
    assert_eq!(event["former"], former.to_string());
    for space in [Space::Event, Space::Delivery, Space::Idem] {
        assert!(w.all(space).iter().all(|(_, value)| !String::from_utf8_lossy(value).contains("casella")));
    }
}

#[tokio::test]
async fn what_is_under_way_is_cancelled_and_what_has_left_or_arrived_is_not_changed() {
    let w = World::new().await;
    let nobody = w.registered(LAZIO).await;
    let early = w.desk.change_contact(&nobody, OTHER, "early").await;
    assert!(matches!(early, Err(Error::Refused(_))), "{early:?}");

    let card = w.registered(LAZIO).await;
    let queued = w.desk.activate(&card, "a").await.unwrap().delivery.unwrap();
    let first = w.desk.change_contact(&card, OTHER, "1").await.unwrap().delivery;
    assert_eq!((w.seen(queued).await.0, w.has_contact(queued)), ("cancelled", false));
    let held = w.lease_one().await;
    w.tell(&held, prepared(&held)).await.unwrap();
    let second = w.desk.change_contact(&card, "terza@esempio.example", "2").await.unwrap().delivery;
    assert_eq!(w.seen(first).await.0, "cancelled");
    assert!(lost(&w.tell(&held, DeliveryOutcome::Sent).await), "the former hold is over");
    let held = w.lease_one().await;
    assert_eq!(held.delivery, second);
    let until_ms = crate::world::NOW_MS + 1000;
    let waiting = DeliveryOutcome::Waiting { reason: "the contact has changed".into(), until_ms };
    assert_eq!(w.tell(&held, waiting).await.unwrap(), "waiting");
    let third = w.desk.change_contact(&card, OTHER, "3").await.unwrap().delivery;
    assert!(w.all(Space::Due).is_empty(), "the entry that waited is gone with it");

    let lease = w.lease_one().await;
    assert_eq!(lease.delivery, third);
    w.tell(&lease, prepared(&lease)).await.unwrap();
    w.tell(&lease, DeliveryOutcome::Sent).await.unwrap();
    refused(&w.desk.change_contact(&card, OTHER, "4").await, NotSentAgain::Sent);
    w.tell(&lease, DeliveryOutcome::Delivered).await.unwrap();
    refused(&w.desk.change_contact(&card, OTHER, "5").await, NotSentAgain::Delivered);
    assert_eq!(w.log_of("delivery.cancelled").len(), 3);
    let last = w.log_of("contact.changed").split_off(4);
    assert_eq!(last, ["refused: delivery_sent", "refused: delivery_delivered"]);
}

#[tokio::test]
async fn a_card_to_which_nothing_was_sent_has_nothing_to_change() {
    let w = World::new().await;
    let who = w.registered(crate::rules::MARCHE).await;
    // Here PIN and PUK have second parts: the message there is can be changed.
    w.desk.activate(&who, "a").await.unwrap();
    w.desk.change_contact(&who, OTHER, "c").await.unwrap();
    w.rules
        .template("paper-only", &crate::rules::template("ALL/1", false, [(5, 0), (8, 0), (6, 0)], (5, 100)));
    w.rules.edit("authority.toml", "\"190\" = \"SHORT/1\"", "\"190\" = \"ALL/1\"");
    w.service.reload_policy(None).await.unwrap();
    let card = w.registered(crate::rules::SICILIA).await;
    assert_eq!(w.desk.activate(&card, "b").await.unwrap().delivery, None);
    refused(&w.desk.change_contact(&card, OTHER, "d").await, NotSentAgain::None);
}

#[tokio::test]
async fn four_eyes_where_a_rule_asks_for_them_and_for_that_contact_only() {
    let mut w = World::new().await;
    w.rules.append(
        "rules/operators.cedar",
        "@id(\"no_other_contact_without_approval\")\n\
         forbid (principal, action == Action::\"change_contact\", resource)\nunless { context.approved };\n",
    );
    w.restart().await;
    let card = w.registered(LAZIO).await;
    w.desk.activate(&card, "a").await.unwrap();
    let alone = w.desk.change_contact(&card, OTHER, "alone").await;
    let rule = "no_other_contact_without_approval";
    assert!(matches!(&alone, Err(Error::NotAllowedOnCard(named)) if named == rule), "{alone:?}");
    let asked = w.desk.ask_change(&card, OTHER, "asked").await.unwrap();
    for line in
        ["action: send the second parts of codes to another contact", "new contact: email, a***@e***.example"]
    {
        assert!(asked.text.lines().any(|of| of == line), "{line} in\n{}", asked.text);
    }
    assert!(
        w.all(Space::Approval).iter().all(|(_, v)| !String::from_utf8_lossy(v).contains("altra.casella"))
    );
    w.supervisor().await.approve(&asked, "s").await.unwrap();
    let other = w.desk.change_approved(&card, "terza@esempio.example", Some(asked.id), "other").await;
    assert!(matches!(other, Err(Error::NotApproved(NotApproved::OtherRequest))), "{other:?}");
    let changed = w.desk.change_approved(&card, OTHER, Some(asked.id), "c").await.unwrap();
    assert!(w.all(Space::Approval).is_empty());
    // An approval is of the delivery that it was asked for.
    let asked = w.desk.ask_change(&card, OTHER, "asked again").await.unwrap();
    w.supervisor().await.approve(&asked, "s2").await.unwrap();
    w.desk.reprint(&card, "p").await.unwrap();
    let late = w.desk.change_approved(&card, OTHER, Some(asked.id), "late").await;
    assert!(matches!(late, Err(Error::NotApproved(NotApproved::OtherRequest))), "{late:?}");
    assert_eq!(w.seen(changed.delivery).await.0, "cancelled");
}

/// One commit after the charge, which fails in every way; the process starts again and the request is repeated.
#[tokio::test]
async fn every_failure_of_the_commits_of_a_change() {
    for nth in [1, 2] {
        for fault in [Fault::Fatal, Fault::NotWritten, Fault::UnknownKept, Fault::UnknownLost] {
            let mut w = World::new().await;
            let card = w.registered(LAZIO).await;
            w.desk.activate(&card, "a").await.unwrap();
            w.memory.fail(nth, fault);
            let failed = w.desk.change_contact(&card, OTHER, "c").await;
            assert!(matches!(failed, Err(Error::Unavailable(_))), "{nth} {fault:?}: {failed:?}");
            w.restart().await;
            let happened = nth == 2 && fault == Fault::UnknownKept;
            assert_eq!(w.all(Space::Delivery).len(), 1 + usize::from(happened), "{nth} {fault:?}");
            let changed = w.desk.change_contact(&card, OTHER, "c").await.unwrap();
            assert_eq!((w.all(Space::Delivery).len(), w.log_of("contact.changed").len()), (2, 1));
            assert_eq!(w.lease_one().await.delivery, changed.delivery, "one message, and no other");
        }
    }
}

/// Two at one time: one message, and the other operator is told.
#[tokio::test]
async fn two_changes_at_once_leave_one_message() {
    let w = World::new().await;
    let card = w.registered(LAZIO).await;
    w.desk.activate(&card, "a").await.unwrap();
    let lease = w.lease_one().await;
    w.tell(&lease, bounced()).await.unwrap();
    let mut slow = pin!(w.desk.change_contact(&card, OTHER, "slow"));
    w.until_held_after_charge(slow.as_mut()).await;
    let mut late = pin!(w.desk.change_contact(&card, "terza@esempio.example", "late"));
    for _ in 0..64 {
        let ended =
            std::future::poll_fn(|cx| std::task::Poll::Ready(late.as_mut().poll(cx).is_ready())).await;
        assert!(!ended);
        tokio::task::yield_now().await;
    }
    w.memory.release();
    let changed = slow.await.unwrap();
    // Decided after the first, it is another change; decided before, it is told.
    match late.await {
        Err(Error::Conflict) => assert_eq!(w.lease_one().await.delivery, changed.delivery),
        Ok(last) => assert_eq!(w.lease_one().await.delivery, last.delivery),
        Err(other) => panic!("{other:?}"),
    }
}

/// The courier moves the delivery on between look and commit: the change is made anew from what is there.
#[tokio::test]
async fn a_courier_that_is_faster_holds_no_change_up() {
    let w = World::new().await;
    let card = w.registered(LAZIO).await;
    w.desk.activate(&card, "a").await.unwrap();
    let lease = w.lease_one().await;
    let mut change = pin!(w.desk.change_contact(&card, OTHER, "c"));
    w.until_held(change.as_mut()).await; // at its charge
    let mut report = pin!(w.tell(&lease, prepared(&lease)));
    for _ in 0..64 {
        let ended =
            std::future::poll_fn(|cx| std::task::Poll::Ready(report.as_mut().poll(cx).is_ready())).await;
        assert!(!ended);
        tokio::task::yield_now().await;
    }
    w.memory.release();
    report.await.unwrap();
    let changed = change.await.unwrap();
    assert_eq!(w.lease_one().await.delivery, changed.delivery);
}
