//! The courier's own judgement: where second parts go and how many, whatever the authority says.

use sigillo::{
    api::courier::{Lease, ReportStatus},
    courier::{Outcome, Setback},
    domain::id::CardId,
    hsm::MacKey,
};

use crate::fakes::{CARD, Event, RecordingGateway, World, code, restarted, world_under};

const HOUR: u64 = 3_600_000;
const A: &str = "mario@esempio.it";
const B: &str = "altro@esempio.it";

fn shipped() -> World<RecordingGateway> {
    world_under(&[])
}

/// A lease that holds whatever the clock says.
fn lease(w: &World<RecordingGateway>, card: CardId, number: u8, to: &str) -> Lease {
    Lease { until_ms: u64::MAX, ..w.lease_for(card, number, to) }
}

fn to(w: &World<RecordingGateway>) -> Vec<String> {
    let sent = w.script.events().into_iter().filter_map(|event| match event {
        Event::Sent { to, subject, .. } => {
            Some(if subject.contains("altro recapito") { format!("notice {to}") } else { to })
        }
        Event::Reported { .. } => None,
    });
    sent.collect()
}

fn why(w: &World<RecordingGateway>) -> String {
    match w.script.events().pop() {
        Some(Event::Reported { reason: Some(reason), .. }) => reason,
        other => panic!("{other:?}"),
    }
}

fn derived(w: &World<RecordingGateway>) -> u64 {
    w.hsm.counts().iter().find(|(key, _)| *key == MacKey::Deliver).unwrap().1
}

#[tokio::test]
async fn a_changed_contact_waits_and_the_former_one_is_told_first() {
    let w = shipped();
    assert_eq!(w.deliver(&lease(&w, CARD, 1, A)).await, Outcome::Sent);
    let before = derived(&w);
    assert_eq!(w.deliver(&lease(&w, CARD, 2, B)).await, Outcome::Waiting);
    assert!(why(&w).starts_with("the contact has changed: waiting until 20"), "{}", why(&w));
    assert_eq!(derived(&w), before);
    w.courier.notify().await;
    w.courier.notify().await;
    assert_eq!(to(&w), [A, "notice mario@esempio.it"]);
    let Some(Event::Sent { body, .. }) = w.script.events().pop() else { panic!("no notice") };
    assert!(!body.contains(|c: char| c.is_ascii_digit()), "{body}");

    w.script.clock.pass(72 * HOUR - 1);
    assert_eq!(w.deliver(&lease(&w, CARD, 2, B)).await, Outcome::Waiting);
    w.script.clock.pass(1);
    assert_eq!(w.deliver(&lease(&w, CARD, 2, B)).await, Outcome::Sent);
    assert_eq!(to(&w), [A, "notice mario@esempio.it", B]);
}

#[tokio::test]
async fn the_wait_counts_when_the_notice_cannot_be_sent_and_the_notice_is_tried_again() {
    let w = shipped();
    w.deliver(&lease(&w, CARD, 1, A)).await;
    w.deliver(&lease(&w, CARD, 2, B)).await;
    w.script.send([Err(Setback::Rest("relay down".to_owned()))]);
    w.courier.notify().await;
    assert_eq!(w.deliver(&lease(&w, CARD, 2, B)).await, Outcome::Waiting);
    let again = restarted(&w, &[]);
    again.courier.notify().await;
    assert_eq!(to(&w).len(), 2, "it was tried a moment ago");
    w.script.clock.pass(300_000);
    again.courier.notify().await;
    again.courier.notify().await;
    assert_eq!(to(&w)[1..], ["notice mario@esempio.it", "notice mario@esempio.it"]);
}

#[tokio::test]
async fn back_at_the_former_contact_there_is_no_wait_and_no_notice() {
    let w = shipped();
    w.deliver(&lease(&w, CARD, 1, A)).await;
    w.deliver(&lease(&w, CARD, 2, B)).await;
    assert_eq!(w.deliver(&lease(&w, CARD, 3, A)).await, Outcome::Sent);
    w.courier.notify().await;
    assert_eq!(to(&w), [A, A]);
}

#[tokio::test]
async fn salt_generation_and_template_do_not_make_another_card() {
    let w = shipped();
    w.deliver(&lease(&w, CARD, 1, A)).await;
    let other = lease(&w, CARD, 2, B);
    for changed in [
        Lease { salt: "07".repeat(32), ..lease(&w, CARD, 2, B) },
        Lease { codes: vec![code("PIN", 9, 3)], ..lease(&w, CARD, 2, B) },
        Lease { template: "IT-042/1".to_owned(), ..lease(&w, CARD, 2, B) },
        Lease { control: "135790".to_owned(), message: "reprint".to_owned(), ..other },
    ] {
        assert_eq!(w.deliver(&changed).await, Outcome::Waiting);
    }
    assert_eq!(to(&w), [A]);
}

#[tokio::test]
async fn another_card_id_gives_other_parts() {
    let w = shipped();
    w.deliver(&lease(&w, CARD, 1, A)).await;
    assert_eq!(w.deliver(&lease(&w, CardId::new([77; 16]), 2, B)).await, Outcome::Sent);
    let bodies: Vec<String> = w
        .script
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::Sent { body, .. } => Some(body),
            Event::Reported { .. } => None,
        })
        .collect();
    let puk = |body: &str| body.lines().find(|l| l.contains("del PUK:")).unwrap().to_owned();
    assert_ne!(puk(&bodies[0]), puk(&bodies[1]));
}

