//! How often a C.I.P. can be guessed, by many at once and over a card's life (I4).

use std::pin::pin;

use sigillo::{
    domain::tries::Tries,
    service::{Error, Verdict},
    store::Space,
};
use tokio::task::JoinSet;

use crate::{
    post::Citizen,
    rules::{LAZIO, SICILIA},
    world::World,
};

impl World {
    /// The tickets of every try that was granted.
    pub(crate) fn tickets(&self) -> Vec<u32> {
        let spent = self.events().into_iter().filter(|event| event["kind"] == "verification.spent");
        let ticket = |event: serde_json::Value| event["ticket"].as_str().unwrap().parse().unwrap();
        spent.map(ticket).filter(|ticket| *ticket != 0).collect()
    }

    async fn verdict(&self, who: &Citizen, code: &str, key: &str) -> Verdict {
        self.desk.verify(&who.card, code, key).await.unwrap().outcome
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_at_once_get_five_guesses() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let mut guesses = JoinSet::new();
    for number in 0..64 {
        let (desk, card, code) = (w.desk.clone(), who.card.clone(), who.wrong(number % 8));
        guesses.spawn(async move { desk.verify(&card, &code, &format!("guess {number}")).await });
    }
    for answer in guesses.join_all().await {
        assert_eq!(answer.unwrap().outcome, Verdict::Rejected);
    }
    let mut tickets = w.tickets();
    tickets.sort_unstable();
    assert_eq!(tickets, [1, 2, 3, 4, 5]);
    assert_eq!(w.log_of("verification.spent").len(), 64);
    assert_eq!(w.log_of("verification.decided").len(), 64);
    assert_eq!(w.verdict(&who, &who.cip, "right").await, Verdict::Rejected);
    assert_eq!(w.tickets().len(), 5, "the right code came too late and got no try");
    assert_eq!(w.tries(&who.card).left(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_is_one_guess_however_often_it_is_sent_at_once() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let mut guesses = JoinSet::new();
    for _ in 0..64 {
        let (desk, card, code) = (w.desk.clone(), who.card.clone(), who.wrong(0));
        guesses.spawn(async move { desk.verify(&card, &code, "one key").await });
    }
    let mut names = Vec::new();
    for answer in guesses.join_all().await {
        match answer {
            Ok(answer) => names.push((answer.verification, answer.outcome)),
            Err(Error::InProgress) => {} // the first is still at it
            Err(other) => panic!("{other:?}"),
        }
    }
    names.dedup();
    assert!(matches!(names.as_slice(), [(_, Verdict::Rejected)]), "{names:?}");
    assert_eq!(w.tickets(), [1]);
    assert_eq!(w.log_of("verification.spent").len(), 1);
    assert_eq!(w.log_of("verification.decided").len(), 1);
    assert_eq!(w.tries(&who.card).left(), 4);
}

#[tokio::test]
async fn a_success_forgives_up_to_its_own_ticket_only() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    assert_eq!(w.verdict(&who, &who.wrong(0), "1").await, Verdict::Rejected);
    let mut right = pin!(w.desk.verify(&who.card, &who.cip, "2"));
    w.until_held(right.as_mut()).await;
    w.release().await;
    // Its try is spent, its answer still to come.
    assert_eq!(w.verdict(&who, &who.wrong(0), "3").await, Verdict::Rejected);
    assert_eq!(w.verdict(&who, &who.wrong(1), "4").await, Verdict::Rejected);
    assert_eq!(w.tickets(), [1, 2, 3, 4]);
    assert_eq!(w.tries(&who.card).left(), 1);
    assert_eq!(right.await.unwrap().outcome, Verdict::Accepted);
    assert_eq!(w.tries(&who.card).left(), 3, "tries 3 and 4 stay spent");
}

/// Two successes that end in the other order: the older one gives nothing back that the newer one did not.
#[tokio::test]
async fn an_older_success_that_ends_later_gives_nothing_more_back() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let mut older = pin!(w.desk.verify(&who.card, &who.cip, "1"));
    w.until_held(older.as_mut()).await;
    w.release().await;
    assert_eq!(w.verdict(&who, &who.wrong(0), "2").await, Verdict::Rejected);
    assert_eq!(w.verdict(&who, &who.cip, "3").await, Verdict::Accepted);
    assert_eq!(w.verdict(&who, &who.wrong(0), "4").await, Verdict::Rejected);
    assert_eq!(w.tries(&who.card).left(), 4);
    assert_eq!(older.await.unwrap().outcome, Verdict::Accepted);
    assert_eq!((w.tries(&who.card).left(), w.tries(&who.card).wrong()), (4, 2));
}

#[tokio::test]
async fn a_life_has_its_cap_whatever_succeeds_meanwhile() {
    let mut w = World::new().await;
    let who = w.citizen(SICILIA).await;
    for round in 0..3 {
        for number in 0..2 {
            let key = format!("wrong {round} {number}");
            assert_eq!(w.verdict(&who, &who.wrong(number), &key).await, Verdict::Rejected);
        }
        assert_eq!(w.verdict(&who, &who.cip, &format!("right {round}")).await, Verdict::Accepted);
    }
    assert_eq!(w.desk.look_up(&who.card).await.unwrap().cip_tries_left, Some(1), "six of seven are gone");
    assert_eq!(w.verdict(&who, &who.wrong(0), "the last").await, Verdict::Rejected);
    w.restart().await;
    for number in 0..4 {
        let key = format!("after {number}");
        assert_eq!(w.verdict(&who, &who.cip, &key).await, Verdict::Rejected, "locked for good");
    }
    assert_eq!((w.tries(&who.card).wrong(), w.tries(&who.card).left()), (7, 0));
    assert_eq!(w.tickets().len(), 10);
}

#[tokio::test]
async fn a_restart_gives_no_try_back() {
    let mut w = World::new().await;
    let who = w.citizen(LAZIO).await;
    for number in 0..8 {
        assert_eq!(w.verdict(&who, &who.wrong(0), &number.to_string()).await, Verdict::Rejected);
        w.restart().await;
    }
    assert_eq!(w.tickets(), [1, 2, 3, 4, 5]);
    assert_eq!(w.verdict(&who, &who.cip, "right").await, Verdict::Rejected);
}

#[tokio::test]
async fn unknown_cards_spend_on_decoys_and_never_on_a_card() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let of_cards =
        |w: &World| w.all(Space::Tries).into_iter().filter(|(k, _)| k[0] == b'c').collect::<Vec<_>>();
    // Every counter is at its beginning: what differs from a new one was spent on.
    let used = |w: &World| {
        let decoys = w.all(Space::Tries).into_iter().filter(|(k, _)| k[0] == b'd');
        decoys.filter(|(_, v)| Tries::decode(v).unwrap().left() < 5).map(|(_, v)| v).collect::<Vec<_>>()
    };
    let before = of_cards(&w);
    assert_eq!((before.len(), used(&w).len()), (1, 0));

