//! The courier's copy of the newest checkpoint: a log that does not hold it went back, and serves no more (I13).

use std::{future::poll_fn, pin::pin, task::Poll};

use sigillo::{
    domain::{
        audit::Head,
        checkpoint::{self, Claim},
        going_back::GoneBack,
    },
    hsm::{Role, soft::SoftHsm},
    service::{Error, Verdict},
    store::{Space, memory::Memory},
};

use crate::{
    people::line,
    rules::LAZIO,
    world::{NOW_MS, World},
};

/// What the courier is given with a lease.
async fn given(w: &World, kept: Option<&str>) -> String {
    w.post.lease_with(1, kept).await.unwrap().checkpoint
}

/// A checkpoint under the key of this token.
pub(crate) fn signed(token: &SoftHsm, log: &str, seq: u64, recoveries: u64) -> String {
    let head = Head { seq, hash: [7; 32] };
    let text = checkpoint::text(&Claim { log, head, policy: "aa", sequence: 1, recoveries, at_ms: NOW_MS });
    let signature = token.tokens(1).remove(0).sign(&checkpoint::digest(&text)).unwrap();
    checkpoint::signed(&text, &signature)
}

/// Store and token as they were: what a machine's snapshot brings back.
struct Snapshot(Memory, [Option<Vec<u8>>; 2]);

impl Snapshot {
    fn of(w: &World) -> Self {
        Self(w.memory.copy(), w.token.marks())
    }

    async fn bring_back(&self, w: &mut World) {
        w.service.store().close().await;
        w.memory = self.0.copy();
        for (place, mark) in sigillo::hsm::Place::ALL.into_iter().zip(self.1.clone()) {
            w.token.tamper_mark(place, mark);
        }
        w.try_restart().await.unwrap();
    }
}

#[tokio::test]
async fn a_lease_gives_the_newest_checkpoint_and_takes_it_back() {
    let w = World::new().await;
    let first = given(&w, None).await;
    assert_eq!(given(&w, Some(&first)).await, first, "nothing is signed anew");
    w.citizen(LAZIO).await;
    let (newest, _) = w.service.checkpoint().await.unwrap();
    // Older ones of this log are as good.
    for kept in [None, Some(&first), Some(&newest)] {
        assert_eq!(given(&w, kept.map(String::as_str)).await, newest);
    }
}

#[tokio::test]
async fn store_and_token_put_back_together_are_found_by_the_couriers_next_lease() {
    let mut w = World::new().await;
    let who = w.citizen(LAZIO).await;
    w.service.checkpoint().await.unwrap();
    let before = Snapshot::of(&w);
    for n in 0..3 {
        w.desk.verify(&who.card, &who.wrong(7), &format!("w{n}")).await.unwrap();
    }
    let registered = w.produced(LAZIO);
    w.bureau.register(&[line(&registered)]).await.unwrap();
    w.service.checkpoint().await.unwrap();
    let kept = given(&w, None).await;

    // The token knows of nothing: the start passes, and the tries are there again.
    before.bring_back(&mut w).await;
    assert_eq!(w.tries(&who.card).wrong(), 0);
    let refused = w.post.lease_with(1, Some(&kept)).await.unwrap_err();
    assert!(matches!(refused, Error::GoneBack(GoneBack::Older { .. })), "{refused}");
    assert!(matches!(w.service.gone_back().await, GoneBack::Older { .. }));
    assert_eq!(w.log_of("store.gone_back"), ["refused"]);
    let events = w.events().len();

    // Nothing is spent, answered or signed any more, whoever asks for what.
    let new = w.produced(LAZIO);
    for refused in [
        w.desk.verify(&who.card, &who.cip, "a").await.map(drop),
        w.desk.activate(&registered, "b").await.map(drop),
        w.desk.reprint(&who.card, "c").await.map(drop),
        w.bureau.register(&[line(&new)]).await.map(drop),
        w.post.lease_with(1, None).await.map(drop),
        w.post.lease_with(1, Some(&kept)).await.map(drop),
        w.service.checkpoint().await.map(drop),
    ] {
        let refused = refused.unwrap_err();
        assert!(matches!(refused, Error::GoneBack(_)), "{refused}");
    }
    assert_eq!((w.tries(&who.card).wrong(), w.events().len()), (0, events));

    // And no later start takes this store for the right one.
    for _ in 0..2 {
        let refused = w.try_restart().await.unwrap_err();
        assert!(matches!(refused, Error::GoneBack(GoneBack::Older { .. })), "{refused}");
    }
}

