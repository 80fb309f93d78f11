//! Nobody acts on a card of their own, and every act names its operator by a commitment (I8, I9, I14).

use sigillo::{
    domain::fictional::FictionalCard,
    policy::act,
    service::{Call, Error, Verdict, What},
};

use crate::{
    people::{OPERATOR, activation},
    rules::LAZIO,
    world::World,
};

fn own<T>(answer: &Result<T, Error>) -> bool {
    matches!(answer, Err(Error::OwnCard))
}

#[tokio::test]
async fn a_holder_cannot_act_on_a_card_of_their_own() {
    let w = World::new().await;
    let (card, who) = (w.registered(LAZIO).await, w.citizen(LAZIO).await);
    let holder = async |card: &FictionalCard| w.desk.used_by(card.tax_code.as_str()).await;
    assert!(own(&holder(&card).await.preview(&card).await));
    assert!(own(&holder(&card).await.activate(&card, "a").await));
    assert!(own(&holder(&who.card).await.reprint(&who.card, "b").await));
    // A verification looks at the request only (I6); what it is for is refused.
    let proof = holder(&who.card).await.verify(&who.card, &who.cip, "c").await.unwrap();
    assert_eq!(proof.outcome, Verdict::Accepted);
    assert!(own(&holder(&who.card).await.revoke(&who.card, proof.verification, "d").await));
    assert_eq!(w.log_of("card.activated").last().unwrap(), "refused: own_card");
    assert_eq!(w.log_of("codes.reprinted"), ["refused: own_card"]);
    assert_eq!(w.log_of("card.revoked"), ["refused: own_card"]);
    let refused = w.events().into_iter().rfind(|e| e["kind"] == "card.revoked").unwrap();
    assert_eq!(refused["card"], hex::encode(w.card(&who.card).registration().id.bytes()));

    // Another operator at the same counter may, and so may a holder with somebody else's card.
    holder(&who.card).await.activate(&card, "e").await.unwrap();
    holder(&card).await.reprint(&who.card, "f").await.unwrap();
}

#[tokio::test]
async fn an_act_without_operator_is_refused_before_anything_happens() {
    let w = World::new().await;
    let card = w.registered(LAZIO).await;
    let before = w.events().len();
    let request = || activation(&card);
    let nobody = |key| Call::<act::Activate> { operator: None, ..w.desk.call(key, "body") };
    let refused = w.service.activate(nobody("a"), request()).await.map(|_| ());
    assert!(matches!(refused, Err(Error::OperatorMissing)), "{refused:?}");
    let refused = w.service.preview_activation(nobody("b"), request()).await.map(|_| ());
    assert!(matches!(refused, Err(Error::OperatorMissing)), "{refused:?}");
    assert_eq!(w.events().len(), before);
}

#[tokio::test]
async fn an_accepted_verification_serves_its_operator_only() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let colleague = w.desk.used_by(w.produced(LAZIO).tax_code.as_str()).await;
    let proof = w.desk.verify(&who.card, &who.cip, "a").await.unwrap();
    let stolen = colleague.revoke(&who.card, proof.verification, "b").await;
    assert!(matches!(stolen, Err(Error::NotFound(What::Verification))), "{stolen:?}");
    w.desk.revoke(&who.card, proof.verification, "b").await.unwrap();
}

#[tokio::test]
async fn one_key_of_two_operators_is_two_keys() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let colleague = w.desk.used_by(w.produced(LAZIO).tax_code.as_str()).await;
    let mine = w.desk.verify(&who.card, &who.wrong(1), "same").await.unwrap();
    let theirs = colleague.verify(&who.card, &who.wrong(1), "same").await.unwrap();
    assert_ne!(mine.verification, theirs.verification);
    assert_eq!(w.tickets(), [1, 2]);
}

#[tokio::test]
async fn events_name_operators_by_a_commitment_that_the_store_does_not_hold() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    w.desk.verify(&who.card, &who.wrong(1), "a").await.unwrap();
    let other = w.desk.used_by(who.card.tax_code.as_str()).await;
    other.verify(&who.card, &who.wrong(1), "b").await.unwrap();
    let named = |kind: &str| -> Vec<String> {
        let of_kind = w.events().into_iter().filter(|e| e["kind"] == kind);
        of_kind.map(|e| e["operator"].as_str().unwrap().to_owned()).collect()
    };
    let (spent, decided) = (named("verification.spent"), named("verification.decided"));
    assert_eq!(spent, decided);
    assert!(spent[0] != spent[1] && spent.iter().all(|name| name.len() == 32));
    assert_eq!(named("card.activated"), [spent[0].as_str(); 2], "intent and outcome, by the usual operator");
    let stored = hex::encode(w.card(&who.card).registration().tax_code_mac);
    for event in w.events() {
        let text = event.to_string();
        assert!(!text.contains(&stored) && !text.contains(OPERATOR), "{text}");
    }
}
