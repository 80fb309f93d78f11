//! One delivery: what is done, in which order, and what is not.

use sigillo::{
    api::courier::{Lease, ReportStatus},
    courier::{AuthorityError, Outcome, Setback},
    domain::{
        derive::tag_message,
        id::{CardId, DeliveryId},
        template::{CodeName, Part},
    },
    hsm::{Error, MacKey},
    secret::{Digits, SecretBytes},
};

use crate::fakes::{CARD, Event, LIMITS, NOW_MS, SALT, code, world, world_forbidding};

fn unavailable() -> Result<(), AuthorityError> {
    Err(AuthorityError::Unavailable("test".to_owned()))
}

fn reason(event: &Event) -> String {
    match event {
        Event::Reported { reason, .. } => reason.clone().unwrap_or_default(),
        Event::Sent { .. } => panic!("sent"),
    }
}

#[tokio::test]
async fn the_tag_is_reported_before_anything_is_sent() {
    let w = world();
    let lease = w.lease(1, "mario@esempio.it");
    assert_eq!(w.deliver(&lease).await, Outcome::Sent);

    let cip = w.part(CodeName::Cip, 3, 4, 0).await;
    let digits = Digits::parse(cip.clone()).unwrap();
    let message = tag_message(Part::Second, &CARD, 3, &SALT, &digits);
    let tag = w.hsm.mac(MacKey::Verify, message).await.unwrap();

    let [prepared, Event::Sent { delivery, to, subject, body }, sent] = &w.script.events()[..] else {
        panic!("{:?}", w.script.names());
    };
    let report = |status, tag| Event::Reported { lease: lease.lease, status, tag, reason: None };
    assert_eq!(*prepared, report(ReportStatus::Prepared, Some((3, hex::encode(tag.expose())))));
    assert_eq!(*sent, report(ReportStatus::Sent, None));
    assert_eq!((*delivery, to.as_str()), (lease.delivery, "mario@esempio.it"));
    assert_eq!(subject, "La seconda parte dei codici della Sua tessera sanitaria");
    for line in [
        "Numero di controllo: 246810".to_owned(),
        format!("Seconda parte del PIN: {}", w.part(CodeName::Pin, 1, 3, 0).await),
        format!("Seconda parte del PUK: {}", w.part(CodeName::Puk, 2, 6, 0).await),
        format!("Seconda parte del C.I.P.: {cip}"),
    ] {
        assert!(body.lines().any(|l| l == line), "{line}\n{body}");
    }
}

#[tokio::test]
async fn without_a_cip_there_is_no_tag() {
    let w = world();
    let mut lease = w.lease(1, "mario@esempio.it");
    lease.codes.truncate(2);
    assert_eq!(w.deliver(&lease).await, Outcome::Sent);
    let events = w.script.events();
    assert!(matches!(&events[0], Event::Reported { status: ReportStatus::Prepared, tag: None, .. }));
    let Event::Sent { body, .. } = &events[1] else { panic!("{events:?}") };
    assert!(body.contains("Seconda parte del PUK: ") && !body.contains("Seconda parte del C.I.P."));
}

#[tokio::test]
async fn the_counter_moves_on_while_a_part_is_forbidden() {
    let w = world();
    let part = async |counter| w.part_of("IT-PROVA/1", CodeName::Pin, 1, 3, counter).await;
    let mut forbidden = vec![part(0).await, part(1).await];
    forbidden.sort();
    let third = part(2).await;
    let w = world_forbidding(&forbidden);
    let mut lease = w.lease(1, "mario@esempio.it");
    lease.template = "IT-PROVA/1".to_owned();
    lease.codes = vec![code("PIN", 1, 3)];
    lease.codes[0].forbidden = forbidden;
    assert_eq!(w.deliver(&lease).await, Outcome::Sent);
    let line = format!("Seconda parte del PIN: {third}");
    let events = w.script.events();
    assert!(matches!(&events[1], Event::Sent { body, .. } if body.lines().any(|l| l == line)));
}

