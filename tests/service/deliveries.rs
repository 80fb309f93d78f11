//! Deliveries: holds with a fence, back-off, giving up, contacts that go, and an outbox that loses nothing.

use sigillo::{
    domain::{card::Refusal, id::DeliveryId},
    service::{DeliveryOutcome, Error, LeasedDelivery, What},
    store::{Reader, Space},
};

use crate::{
    post::prepared,
    rules::{LAZIO, LOMBARDIA},
    world::World,
};

/// As in the shipped policy.
const HOLD_MS: u64 = 120_000;

impl World {
    /// A card of this region, active, with its delivery queued.
    pub(crate) async fn queued(&self, region: &str) -> DeliveryId {
        let card = self.registered(region).await;
        self.desk.activate(&card, card.id_carta.as_str()).await.unwrap().delivery.unwrap()
    }

    /// The only delivery that is due.
    pub(crate) async fn lease_one(&self) -> LeasedDelivery {
        let mut leases = self.post.lease(9).await.unwrap();
        assert_eq!(leases.len(), 1);
        leases.remove(0)
    }

    /// State and attempts, as the operator sees them.
    pub(crate) async fn seen(&self, id: DeliveryId) -> (&'static str, u32) {
        let view = self.desk.delivery(id).await.unwrap();
        (view.state, view.attempts)
    }

    /// Whether the record still holds the sealed contact.
    pub(crate) fn has_contact(&self, id: DeliveryId) -> bool {
        let all = self.all(Space::Delivery);
        let (_, record) = all.iter().find(|(key, _)| key == id.bytes()).unwrap();
        let record: serde_json::Value = serde_json::from_slice(record).unwrap();
        match record["contact"].as_str() {
            Some(sealed) => {
                assert_eq!(sealed.len(), 768, "an RSA-3072 ciphertext");
                true
            }
            None => false,
        }
    }

    pub(crate) async fn tell(
        &self,
        lease: &LeasedDelivery,
        outcome: DeliveryOutcome,
    ) -> Result<&'static str, Error> {
        self.post.report((lease.lease, lease.delivery), outcome).await
    }
}

pub(crate) fn retry() -> DeliveryOutcome {
    DeliveryOutcome::Retry("relay busy".into())
}

pub(crate) fn lost<T>(answer: &Result<T, Error>) -> bool {
    matches!(answer, Err(Error::NotFound(What::Lease)))
}

#[tokio::test]
async fn a_hold_is_one_couriers_until_it_ends() {
    let w = World::new().await;
    let id = w.queued(LAZIO).await;
    let first = w.lease_one().await;
    assert_eq!((first.delivery, first.attempt), (id, 1));
    assert_eq!(first.until_ms, crate::world::NOW_MS + HOLD_MS);
    assert!(w.post.lease(9).await.unwrap().is_empty());
    w.advance_ms(HOLD_MS - 1);
    assert!(w.post.lease(9).await.unwrap().is_empty());
    w.advance_ms(1);
    let second = w.lease_one().await;
    assert_eq!((second.delivery, second.attempt), (id, 1), "nothing was prepared under the first hold");
    assert_ne!(second.lease, first.lease);

    for outcome in [
        prepared(&first),
        DeliveryOutcome::Sent,
        DeliveryOutcome::Delivered,
        DeliveryOutcome::Failed("no such mailbox".into()),
        retry(),
    ] {
        let answer = w.tell(&first, outcome).await;
        assert!(lost(&answer), "the fence: {answer:?}");
    }
    assert_eq!(w.seen(id).await, ("leased", 1));
    let crossed = w.post.report((second.lease, DeliveryId::new([7; 16])), DeliveryOutcome::Sent).await;
    assert!(lost(&crossed), "{crossed:?}");
    assert_eq!(w.tell(&second, prepared(&second)).await.unwrap(), "leased");
    assert_eq!(w.tell(&second, DeliveryOutcome::Sent).await.unwrap(), "sent");
    assert!(lost(&w.tell(&second, retry()).await), "sent is not taken back");
    assert_eq!(w.tell(&second, DeliveryOutcome::Delivered).await.unwrap(), "delivered");
    assert_eq!(w.all(Space::Due).len(), 0);
}

/// A report that comes late is good as long as nobody else holds the delivery.
#[tokio::test]
async fn a_late_report_counts_while_nobody_else_has_the_hold() {
    let w = World::new().await;
    let id = w.queued(LAZIO).await;
    let lease = w.lease_one().await;
    w.advance_ms(HOLD_MS * 3);
    assert_eq!(w.tell(&lease, prepared(&lease)).await.unwrap(), "leased");
    assert_eq!(w.tell(&lease, DeliveryOutcome::Sent).await.unwrap(), "sent");
    assert!(w.post.lease(9).await.unwrap().is_empty());
    assert_eq!(w.seen(id).await, ("sent", 1));
}