    let nobody = w.produced(LAZIO);
    for number in 0..3 {
        let answer = w.desk.verify(&nobody, &who.cip, &format!("nobody {number}")).await.unwrap();
        assert_eq!(answer.outcome, Verdict::Rejected);
    }
    let decoys = used(&w);
    assert_eq!(decoys.len(), 1, "one number has one counter");
    assert_eq!(Tries::decode(&decoys[0]).unwrap().left(), 2);
    for number in 0..20 {
        let answer = w.desk.verify(&w.produced(LAZIO), "1234", &format!("many {number}")).await.unwrap();
        assert_eq!(answer.outcome, Verdict::Rejected);
        let answer = w.desk.verify(&nobody, "1234", &format!("used up {number}")).await.unwrap();
        assert_eq!(answer.outcome, Verdict::Rejected, "a decoy without tries answers like a card without");
    }
    assert!(used(&w).len() > 1);
    assert!(of_cards(&w) == before);
    assert_eq!(w.verdict(&who, &who.cip, "right").await, Verdict::Accepted);
}

/// A registered card that is not active has no C.I.P. yet; guesses at it are counted all the same.
#[tokio::test]
async fn guesses_before_activation_are_spent_too() {
    let w = World::new().await;
    let card = w.registered(LAZIO).await;
    for number in 0..7 {
        let answer = w.desk.verify(&card, "12345678", &number.to_string()).await.unwrap();
        assert_eq!(answer.outcome, Verdict::Rejected);
    }
    assert_eq!(w.tickets(), [1, 2, 3, 4, 5]);
    assert_eq!(w.desk.look_up(&card).await.unwrap().cip_tries_left, None);
}
