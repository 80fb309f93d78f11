//! Reprints and ends of cards, and what they mean for a delivery on its way.

use sigillo::{
    domain::{
        card::Refusal,
        template::CodeName::{self, Cip, Pin, Puk},
    },
    service::{DeliveryOutcome, Error, LeasedDelivery, Verdict, What},
    store::Space,
};

use crate::{
    people::{first, printed},
    post::{prepared, second_part},
    rules::{LAZIO, LOMBARDIA},
    world::World,
};

/// How far the courier has come with the activation when the reprint is asked for.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Queued,
    Leased,
    Prepared,
    Retrying,
    Failed,
    Sent,
    Delivered,
}

impl Stage {
    const ALL: [Self; 7] = [
        Self::Queued,
        Self::Leased,
        Self::Prepared,
        Self::Retrying,
        Self::Failed,
        Self::Sent,
        Self::Delivered,
    ];

    /// The end of the activation's delivery, and whether the C.I.P. is sent again.
    const fn expected(self) -> (&'static str, bool) {
        match self {
            Self::Queued | Self::Leased | Self::Prepared | Self::Retrying => ("cancelled", true),
            Self::Failed => ("failed", true),
            Self::Sent => ("sent", false),
            Self::Delivered => ("delivered", false),
        }
    }

    async fn reach(self, w: &World) -> Option<LeasedDelivery> {
        if matches!(self, Self::Queued) {
            return None;
        }
        let lease = w.lease_one().await;
        let held = (lease.lease, lease.delivery);
        let outcome = match self {
            Self::Queued | Self::Leased => return Some(lease),
            Self::Prepared => prepared(&lease),
            Self::Retrying => DeliveryOutcome::Retry("relay busy".into()),
            Self::Failed => DeliveryOutcome::Failed("no such mailbox".into()),
            Self::Sent => DeliveryOutcome::Sent,
            Self::Delivered => DeliveryOutcome::Delivered,
        };
        if matches!(self, Self::Sent | Self::Delivered) {
            w.post.report(held, prepared(&lease)).await.unwrap();
        }
        w.post.report(held, outcome).await.unwrap();
        Some(lease)
    }
}

pub(crate) fn codes(lease: &LeasedDelivery) -> Vec<CodeName> {
    lease.codes.iter().map(|(code, ..)| *code).collect()
}

#[tokio::test]
async fn a_reprint_takes_the_place_of_a_delivery_on_its_way() {
    for stage in Stage::ALL {
        let w = World::new().await;
        let card = w.registered(LAZIO).await;
        let paper = w.desk.activate(&card, "a").await.unwrap();
        let former = stage.reach(&w).await;
        let (end, cip_again) = stage.expected();

        let again = w.desk.reprint(&card, "p").await.unwrap();
        assert_ne!(again.delivery, paper.delivery);
        for code in [Pin, Puk] {
            assert_eq!(first(&again, code), first(&paper, code), "{stage:?}: the PIN that is on the chip");
        }
        assert_eq!(first(&again, Cip), first(&paper, Cip).filter(|_| cip_again), "{stage:?}");
        assert_eq!(w.seen(paper.delivery.unwrap()).await.0, end, "{stage:?}");
        assert!(!w.has_contact(paper.delivery.unwrap()), "{stage:?}");
        if let Some(former) = former {
            let late = w.post.report((former.lease, former.delivery), prepared(&former)).await;
            assert!(matches!(late, Err(Error::NotFound(What::Lease))), "{stage:?}: {late:?}");
        }

        w.advance_ms(86_400_000);
        let leases = w.deliver().await;
        let [lease] = leases.as_slice() else { panic!("{stage:?}: {leases:?}") };
        assert_eq!((Some(lease.delivery), lease.message.as_str()), (again.delivery, "reprint"));
        let expected: &[_] = if cip_again { &[Cip, Pin, Puk] } else { &[Pin, Puk] };
        assert_eq!(codes(lease), expected, "{stage:?}");
        assert!(lease.codes.iter().all(|(_, generation, _)| *generation == 1), "never a new code");
        if cip_again {
            let cip = format!("{}{}", first(&paper, Cip).unwrap(), second_part(lease, Cip).unwrap().expose());
            assert_eq!(
                w.desk.verify(&card, &cip, "v").await.unwrap().outcome,
                Verdict::Accepted,
                "{stage:?}"
            );
        }
        let third = w.desk.reprint(&card, "q").await.unwrap();
        assert_eq!(first(&third, Cip), None, "{stage:?}: a gateway has taken it by now");
    }
}