#[tokio::test]
async fn a_second_part_that_differs_is_refused() {
    let w = World::new().await;
    w.queued(LAZIO).await;
    let lease = w.lease_one().await;
    let DeliveryOutcome::Prepared(Some((generation, tag))) = prepared(&lease) else { panic!("no tag") };
    assert_eq!(generation, 1);
    let mut other = tag;
    other[31] ^= 1;
    let tell = async |tag| w.tell(&lease, DeliveryOutcome::Prepared(tag)).await;
    let early = tell(Some((2, tag))).await;
    assert!(matches!(early, Err(Error::Refused(Refusal::GenerationChanged))), "{early:?}");
    let missing = tell(None).await;
    assert!(matches!(missing, Err(Error::Field { code: "tag_not_expected", .. })), "{missing:?}");
    assert_eq!(tell(Some((1, tag))).await.unwrap(), "leased");
    assert_eq!(tell(Some((1, tag))).await.unwrap(), "leased", "the same again changes nothing");
    let differs = tell(Some((1, other))).await;
    assert!(matches!(differs, Err(Error::Refused(Refusal::SecondPartDiffers))), "{differs:?}");

    w.queued(LOMBARDIA).await;
    let without = w.lease_one().await;
    let given = w.tell(&without, DeliveryOutcome::Prepared(Some((1, tag)))).await;
    assert!(matches!(given, Err(Error::Field { code: "tag_not_expected", .. })), "{given:?}");
    assert_eq!(w.tell(&without, DeliveryOutcome::Prepared(None)).await.unwrap(), "leased");
}

/// A courier that repeats itself holds up nobody who acts on the card meanwhile.
#[tokio::test]
async fn the_same_report_again_writes_nothing() {
    let w = World::new().await;
    let id = w.queued(LAZIO).await;
    let lease = w.lease_one().await;
    let bounced = || DeliveryOutcome::Failed("no such mailbox".into());
    let written = || {
        let records = |space: Space| w.memory.scan(space, &[], &[], usize::MAX).unwrap();
        let all = [records(Space::Card), records(Space::Delivery), records(Space::Due)];
        let versions = all.map(|all| all.into_iter().map(|entry| entry.record.version).collect::<Vec<_>>());
        (versions, w.events().len())
    };
    let reports: [(&dyn Fn() -> DeliveryOutcome, &str); 3] =
        [(&|| prepared(&lease), "leased"), (&|| DeliveryOutcome::Sent, "sent"), (&bounced, "failed")];
    for (report, state) in reports {
        let before = written();
        assert_eq!(w.tell(&lease, report()).await.unwrap(), state);
        let once = written();
        assert_ne!(once, before, "{state}");
        assert_eq!(w.tell(&lease, report()).await.unwrap(), state);
        assert_eq!(written(), once, "{state}");
    }
    assert_eq!(w.log_of("delivery.reported").len(), 3);
    assert_eq!(w.seen(id).await, ("failed", 1));
}

#[tokio::test]
async fn waits_double_and_the_eighth_failure_is_the_last() {
    let w = World::new().await;
    let id = w.queued(LAZIO).await;
    let waits_s = [30, 60, 120, 240, 480, 960, 1920];
    for (attempt, wait_s) in (1..).zip(waits_s) {
        let lease = w.lease_one().await;
        assert_eq!(lease.attempt, attempt);
        assert_eq!(w.tell(&lease, retry()).await.unwrap(), "queued");
        assert!(w.has_contact(id));
        w.advance_ms(wait_s * 1000 - 1);
        assert!(w.post.lease(9).await.unwrap().is_empty(), "attempt {attempt}");
        w.advance_ms(1);
    }
    let lease = w.lease_one().await;
    assert_eq!(lease.attempt, 8);
    assert_eq!(w.tell(&lease, retry()).await.unwrap(), "failed");
    let view = w.desk.delivery(id).await.unwrap();
    assert_eq!((view.state, view.attempts, view.reason.as_deref()), ("failed", 8, Some("relay busy")));
    w.forgets_contact(id).await;
    w.advance_ms(365 * 86_400_000);
    assert!(w.post.lease(9).await.unwrap().is_empty());
    assert_eq!(w.all(Space::Due).len(), 0);
}

/// A courier that dies each time it may have sent something uses attempts up too.
#[tokio::test]
async fn holds_that_end_without_a_word_end_the_delivery() {
    let w = World::new().await;
    let id = w.queued(LAZIO).await;
    for attempt in 1..=8 {
        let lease = w.lease_one().await;
        assert_eq!(lease.attempt, attempt);
        assert_eq!(w.tell(&lease, prepared(&lease)).await.unwrap(), "leased");
        w.advance_ms(HOLD_MS);
    }
    assert!(w.post.lease(9).await.unwrap().is_empty());
    assert_eq!(w.seen(id).await, ("failed", 8));
    w.forgets_contact(id).await;
    assert_eq!(w.all(Space::Due).len(), 0);
}

