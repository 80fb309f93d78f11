//! What leaves for the making of chips: cards that nobody has yet, each an event, and no part of a code.

use std::io::BufReader;

use sigillo::{
    card_export::{CardExport, Reader},
    domain::{fictional::FictionalCard, template::CodeName},
    service::CardData,
    store::{Reader as _, Space},
};

use crate::{
    people::{Client, line},
    rules::{LAZIO, LOMBARDIA},
    world::World,
};

/// Fingerprint of the shipped caller that exports cards.
const PERSONALISATION: [u8; 32] = [0x99; 32];

fn data(card: &FictionalCard) -> CardData {
    CardData { tax_code: card.tax_code.clone(), team: card.team_number.clone(), expires_on: card.expiry }
}

/// The one export that the service answers, verified.
async fn export(w: &World, lines: Vec<(u64, Result<CardData, String>)>) -> CardExport {
    let client = Client::new(&w.service, PERSONALISATION);
    let bytes = w.service.export_cards(&client.call("", ""), lines).await.unwrap();
    let mut reader = Reader::new(BufReader::new(bytes.as_slice()), w.token.audit_public_key());
    let export = reader.next_export().unwrap().unwrap();
    assert!(reader.next_export().unwrap().is_none());
    export
}

fn refused(export: &CardExport) -> Vec<(u64, &str)> {
    export.refused.iter().map(|line| (line.line, line.code.as_str())).collect()
}

#[tokio::test]
async fn registered_cards_leave_with_what_their_parts_are_derived_from() {
    let w = World::new().await;
    let cards: Vec<_> = (0..150).map(|n| w.produced(if n % 3 == 0 { LOMBARDIA } else { LAZIO })).collect();
    let lines: Vec<_> = cards.iter().map(line).collect();
    w.bureau.register(&lines).await.unwrap();
    w.hands.clear();
    let asked = (1..).zip(&cards).map(|(n, card)| (n, Ok(data(card)))).collect();
    let export = export(&w, asked).await;
    assert_eq!((export.cards.len(), refused(&export)), (150, vec![]));
    assert_eq!((export.start.log.as_str(), export.templates.len()), ("test", 2));
    for (card, exported) in cards.iter().zip(&export.cards) {
        let record = w.card(card);
        assert_eq!((&exported.team, Some(exported.id)), (&card.team_number, w.id(card)));
        assert_eq!(Some(&exported.salt), record.salt());
        assert_eq!(exported.template, record.registration().template);
        assert_eq!(exported.generation(CodeName::Pin), Some(record.generation(CodeName::Pin)));
        let template = &export.templates[&exported.template];
        let frozen = w.memory.get(Space::Template, exported.template.as_str().as_bytes()).unwrap();
        assert_eq!(template.freeze().into_bytes(), frozen.unwrap().value);
    }
    let events: Vec<_> = w.events().into_iter().filter(|event| event["kind"] == "card.exported").collect();
    assert_eq!(events.len(), 150);
    for (card, event) in cards.iter().zip(&events) {
        assert_eq!(event["card"], w.id(card).unwrap().to_string());
        assert_eq!((&event["outcome"], &event["caller"]), (&"done".into(), &"personalisation".into()));
    }
    assert!(w.service.hsm().counts().iter().all(|(key, count)| match key.label() {
        "print" | "verify" => *count == 0,
        _ => true,
    }));
}

#[tokio::test]
async fn nothing_leaves_about_a_card_that_gets_no_chip() {
    let w = World::new().await;
    let [produced, active, stranger, other] = [0, 1, 2, 3].map(|_| w.produced(LAZIO));
    let lines: Vec<_> = [&produced, &active, &other].map(line).into();
    w.bureau.register(&lines).await.unwrap();
    w.desk.activate(&active, "a").await.unwrap();
    let mut replaced = line(&w.produced(LAZIO));
    replaced.tax_code = other.tax_code.clone();
    replaced.former = Some(sigillo::service::Former::Replaces(other.team_number.clone()));
    w.bureau.register(&[replaced]).await.unwrap();
    let mut wrong = data(&produced);
    wrong.tax_code = stranger.tax_code.clone();
    let export = export(
        &w,
        vec![
            (1, Ok(data(&active))),
            (2, Ok(data(&produced))),
            (4, Ok(data(&produced))),
            (5, Ok(data(&stranger))),
            (6, Ok(wrong)),
            (7, Err("malformed_json".into())),
            (8, Ok(data(&other))),
        ],
    )
    .await;
    assert_eq!(export.cards.iter().map(|card| &card.team).collect::<Vec<_>>(), [&produced.team_number]);
    let expected = [
        (1, "card_already_active"),
        (4, "repeated_line"),
        (5, "card_not_found"),
        (6, "card_not_found"),
        (7, "malformed_json"),
        (8, "card_revoked"),
    ];
    assert_eq!(refused(&export), expected);
    assert_eq!(w.log_of("card.exported"), ["done", "refused"]);
    let event = w.events().into_iter().rfind(|event| event["kind"] == "card.exported").unwrap();
    assert_eq!(event["lines"], "6");
}
