//! Queue, deadline and states, on the software token with faults.

use super::*;
use crate::hsm::{Role, soft::SoftHsm};

mod order;
mod recovery;

const LIMITS: PoolLimits = PoolLimits {
    queue: 8,
    deadline: Duration::from_millis(300),
    probe_every: Duration::from_millis(50),
    give_up: Duration::from_secs(3600),
};
/// No probe comes in between.
const QUIET: PoolLimits = PoolLimits { probe_every: Duration::from_secs(3600), ..LIMITS };

fn start(workers: usize, limits: PoolLimits) -> (SoftHsm, Hsm) {
    let soft = SoftHsm::new(Role::Authority).unwrap();
    let hsm = Hsm::start(soft.tokens(workers), limits).unwrap();
    (soft, hsm)
}

fn secret(text: &str) -> SecretBytes {
    SecretBytes::new(text.as_bytes().to_vec())
}

async fn until(what: &str, mut met: impl FnMut() -> bool) {
    for _ in 0..500 {
        if met() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never came: {what}");
}

#[tokio::test]
async fn calls_are_answered_counted_and_in_order() {
    let (soft, hsm) = start(2, QUIET);
    let one = hsm.mac(MacKey::Print, secret("a")).await.unwrap();
    let many = hsm
        .macs(vec![(MacKey::Index, secret("a")), (MacKey::Print, secret("a")), (MacKey::Verify, secret("b"))])
        .await
        .unwrap();
    assert!(tag(&many[1], &one) && !tag(&many[0], &one) && !tag(&many[2], &one));
    assert_eq!(
        hsm.counts(),
        [
            (MacKey::Print, 2),
            (MacKey::Deliver, 0),
            (MacKey::Verify, 1),
            (MacKey::Index, 1),
            (MacKey::Judge, 0)
        ]
    );
    assert_ne!(hsm.random::<32>().await.unwrap(), hsm.random::<32>().await.unwrap());
    assert_eq!(hsm.random_vec(100).await.unwrap().len(), 100);
    assert!(matches!(hsm.random_vec((1 << 20) + 1).await, Err(Error::Bug(_))));
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"x");
    let signature = hsm.sign(digest.as_ref().try_into().unwrap()).await.unwrap();
    aws_lc_rs::signature::UnparsedPublicKey::new(
        &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED,
        soft.audit_public_key(),
    )
    .verify(b"x", &signature)
    .unwrap();
    assert_eq!(hsm.state(), State::Up);
    hsm.close().await;
    assert!(matches!(hsm.mac(MacKey::Print, secret("a")).await, Err(Error::Unavailable(_))));
}

fn tag(a: &Secret<32>, b: &Secret<32>) -> bool {
    crate::hsm::tag_matches(a, b.expose())
}

#[tokio::test]
async fn keys_of_the_other_role_are_refused() {
    let (_soft, hsm) = start(1, QUIET);
    assert!(matches!(hsm.mac(MacKey::Deliver, secret("a")).await, Err(Error::WrongKey(_))));
    assert!(matches!(hsm.open_contact(vec![0; 384]).await, Err(Error::WrongKey(_))));
    assert_eq!(hsm.state(), State::Up);
    assert!(matches!(Hsm::start(Vec::new(), QUIET), Err(Error::Bug(_))));
}

#[tokio::test]
async fn contact_sealed_outside_is_opened_by_the_token() {
    let soft = SoftHsm::new(Role::Courier).unwrap();
    let hsm = Hsm::start(soft.tokens(1), QUIET).unwrap();
    let pem = soft.contact_public_pem().unwrap();
    let sealer = crate::hsm::seal::OaepKey::from_pem(pem.as_bytes()).unwrap();
    let sealed = sealer.seal(b"someone@example.it").unwrap();
    assert_eq!(hsm.open_contact(sealed).await.unwrap().expose(), b"someone@example.it");
    assert!(matches!(hsm.open_contact(vec![1; 384]).await, Err(Error::WrongKey(_))));
}

#[tokio::test]
async fn a_full_queue_is_busy_and_nothing_is_sent() {
    let (soft, hsm) = start(1, PoolLimits { queue: 1, ..QUIET });
    soft.hold();
    let inside = tokio::spawn({
        let hsm = hsm.clone();
        async move { hsm.mac(MacKey::Print, secret("inside")).await }
    });
    until("a call inside the token", || soft.inside() == 1).await;
    let waiting = tokio::spawn({
        let hsm = hsm.clone();
        async move { hsm.mac(MacKey::Print, secret("waiting")).await }
    });
    until("a call in the queue", || hsm.inner.jobs.len() == 1).await;
    assert_eq!(hsm.mac(MacKey::Print, secret("one too many")).await.unwrap_err(), Error::Busy);
    assert_eq!(hsm.state(), State::Up, "busy is not down");
    soft.release();
    inside.await.unwrap().unwrap();
    waiting.await.unwrap().unwrap();
    assert_eq!(soft.calls(), 2);
}

