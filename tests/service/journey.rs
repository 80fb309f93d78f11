//! A card from the bureau to its end, as the people around it see it.

use sigillo::{
    domain::{
        card::{Refusal, State},
        template::CodeName,
    },
    secret::Digits,
    service::{DeliveryOutcome, Error, LineOutcome, Verdict, What},
};

use crate::{
    people::{first, line},
    post::{prepared, second_part},
    rules::LAZIO,
    world::World,
};

#[tokio::test]
async fn a_card_from_registration_to_revocation() {
    let w = World::new().await;
    let card = w.produced(LAZIO);
    assert!(matches!(w.desk.look_up(&card).await, Err(Error::NotFound(What::Card))));
    assert_eq!(w.bureau.register(&[line(&card)]).await.unwrap(), [LineOutcome::Registered]);

    let view = w.desk.look_up(&card).await.unwrap();
    assert_eq!((view.state, view.expires_on, view.expired), ("registered", card.expiry, false));
    assert_eq!((view.region.as_str(), view.template.as_str()), (LAZIO, "IT/1"));
    assert_eq!((view.cip_tries_left, view.delivery), (None, None));

    let before = w.card(&card);
    let summary = w.desk.preview(&card).await.unwrap();
    assert_eq!(summary.codes, [(CodeName::Cip, 4, 4), (CodeName::Pin, 2, 3), (CodeName::Puk, 2, 6)]);
    assert_eq!(summary.card.state, "registered");
    assert!(w.card(&card) == before, "a preview changes nothing");
    assert!(w.post.lease(9).await.unwrap().is_empty(), "a preview sends nothing");

    let paper = w.desk.activate(&card, "a").await.unwrap();
    let sizes: Vec<_> = paper.first_parts.0.iter().map(|(c, d)| (*c, d.expose().len())).collect();
    assert_eq!(sizes, [(CodeName::Cip, 4), (CodeName::Pin, 2), (CodeName::Puk, 2)]);
    assert!(matches!(w.card(&card).state(), State::Active { .. }));
    assert!(matches!(w.desk.activate(&card, "b").await, Err(Error::Refused(Refusal::CardAlreadyActive))));

    let leases = w.post.lease(9).await.unwrap();
    let [lease] = leases.as_slice() else { panic!("{leases:?}") };
    assert_eq!((Some(lease.delivery), &lease.control), (paper.delivery, &paper.control));
    let held = (lease.lease, lease.delivery);
    let second = second_part(lease, CodeName::Cip).unwrap();
    let cip = format!("{}{}", first(&paper, CodeName::Cip).unwrap(), second.expose());
    let before = w.desk.verify(&card, &cip, "too early").await.unwrap();
    assert_eq!(before.outcome, Verdict::Rejected, "the second part is not out yet");
    assert_eq!(w.post.report(held, prepared(lease)).await.unwrap(), "leased");
    assert_eq!(w.post.report(held, DeliveryOutcome::Sent).await.unwrap(), "sent");
    assert_eq!(w.post.report(held, DeliveryOutcome::Delivered).await.unwrap(), "delivered");
    assert_eq!(w.desk.delivery(lease.delivery).await.unwrap().state, "delivered");

    for (number, part) in paper.first_parts.0.iter().map(|(_, d)| d).chain([&second]).enumerate() {
        let key = format!("part {number}");
        if number < 3 {
            assert_eq!(w.desk.verify(&card, part.expose(), &key).await.unwrap().outcome, Verdict::Rejected);
        }
    }
    assert_eq!(w.desk.look_up(&card).await.unwrap().cip_tries_left, Some(1));
    let accepted = w.desk.verify(&card, &cip, "right").await.unwrap();
    assert_eq!(accepted.outcome, Verdict::Accepted);
    assert_eq!(w.desk.look_up(&card).await.unwrap().cip_tries_left, Some(5));

    w.advance_ms(1000);
    let revoked = w.desk.revoke(&card, accepted.verification, "r").await.unwrap();
    assert_eq!(revoked.at_ms, crate::world::NOW_MS + 1000);
    assert_eq!(w.desk.look_up(&card).await.unwrap().state, "revoked");
    assert_eq!(w.desk.verify(&card, &cip, "after").await.unwrap().outcome, Verdict::Rejected);
    let refused = |e| matches!(e, Error::Refused(Refusal::CardRevoked));
    assert!(refused(w.desk.reprint(&card, "after").await.unwrap_err()));
    assert!(refused(w.desk.activate(&card, "after").await.unwrap_err()));
    assert!(refused(w.desk.activate(&card, "a").await.unwrap_err()), "not even the same paper again");
    assert!(refused(w.desk.preview(&card).await.unwrap_err()));
    let again = w.desk.revoke(&card, accepted.verification, "r2").await;
    assert!(matches!(again, Err(Error::NotFound(What::Verification))), "{again:?}");
    assert_eq!(w.bureau.register(&[line(&card)]).await.unwrap(), [LineOutcome::Unchanged]);
    assert_eq!(w.desk.look_up(&card).await.unwrap().state, "revoked", "final");

    assert_eq!(w.log_of("card.revoked"), ["intent", "done: lost", "refused: no_accepted_verification"]);
    assert_eq!(w.log_of("card.activated").iter().filter(|o| *o == "done").count(), 1);
}

/// Who carries second parts gets none of the first, and what is handed out at the counter holds none of the second.
#[tokio::test]
async fn codes_are_told_apart_by_who_knows_them() {
    let w = World::new().await;
    let (one, two) = (w.citizen(LAZIO).await, w.citizen(LAZIO).await);
    assert_ne!(one.cip, two.cip);
    assert_eq!(w.desk.verify(&one.card, &two.cip, "k").await.unwrap().outcome, Verdict::Rejected);
    assert_eq!(w.desk.verify(&one.card, &one.cip, "l").await.unwrap().outcome, Verdict::Accepted);
    let swapped = format!("{}{}", &one.cip[4..], &one.cip[..4]);
    if swapped != one.cip {
        assert_eq!(w.desk.verify(&one.card, &swapped, "m").await.unwrap().outcome, Verdict::Rejected);
    }
    assert!(Digits::parse(one.cip).is_some());
}

/// A C.I.P. that is whole on paper is right as soon as the card is active: no courier has a tag of it to bring.
#[tokio::test]
async fn a_cip_without_a_second_part_is_right_at_once() {
    let w = World::new().await;
    let card = w.registered(crate::rules::MARCHE).await;
    let paper = w.desk.activate(&card, "a").await.unwrap();
    let cip = first(&paper, CodeName::Cip).unwrap();
    assert_eq!(w.desk.verify(&card, &format!("{cip}0"), "k").await.unwrap().outcome, Verdict::Rejected);
    assert_eq!(w.desk.verify(&card, cip, "l").await.unwrap().outcome, Verdict::Accepted);
    let leases = w.deliver().await;
    assert!(leases[0].codes.iter().all(|(code, ..)| *code != CodeName::Cip), "nothing of it is sent");
}