/// Lines whose commitments the token makes while the courier's checkpoint is found to be a newer one.
#[tokio::test]
async fn lines_on_their_way_are_not_registered_in_a_log_that_went_back() {
    let mut w = World::new().await;
    let before = Snapshot::of(&w);
    w.citizen(LAZIO).await;
    w.service.checkpoint().await.unwrap();
    let kept = given(&w, None).await;
    before.bring_back(&mut w).await;

    let new = [line(&w.produced(LAZIO))];
    w.token.hold();
    let mut registering = pin!(w.bureau.register(&new));
    let mut leasing = pin!(w.post.lease_with(1, Some(&kept)));
    while w.log_of("store.gone_back").is_empty() {
        let ended = poll_fn(|cx| {
            Poll::Ready(registering.as_mut().poll(cx).is_ready() || leasing.as_mut().poll(cx).is_ready())
        });
        assert!(!ended.await, "the token does not answer");
        tokio::task::yield_now().await;
    }
    w.token.release();
    let (registered, leased) = tokio::join!(registering, leasing);
    for refused in [registered.map(drop), leased.map(drop)] {
        assert!(matches!(refused, Err(Error::GoneBack(_))), "{refused:?}");
    }
    assert_eq!(w.all(Space::Card).len(), 0);
}

#[tokio::test]
async fn a_branch_of_its_own_is_found_however_long_it_has_become() {
    let mut w = World::new().await;
    let who = w.citizen(LAZIO).await;
    w.service.checkpoint().await.unwrap();
    let before = Snapshot::of(&w);
    w.desk.verify(&who.card, &who.wrong(7), "w").await.unwrap();
    w.service.checkpoint().await.unwrap();
    let kept = given(&w, None).await;

    before.bring_back(&mut w).await;
    // Long enough that both places of the token vouch for it.
    for n in 0..9 {
        w.desk.verify(&who.card, &who.cip, &format!("v{n}")).await.unwrap();
        w.service.checkpoint().await.unwrap();
    }
    let refused = w.post.lease_with(1, Some(&kept)).await.unwrap_err();
    assert!(matches!(refused, Error::GoneBack(GoneBack::Forked { .. })), "{refused}");
    // The token vouched for the longer branch: it does so no more.
    let refused = w.try_restart().await.unwrap_err();
    assert!(matches!(refused, Error::GoneBack(GoneBack::Forked { .. })), "{refused}");
}

#[tokio::test]
async fn what_this_authority_has_not_signed_says_nothing() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let newest = given(&w, None).await;
    let stranger = SoftHsm::new(Role::Courier).unwrap();
    let others = [
        signed(&stranger, "test", 900_000, 0),
        signed(&w.token, "other", 900_000, 0),
        newest.replacen("seq ", "seq 9", 1),
        "another text".to_owned(),
        String::new(),
    ];
    for text in others {
        let refused = w.post.lease_with(1, Some(&text)).await.unwrap_err();
        assert!(matches!(refused, Error::Field { field: "checkpoint", .. }), "{refused}");
    }
    assert_eq!(w.desk.verify(&who.card, &who.cip, "v").await.unwrap().outcome, Verdict::Accepted);
    assert!(w.log_of("store.gone_back").is_empty());
}

#[tokio::test]
async fn more_recoveries_than_the_store_knows_are_a_store_from_before_them() {
    let w = World::new().await;
    let ahead = signed(&w.token, "test", 0, 1);
    let refused = w.post.lease_with(1, Some(&ahead)).await.unwrap_err();
    assert!(matches!(refused, Error::GoneBack(GoneBack::Recovered { recoveries: 0, known: 1 })), "{refused}");
}