/// A reprint without the C.I.P. is on its way: another one must not bring the C.I.P. back.
#[tokio::test]
async fn a_cip_that_was_sent_stays_sent() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    for number in 0..3 {
        let paper = w.desk.reprint(&who.card, &format!("p{number}")).await.unwrap();
        assert_eq!(first(&paper, Cip), None);
        assert_eq!(codes(&w.lease_one().await), [Pin, Puk]);
    }
    assert_eq!(w.desk.verify(&who.card, &who.cip, "v").await.unwrap().outcome, Verdict::Accepted);
}

#[tokio::test]
async fn reprints_are_refused_for_what_is_not_in_use_or_not_a_reason() {
    let w = World::new().await;
    let card = w.registered(LAZIO).await;
    let early = w.desk.reprint(&card, "p").await;
    assert!(matches!(early, Err(Error::Refused(Refusal::CardNotActive))), "{early:?}");
    w.desk.activate(&card, "a").await.unwrap();
    let whim = w.desk.reprint_because(&card, "p", "whim").await;
    assert!(matches!(whim, Err(Error::Field { field: "reason", code: "unknown_reason", .. })), "{whim:?}");
    let mut other = card.clone();
    other.tax_code = w.produced(LAZIO).tax_code;
    let foreign = w.desk.reprint(&other, "p").await;
    assert!(matches!(foreign, Err(Error::NotFound(What::Card))), "{foreign:?}");
    other = card.clone();
    other.expiry = "2030-12-31".parse().unwrap();
    assert!(matches!(w.desk.reprint(&other, "p").await, Err(Error::NotFound(What::Card))));
    assert_eq!(w.log_of("codes.reprinted").len(), 3, "each refusal that reached the register is evidence");
    w.desk.reprint(&card, "p").await.unwrap();

    w.advance_ms(11 * 365 * 86_400_000);
    assert!(w.desk.look_up(&card).await.unwrap().expired);
    let late = w.desk.reprint(&card, "q").await;
    assert!(matches!(late, Err(Error::Refused(Refusal::CardExpired))), "{late:?}");
}

#[tokio::test]
async fn an_expired_card_is_not_activated() {
    let w = World::new().await;
    let card = w.registered(LAZIO).await;
    w.advance_ms(11 * 365 * 86_400_000);
    for _ in 0..2 {
        let late = w.desk.activate(&card, "a").await;
        assert!(matches!(late, Err(Error::Refused(Refusal::CardExpired))), "{late:?}");
    }
    assert_eq!(w.all(Space::Delivery).len(), 0);
}

#[tokio::test]
async fn a_template_without_a_cip_hands_out_two_codes() {
    let w = World::new().await;
    let card = w.registered(LOMBARDIA).await;
    let paper = printed(&w.desk.activate(&card, "a").await.unwrap());
    assert_eq!(paper.0.iter().map(|(code, _)| *code).collect::<Vec<_>>(), [Pin, Puk]);
    assert_eq!(codes(&w.lease_one().await), [Pin, Puk]);
    let again = printed(&w.desk.reprint(&card, "p").await.unwrap());
    assert_eq!(again.0, paper.0);
}

#[tokio::test]
async fn a_revocation_cancels_the_delivery_on_its_way() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let paper = w.desk.reprint(&who.card, "p").await.unwrap();
    let lease = w.lease_one().await;
    let accepted = w.desk.verify(&who.card, &who.cip, "v").await.unwrap();
    w.desk.revoke(&who.card, accepted.verification, "r").await.unwrap();
    assert_eq!(w.seen(paper.delivery.unwrap()).await.0, "cancelled");
    assert!(!w.has_contact(lease.delivery));
    assert_eq!(w.all(Space::Due).len(), 0);
    let late = w.post.report((lease.lease, lease.delivery), DeliveryOutcome::Sent).await;
    assert!(matches!(late, Err(Error::NotFound(What::Lease))), "{late:?}");
    assert_eq!(w.log_of("delivery.cancelled"), ["done"]);
}
