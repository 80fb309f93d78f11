//! Salts of revoked cards are destroyed when their time is over (I10); the card stays what it is to everybody.

use sigillo::{
    domain::card::State,
    service::{Error, Verdict},
    store::{Space, memory::Fault},
};

use crate::{
    people::line,
    rules::{LAZIO, LOMBARDIA},
    world::World,
};

/// As in the shipped policy.
const KEEP_MS: u64 = 90 * 86_400_000;

impl World {
    fn has_salt(&self, card: &sigillo::domain::fictional::FictionalCard) -> bool {
        self.card(card).salt().is_some()
    }

    /// A citizen's card, revoked.
    async fn revoked(&self, region: &str, key: &str) -> crate::post::Citizen {
        let who = self.citizen(region).await;
        let asked = self.desk.ask(&who.card, &format!("{key} ask")).await.unwrap();
        self.supervisor().await.approve(&asked, &format!("{key} sign")).await.unwrap();
        self.desk.revoke_approved(&who.card, asked.id, key).await.unwrap();
        who
    }
}

#[tokio::test]
async fn a_salt_goes_with_its_time_and_the_card_is_found_and_refused_as_before() {
    let w = World::new().await;
    let who = w.revoked(LAZIO, "r").await;
    let in_use = w.citizen(LAZIO).await;
    let salt = *w.card(&who.card).salt().unwrap();
    let stored = |w: &World| {
        let all = [Space::Card, Space::Delivery, Space::Idem, Space::Event].map(|space| w.all(space));
        all.concat().iter().any(|(_, value)| value.windows(32).any(|part| part == salt))
    };
    w.advance_ms(KEEP_MS - 1);
    w.service.forget_expired().await.unwrap();
    assert!(w.has_salt(&who.card) && stored(&w));
    w.advance_ms(1);
    w.service.forget_expired().await.unwrap();
    let card = w.card(&who.card);
    assert_eq!((card.salt(), card.cip_first_tag(), card.cip_second_tag()), (None, None, None));
    assert!(!stored(&w), "no record holds it any more");
    assert!(w.has_salt(&in_use.card));
    assert_eq!(w.log_of("card.salt_destroyed"), ["done"]);
    let event = w.events().into_iter().find(|event| event["kind"] == "card.salt_destroyed").unwrap();
    assert_eq!(
        (event["caller"].as_str(), &event["card"]),
        (Some("sigillo"), &hex::encode(w.id(&who.card).unwrap().bytes()).into())
    );

    assert_eq!(w.desk.look_up(&who.card).await.unwrap().state, "revoked");
    assert_eq!(w.desk.verify(&who.card, &who.cip, "v").await.unwrap().outcome, Verdict::Rejected);
    for answer in [w.desk.reprint(&who.card, "p").await, w.desk.activate(&who.card, "a").await] {
        assert!(matches!(answer, Err(Error::Refused(_))), "{answer:?}");
    }
    w.advance_ms(KEEP_MS);
    w.service.forget_expired().await.unwrap();
    assert_eq!(w.log_of("card.salt_destroyed").len(), 1, "once");
}

/// However it came to be revoked: by the card that replaces it, or by the activation of the one that renews it.
#[tokio::test]
async fn every_way_of_revocation_ends_the_salt() {
    let w = World::new().await;
    let (replaced, renewed) = (w.citizen(LAZIO).await.card, w.citizen(LOMBARDIA).await.card);
    let (one, mut two) = (w.produced(LAZIO), w.produced(LOMBARDIA));
    let mut line_one = line(&one);
    line_one.tax_code = replaced.tax_code.clone();
    line_one.former = Some(sigillo::service::Former::Replaces(replaced.team_number.clone()));
    two.tax_code = renewed.tax_code.clone();
    let mut line_two = line(&two);
    line_two.former = Some(sigillo::service::Former::Renews(renewed.team_number.clone()));
    w.bureau.register(&[line_one, line_two]).await.unwrap();
    w.desk.activate(&two, "a").await.unwrap();
    for card in [&replaced, &renewed] {
        assert!(matches!(w.card(card).state(), State::Revoked { .. }) && w.has_salt(card));
    }
    w.advance_ms(KEEP_MS);
    w.service.forget_expired().await.unwrap();
    assert!(!w.has_salt(&replaced) && !w.has_salt(&renewed) && w.has_salt(&two));
    assert_eq!(w.log_of("card.salt_destroyed").len(), 2);
}

/// The commit fails in every way; what is left over is done at the next turn.
#[tokio::test]
async fn every_failure_of_the_commit_that_destroys() {
    for fault in [Fault::Fatal, Fault::NotWritten, Fault::UnknownKept, Fault::UnknownLost] {
        let mut w = World::new().await;
        let who = w.revoked(LAZIO, "r").await;
        w.advance_ms(KEEP_MS);
        w.memory.fail(1, fault);
        w.service.forget_expired().await.unwrap_err();
        w.restart().await;
        assert_eq!(w.has_salt(&who.card), fault != Fault::UnknownKept, "{fault:?}");
        w.service.forget_expired().await.unwrap();
        assert!(!w.has_salt(&who.card));
        assert_eq!(w.log_of("card.salt_destroyed"), ["done"], "{fault:?}");
        // What is left is of the dossiers, which are kept for longer.
        assert!(w.all(Space::Expiry).iter().all(|(key, _)| key[8] == b'y'));
    }
}