#[tokio::test]
async fn lengths_and_forbidden_parts_are_not_the_authoritys_to_choose() {
    let w = shipped();
    let mut shorter = lease(&w, CARD, 1, A);
    shorter.codes[0].digits = 1;
    let mut searching = lease(&w, CARD, 1, A);
    searching.codes[0].forbidden = (0..500).map(|n| format!("{n:03}")).collect();
    let unknown = Lease { template: "IT-999/1".to_owned(), ..lease(&w, CARD, 1, A) };
    let notice = Lease { message: "notice".to_owned(), ..lease(&w, CARD, 1, A) };
    for refused in [shorter, searching, unknown, notice] {
        assert_eq!(w.deliver(&refused).await, Outcome::Retry);
        assert!(why(&w).contains("the courier's"), "{}", why(&w));
    }
    assert_eq!((derived(&w), to(&w).len()), (0, 0));
}

#[tokio::test]
async fn a_contact_that_the_policy_does_not_allow_is_refused() {
    let w = world_under(&[
        ("email_domains_denied = []", "email_domains_denied = [\"usaegetta.example\"]"),
        ("channels = [\"email\", \"sms\"]", "channels = [\"email\"]"),
    ]);
    for refused in ["x@usaegetta.example", "x@a.UsaEGetta.example", "+393331234567"] {
        assert_eq!(w.deliver(&lease(&w, CARD, 1, refused)).await, Outcome::Failed);
        assert!(why(&w).contains("does not allow"), "{}", why(&w));
    }
    assert_eq!(w.deliver(&lease(&w, CARD, 1, "x@nonusaegetta.example")).await, Outcome::Sent);
}

#[tokio::test]
async fn a_card_has_its_limit_which_a_restart_does_not_lift() {
    let mut w = shipped();
    for number in 1..=3 {
        assert_eq!(w.deliver(&lease(&w, CARD, number, A)).await, Outcome::Sent);
        w = restarted(&w, &[]);
    }
    let before = derived(&w);
    assert_eq!(w.deliver(&lease(&w, CARD, 4, A)).await, Outcome::Waiting);
    assert!(why(&w).ends_with("card, hour"), "{}", why(&w));
    assert_eq!(derived(&w), before);
    w.script.clock.pass(HOUR + 60_000);
    for number in 4..=6 {
        assert_eq!(w.deliver(&lease(&w, CARD, number, A)).await, Outcome::Sent);
    }
    w.script.clock.pass(2 * HOUR);
    assert_eq!(w.deliver(&lease(&w, CARD, 7, A)).await, Outcome::Waiting);
    assert!(why(&w).ends_with("card, day"), "{}", why(&w));
}

#[tokio::test]
async fn a_mailbox_has_its_limit_however_it_is_written() {
    let w = shipped();
    let card = |n: u8| CardId::new([n; 16]);
    for (n, to) in
        (1..).zip(["m@esempio.it", "M@esempio.it", "m+1@esempio.it", "m+2@Esempio.IT", "m@esempio.it", A])
    {
        assert_eq!(w.deliver(&lease(&w, card(n), n, to)).await, Outcome::Sent);
    }
    assert_eq!(w.deliver(&lease(&w, card(7), 7, "m@esempio.it")).await, Outcome::Sent);
    assert_eq!(w.deliver(&lease(&w, card(8), 8, "m+3@esempio.it")).await, Outcome::Waiting);
    assert!(why(&w).ends_with("contact, hour"), "{}", why(&w));
    assert_eq!(w.deliver(&lease(&w, card(9), 9, "n@esempio.it")).await, Outcome::Sent);
}

#[tokio::test]
async fn the_courier_has_a_limit_in_all() {
    let w = world_under(&[("hour = 1000\nday = 8000", "hour = 6\nday = 12")]);
    for n in 1..=6 {
        assert_eq!(
            w.deliver(&lease(&w, CardId::new([n; 16]), n, &format!("m{n}@esempio.it"))).await,
            Outcome::Sent
        );
    }
    assert_eq!(w.deliver(&lease(&w, CardId::new([7; 16]), 7, "m7@esempio.it")).await, Outcome::Waiting);
    assert!(why(&w).ends_with("all, hour"), "{}", why(&w));
}

#[tokio::test]
async fn an_outage_uses_no_limit_up() {
    let w = shipped();
    for _ in 0..10 {
        w.script.send([Err(Setback::Rest("relay down".to_owned()))]);
        assert_eq!(w.deliver(&lease(&w, CARD, 1, A)).await, Outcome::Resting);
    }
    for number in 1..=3 {
        assert_eq!(w.deliver(&lease(&w, CARD, number, A)).await, Outcome::Sent);
    }
}

#[tokio::test]
async fn nothing_is_derived_when_the_memory_does_not_write() {
    let w = shipped();
    w.memory.fail(1, sigillo::store::memory::Fault::NotWritten);
    assert_eq!(w.deliver(&lease(&w, CARD, 1, A)).await, Outcome::Trouble);
    assert_eq!(derived(&w), 0);
    assert_eq!(w.script.names(), ["returned"]);
    assert!(matches!(w.script.events()[0], Event::Reported { status: ReportStatus::Returned, .. }));
}