/// A gateway or courier that is down for long loses nothing: what was not this delivery's fault is no attempt.
#[tokio::test]
async fn an_outage_uses_no_attempt_up() {
    let w = World::new().await;
    let id = w.queued(LAZIO).await;
    for round in 0..50 {
        let lease = w.lease_one().await;
        assert_eq!(lease.attempt, 1, "round {round}");
        match round % 3 {
            // The courier dies before anything is prepared.
            0 => w.advance_ms(HOLD_MS),
            // It hands the delivery back untouched, or after it had prepared it for a gateway that is down.
            kind => {
                if kind == 2 {
                    w.tell(&lease, prepared(&lease)).await.unwrap();
                }
                let returned = DeliveryOutcome::Returned("the gateway is down".into());
                assert_eq!(w.tell(&lease, returned).await.unwrap(), "queued");
                assert!(w.has_contact(id));
                w.advance_ms(29_999);
                assert!(w.post.lease(9).await.unwrap().is_empty());
                w.advance_ms(1);
            }
        }
    }
    let lease = w.lease_one().await;
    assert_eq!(w.tell(&lease, DeliveryOutcome::Sent).await.unwrap(), "sent");
    assert_eq!(w.seen(id).await, ("sent", 1));
}

#[tokio::test]
async fn the_contact_goes_some_time_after_the_last_use_of_it() {
    let w = World::new().await;
    for (outcome, state) in [
        (DeliveryOutcome::Sent, "sent"),
        (DeliveryOutcome::Delivered, "delivered"),
        (DeliveryOutcome::Failed("no such mailbox".into()), "failed"),
    ] {
        let id = w.queued(LAZIO).await;
        assert!(w.has_contact(id));
        let lease = w.lease_one().await;
        assert_eq!(w.tell(&lease, prepared(&lease)).await.unwrap(), "leased");
        assert!(w.has_contact(id), "still to be sent");
        assert_eq!(w.tell(&lease, outcome).await.unwrap(), state);
        w.forgets_contact(id).await;
    }
    let unknown = w.desk.delivery(DeliveryId::new([1; 16])).await;
    assert!(matches!(unknown, Err(Error::NotFound(What::Delivery))));
}

#[tokio::test]
async fn the_outbox_survives_restarts_and_queues_nothing_twice() {
    let mut w = World::new().await;
    let mut queued = vec![w.queued(LAZIO).await, w.queued(LOMBARDIA).await];
    w.restart().await;
    queued.push(w.queued(LAZIO).await);
    let oldest = w.post.lease(2).await.unwrap();
    assert_eq!(w.all(Space::Due).len(), 3);
    w.restart().await;
    let rest = w.post.lease(9).await.unwrap();
    assert_eq!((oldest.len(), rest.len()), (2, 1));
    let mut leased: Vec<_> = oldest.iter().chain(&rest).map(|l| l.delivery).collect();
    leased.sort();
    queued.sort();
    assert_eq!(leased, queued);
    for _ in 0..2 {
        w.restart().await;
        assert!(w.post.lease(9).await.unwrap().is_empty());
        assert_eq!(w.all(Space::Due).len(), 3);
    }
    for lease in oldest.iter().chain(&rest) {
        assert_eq!(w.tell(lease, DeliveryOutcome::Sent).await.unwrap(), "sent");
    }
    w.restart().await;
    w.advance_ms(HOLD_MS);
    assert!(w.post.lease(9).await.unwrap().is_empty());
    assert_eq!((w.log_of("delivery.leased").len(), w.all(Space::Due).len()), (3, 0));
}

/// A delivery behind more events than one step of the outbox reads.
#[tokio::test]
async fn a_long_log_is_read_to_its_end() {
    let w = World::new().await;
    let first = w.queued(LAZIO).await;
    let nobody = w.produced(LAZIO);
    for _ in 0..1100 {
        assert!(w.desk.look_up(&nobody).await.is_err());
    }
    let last = w.queued(LAZIO).await;
    let mut leased: Vec<_> = w.post.lease(9).await.unwrap().iter().map(|l| l.delivery).collect();
    let mut both = [first, last];
    leased.sort();
    both.sort();
    assert_eq!(leased, both);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn couriers_at_once_never_hold_the_same_delivery() {
    let w = World::new().await;
    for _ in 0..12 {
        w.queued(LAZIO).await;
    }
    let mut couriers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let post = w.post.clone();
        couriers.spawn(async move { post.lease(5).await.unwrap() });
    }
    let mut held: Vec<_> = couriers.join_all().await.into_iter().flatten().map(|l| l.delivery).collect();
    held.sort();
    held.dedup();
    assert_eq!((held.len(), w.log_of("delivery.leased").len()), (12, 12));
}
