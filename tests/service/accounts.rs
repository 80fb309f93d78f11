//! Operations with the keys of codes: each has an intent, and one that has none is an alarm.

use sigillo::{
    domain::operations::{Account, Operations},
    hsm::{self, MacKey},
    secret::SecretBytes,
};

use crate::{rules::LAZIO, world::World};

fn account(w: &World) -> Account {
    let mut account = Account::default();
    for event in w.events() {
        account.take(&event.to_string()).unwrap();
    }
    account
}

#[tokio::test]
async fn the_log_accounts_for_every_operation_exactly() {
    let w = World::new().await;
    let card = w.registered(LAZIO).await;
    w.desk.activate(&card, "a").await.unwrap();
    w.desk.verify(&card, "12345678", "b").await.unwrap();
    let counts = w.service.hsm().counts();
    let sent = |wanted| counts.iter().find(|(key, _)| *key == wanted).unwrap().1;
    let sent = Operations { print: sent(MacKey::Print), deliver: 0, verify: sent(MacKey::Verify) };
    assert!(sent.print > 0 && sent.verify > 2, "{sent}");
    let logged = account(&w).since_start();
    assert_eq!((logged.least, logged.most, logged.unfinished), (sent, sent, 0));
    assert_eq!(w.service.unaccounted(), Operations::default());
}

#[tokio::test]
async fn an_operation_without_an_intent_is_an_event_once() {
    let w = World::new().await;
    w.service.reconcile().await.unwrap();
    assert!(w.log_of("operations.unaccounted").is_empty());
    let guess = SecretBytes::new(b"behind the service's back".to_vec());
    w.service.hsm().mac(MacKey::Verify, guess).await.unwrap();
    assert_eq!(w.service.unaccounted(), Operations { print: 0, deliver: 0, verify: 1 });
    for _ in 0..2 {
        w.service.reconcile().await.unwrap();
    }
    assert_eq!(w.log_of("operations.unaccounted"), ["done"]);
    assert_eq!(account(&w).total().most, Operations::default(), "the log does not account for it");
}

#[tokio::test]
async fn a_call_that_failed_before_it_was_sent_hides_no_other() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let index = w.hands.calls().len();
    w.desk.verify(&who.card, "00000000", "a").await.unwrap();
    let made = w.hands.calls().split_off(index);
    let first = made.iter().position(|name| *name == "verify").unwrap();
    let many = made.iter().filter(|name| **name == "verify").count();
    assert!(many > 1, "{made:?}");
    // The first of them fails, and the others are never sent.
    w.hands.fail(first + 1, hsm::Error::Bug("fault on demand".into()));
    w.desk.verify(&who.card, "00000000", "b").await.unwrap_err();
    assert_eq!(w.service.unaccounted(), Operations::default());
    let guess = SecretBytes::new(b"behind the service's back".to_vec());
    w.service.hsm().mac(MacKey::Verify, guess).await.unwrap();
    assert_eq!(w.service.unaccounted(), Operations { print: 0, deliver: 0, verify: 1 });
}