#[tokio::test]
async fn nothing_is_sent_unless_the_authority_has_taken_the_report() {
    for (answer, outcome, reports) in [
        (AuthorityError::LeaseLost, Outcome::LeaseLost, 1),
        (AuthorityError::Refused("422".to_owned()), Outcome::Refused, 1),
        (AuthorityError::Unavailable("503".to_owned()), Outcome::Unreported, 3),
    ] {
        let w = world();
        w.script.report(vec![Err(answer); 5]);
        assert_eq!(w.deliver(&w.lease(1, "mario@esempio.it")).await, outcome);
        assert_eq!(w.script.names(), vec!["prepared"; reports]);
    }
}

#[tokio::test]
async fn an_unanswered_report_is_made_again_and_the_message_is_not() {
    let w = world();
    w.script.report([unavailable(), Ok(()), unavailable(), unavailable(), Ok(())]);
    assert_eq!(w.deliver(&w.lease(1, "mario@esempio.it")).await, Outcome::Sent);
    assert_eq!(w.script.names(), ["prepared", "prepared", "send", "sent", "sent", "sent"]);
}

#[tokio::test]
async fn a_lease_that_has_ended_is_not_acted_on() {
    let w = world();
    let mut lease = w.lease(1, "mario@esempio.it");
    let margin = u64::try_from(LIMITS.margin.as_millis()).unwrap();
    for until_ms in [0, NOW_MS, NOW_MS + margin] {
        lease.until_ms = until_ms;
        assert_eq!(w.deliver(&lease).await, Outcome::LeaseLost);
    }
    assert_eq!((w.script.names().len(), w.soft.calls()), (0, 0));
    lease.until_ms = NOW_MS + margin + 1;
    assert_eq!(w.deliver(&lease).await, Outcome::Sent);
}

#[tokio::test]
async fn a_lease_that_ends_while_it_is_reported_is_not_sent() {
    let w = world();
    let clock = std::sync::Arc::clone(&w.script.clock);
    w.script.at(move |_| clock.pass(50_000));
    assert_eq!(w.deliver(&w.lease(1, "mario@esempio.it")).await, Outcome::LeaseLost);
    assert_eq!(w.script.names(), ["prepared"]);
}

#[tokio::test]
async fn a_clock_set_back_does_not_lengthen_a_lease() {
    let w = world();
    let taken = w.courier.moment();
    w.script.clock.pass(59_000);
    w.script.clock.set_wall(NOW_MS - 3_600_000);
    let lease = w.lease(1, "mario@esempio.it");
    assert_eq!(w.courier.deliver(&lease, taken).await, Outcome::LeaseLost);
    assert!(w.script.names().is_empty());
}

#[tokio::test]
async fn a_contact_of_another_card_or_delivery_is_refused() {
    let w = world();
    let lease = w.lease(1, "mario@esempio.it");
    for contact in [
        w.sealed(CardId::new([7; 16]), lease.delivery, "altro@esempio.it"),
        w.sealed(CARD, DeliveryId::new([7; 16]), "altro@esempio.it"),
    ] {
        let lease = Lease { contact, ..w.lease(1, "mario@esempio.it") };
        assert_eq!(w.deliver(&lease).await, Outcome::Failed);
    }
    assert_eq!(w.script.names(), ["failed", "failed"]);
    for event in w.script.events() {
        assert_eq!(reason(&event), "the contact is sealed for another delivery");
    }
    assert!(w.hsm.counts().contains(&(MacKey::Deliver, 0)));
}

#[tokio::test]
async fn a_contact_that_does_not_open_is_tried_again() {
    let (w, other) = (world(), world());
    let mut lease = other.lease(1, "mario@esempio.it");
    assert_eq!(w.deliver(&lease).await, Outcome::Retry);
    lease.contact = "00".repeat(12);
    assert_eq!(w.deliver(&lease).await, Outcome::Retry);
    for event in w.script.events() {
        assert_eq!(reason(&event), "the contact does not open under the courier's key");
    }
    // Whoever tries contacts out leaves traces in the courier's own log.
    let (engine, _) = w.memory.open().unwrap();
    assert_eq!(engine.head().seq, 2);
}