#[tokio::test]
async fn a_call_whose_deadline_passed_is_never_sent() {
    let (soft, hsm) = start(1, QUIET);
    soft.hold();
    let late = tokio::spawn({
        let hsm = hsm.clone();
        async move { hsm.mac(MacKey::Print, secret("hangs")).await }
    });
    until("a call inside the token", || soft.inside() == 1).await;
    assert_eq!(
        hsm.mac(MacKey::Print, secret("waits")).await.unwrap_err(),
        Error::Unavailable("no answer within 300 ms".into())
    );
    assert!(matches!(late.await.unwrap(), Err(Error::Unavailable(_))));
    assert_eq!(hsm.state(), State::Degraded);
    assert!(matches!(hsm.refuse_if_down(), Err(Error::Unavailable(_))));
    soft.release();
    // The deadline asked for a probe, and a good one brings the state back.
    until("up again", || hsm.state() == State::Up).await;
    hsm.refuse_if_down().unwrap();
    hsm.mac(MacKey::Print, secret("after")).await.unwrap();
    assert_eq!(soft.calls(), 2, "the call that waited was not sent");
    assert_eq!(hsm.counts()[0], (MacKey::Print, 2));
}

#[tokio::test]
async fn a_hung_token_is_degraded_without_any_call() {
    let (soft, hsm) = start(2, LIMITS);
    soft.hold();
    until("degraded", || hsm.state() == State::Degraded).await;
    soft.release();
    until("up again", || hsm.state() == State::Up).await;
}

#[tokio::test]
async fn a_lost_token_is_down_for_good_though_calls_would_work() {
    let (soft, hsm) = start(2, LIMITS);
    hsm.mac(MacKey::Print, secret("a")).await.unwrap();
    soft.lose_token();
    until("down", || hsm.state() == State::Down).await;
    let calls = soft.calls();
    assert!(matches!(hsm.mac(MacKey::Print, secret("a")).await, Err(Error::Unavailable(_))));
    assert!(matches!(hsm.refuse_if_down(), Err(Error::Unavailable(_))));
    assert_eq!(soft.calls(), calls, "nothing is sent to a lost token");
}

#[tokio::test]
async fn an_unavailable_answer_is_looked_into_at_once() {
    let (soft, hsm) = start(1, QUIET);
    soft.fail_next([Error::Unavailable("one call".into())]);
    assert!(hsm.mac(MacKey::Print, secret("a")).await.is_err());
    hsm.mac(MacKey::Print, secret("a")).await.unwrap();
    assert_eq!(hsm.state(), State::Up, "the token was still there");
    soft.set_down(true);
    assert!(hsm.mac(MacKey::Print, secret("a")).await.is_err());
    until("down", || hsm.state() == State::Down).await;
    soft.set_down(false);
    assert!(hsm.mac(MacKey::Print, secret("a")).await.is_err(), "down stays until the start");
    assert_eq!(hsm.state(), State::Down);
}

#[tokio::test]
async fn calls_that_waited_are_not_sent_to_a_token_lost_meanwhile() {
    let (soft, hsm) = start(1, QUIET);
    soft.hold();
    let call = |text: &'static str| {
        let hsm = hsm.clone();
        tokio::spawn(async move { hsm.mac(MacKey::Print, secret(text)).await })
    };
    let inside = call("inside");
    until("a call inside the token", || soft.inside() == 1).await;
    let waiting = call("waiting");
    until("a call in the queue", || hsm.inner.jobs.len() == 1).await;
    soft.set_down(true);
    soft.release();
    assert!(matches!(inside.await.unwrap(), Err(Error::Unavailable(_))));
    assert!(matches!(waiting.await.unwrap(), Err(Error::Unavailable(_))));
    assert_eq!(soft.calls(), 1);
}

#[tokio::test]
async fn other_errors_do_not_touch_the_state() {
    let (soft, hsm) = start(1, QUIET);
    for error in [Error::Bug("b".into()), Error::WrongKey("w".into())] {
        soft.fail_next([error.clone()]);
        assert_eq!(hsm.mac(MacKey::Print, secret("a")).await.unwrap_err(), error);
    }
    soft.fail_next([Error::Bug("second".into())]);
    let calls = vec![(MacKey::Print, secret("a")), (MacKey::Print, secret("b"))];
    assert_eq!(hsm.macs(calls).await.unwrap_err(), Error::Bug("second".into()));
    assert_eq!(hsm.state(), State::Up);
}

#[tokio::test]
async fn close_does_not_wait_for_a_hung_module() {
    let (soft, hsm) = start(1, QUIET);
    soft.hold();
    let hung = tokio::spawn({
        let hsm = hsm.clone();
        async move { hsm.mac(MacKey::Print, secret("a")).await }
    });
    until("a call inside the token", || soft.inside() == 1).await;
    hsm.close().await;
    assert!(matches!(hung.await.unwrap(), Err(Error::Unavailable(_))));
    soft.release();
}

#[tokio::test]
async fn dropping_every_handle_ends_the_threads() {
    let (soft, hsm) = start(2, LIMITS);
    let ended = hsm.inner.ended.lock().unwrap().take().unwrap();
    drop(hsm);
    tokio::time::timeout(Duration::from_secs(5), ended).await.unwrap().unwrap_err();
    drop(soft);
}