#[tokio::test]
async fn what_is_sealed_must_be_a_contact() {
    let w = world();
    let pem = w.soft.contact_public_pem().unwrap();
    let sealer = sigillo::hsm::seal::OaepKey::from_pem(pem.as_bytes()).unwrap();
    let mut lease = w.lease(1, "mario@esempio.it");
    let head = [&[1][..], CARD.bytes(), lease.delivery.bytes(), &[1]].concat();
    for plain in [&b"mario@esempio.it"[..], &[&head[..], b"mario@esempio.it\r\nBcc: x@y.it"].concat()] {
        let plain = SecretBytes::new(plain.to_vec());
        lease.contact = hex::encode(sealer.seal(plain.expose()).unwrap());
        assert_eq!(w.deliver(&lease).await, Outcome::Failed);
    }
    assert!(w.script.events().iter().all(|e| reason(e) == "the sealed contact is not valid"));
}

#[tokio::test]
async fn a_malformed_lease_fails_by_name_before_the_token_is_asked() {
    let w = world();
    let good = || w.lease(1, "mario@esempio.it");
    for (lease, what) in [
        (Lease { salt: "09".to_owned(), ..good() }, "salt"),
        (Lease { contact: "xx".to_owned(), ..good() }, "contact"),
        (Lease { control: "12345".to_owned(), ..good() }, "control number"),
        (Lease { control: "1234\r\n".to_owned(), ..good() }, "control number"),
        (Lease { template: "it/../x".to_owned(), ..good() }, "template"),
        (Lease { codes: Vec::new(), ..good() }, "list of codes"),
        (Lease { codes: vec![code("PAN", 1, 3)], ..good() }, "code"),
        (Lease { codes: vec![code("PIN", 1, 3), code("PIN", 2, 3)], ..good() }, "code"),
        (Lease { codes: vec![code("PIN", 1, 0)], ..good() }, "number of digits"),
        (Lease { codes: vec![code("PIN", 1, 21)], ..good() }, "number of digits"),
    ] {
        assert_eq!(w.deliver(&lease).await, Outcome::Failed);
        assert_eq!(reason(w.script.events().last().unwrap()), format!("the lease has a wrong {what}"));
    }
    assert_eq!(w.soft.calls(), 0);
}

#[tokio::test]
async fn a_missing_text_is_tried_again_before_anything_is_prepared() {
    let w = world();
    let lease = Lease { message: "saluti".to_owned(), ..w.lease(1, "mario@esempio.it") };
    assert_eq!(w.deliver(&lease).await, Outcome::Retry);
    assert_eq!(w.script.names(), ["retry"]);
}

#[tokio::test]
async fn the_gateways_answer_is_reported() {
    for (setback, outcome, status) in [
        (Setback::Failed("no such user".to_owned()), Outcome::Failed, "failed"),
        (Setback::Retry("mailbox full".to_owned()), Outcome::Retry, "retry"),
        (Setback::Trouble("x".repeat(300)), Outcome::Trouble, "returned"),
    ] {
        let w = world();
        w.script.send([Err(setback)]);
        assert_eq!(w.deliver(&w.lease(1, "mario@esempio.it")).await, outcome);
        assert_eq!(w.script.names(), ["prepared", "send", status]);
        let length = reason(&w.script.events()[2]).chars().count();
        assert!((1..=200).contains(&length));
    }
}

#[tokio::test]
async fn a_token_that_does_not_answer_is_trouble_and_says_no_more() {
    let faults = [Error::Busy, Error::Bug("slot 7".to_owned()), Error::Unavailable("slot 7".to_owned())];
    for fault in faults {
        let w = world();
        w.soft.fail_next([fault]);
        assert_eq!(w.deliver(&w.lease(1, "mario@esempio.it")).await, Outcome::Trouble);
        assert_eq!(w.script.names(), ["returned"]);
        let said = reason(&w.script.events()[0]);
        assert!(said.starts_with("the courier's token ") && !said.contains("slot"), "{said}");
    }
}
