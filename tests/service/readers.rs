//! Card readers: never from an empty stock, each receipt number once, one for a holder in the policy's time.

use std::collections::BTreeSet;

use sigillo::{
    domain::{
        card::Refusal,
        fictional::FictionalCard,
        readers::{HandOver, NoReader},
    },
    service::{Error, ReaderPreview, ReaderRequest, Receipt, Stocked, Stocking},
    store::Space,
};

use crate::{
    people::{Client, data},
    rules::LAZIO,
    world::{NOW_MS, World},
};

const DAY_MS: u64 = 86_400_000;

fn request(card: &FictionalCard, kind: HandOver, household: Option<&str>) -> ReaderRequest {
    ReaderRequest { card: data(card), kind, household: household.map(|name| name.parse().unwrap()) }
}

async fn hand_over(w: &World, desk: &Client, card: &FictionalCard, key: &str) -> Result<Receipt, Error> {
    w.service
        .request_reader(desk.call(key, card.team_number.as_str()), request(card, HandOver::Sale, None))
        .await
}

async fn for_household(
    w: &World,
    card: &FictionalCard,
    household: &str,
    key: &str,
) -> Result<Receipt, Error> {
    let request = request(card, HandOver::Free, Some(household));
    w.service.request_reader(w.desk.call(key, household), request).await
}

async fn preview(w: &World, card: &FictionalCard) -> Result<ReaderPreview, Error> {
    w.service.preview_reader(w.desk.call("", ""), request(card, HandOver::Sale, None)).await
}

async fn stock(w: &World, stocking: Stocking, key: &str) -> Result<Stocked, Error> {
    w.service
        .stock_readers(w.supervisor_of_readers().await.call(key, &format!("{stocking:?}")), stocking)
        .await
}

impl World {
    /// Registers the supervisor's card once.
    async fn supervisor_of_readers(&self) -> Client {
        let supervisor = self.desk.used_by_new(&crate::rules::supervisors()[0]);
        if self.all(Space::OperatorCard).len() < 2 {
            supervisor.register_operator().await.unwrap();
        }
        supervisor
    }
}

fn refused<T: std::fmt::Debug>(answer: Result<T, Error>) -> &'static str {
    match answer {
        Err(Error::Reader(why)) => why.code(),
        Err(Error::Field { code, .. }) => code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn one_from_the_stock_with_a_receipt_and_not_again_before_its_time() {
    let w = World::new().await;
    let (one, two) = (w.citizen(LAZIO).await.card, w.citizen(LAZIO).await.card);
    assert_eq!(refused(hand_over(&w, &w.desk, &one, "a").await), "reader_out_of_stock");
    assert_eq!(refused(preview(&w, &one).await), "reader_out_of_stock");
    let stocked = stock(&w, Stocking::Received(2), "in").await.unwrap();
    assert_eq!((stocked.before, stocked.in_stock, stocked.office.as_str()), (0, 2, "everywhere"));
    let again = stock(&w, Stocking::Received(2), "in").await.unwrap();
    assert_eq!(again.in_stock, 2, "the same request again takes nothing in");

    let shown = preview(&w, &one).await.unwrap();
    assert_eq!((shown.in_stock, shown.price_cents, shown.card.state), (2, 1000, "active"));
    let first = hand_over(&w, &w.desk, &one, "b").await.unwrap();
    assert_eq!((first.number, first.year, first.price_cents, first.kind), (1, 2026, 1000, HandOver::Sale));
    assert_eq!(hand_over(&w, &w.desk, &one, "b").await.unwrap(), first, "the same receipt");
    assert_eq!(refused(hand_over(&w, &w.desk, &one, "c").await), "reader_already_handed_over");
    let second = hand_over(&w, &w.desk, &two, "d").await.unwrap();
    assert_eq!(second.number, 2);
    assert_eq!(
        w.log_of("reader.handed_over"),
        ["refused: reader_out_of_stock", "done", "refused: reader_already_handed_over", "done"]
    );
    assert_eq!(w.log_of("reader.stocked"), ["done"]);
    let events = w.events();
    let done = events.iter().rfind(|e| e["kind"] == "reader.handed_over").unwrap();
    let said = ["office", "receipt", "handed_over", "price_cents"].map(|name| done[name].as_str().unwrap());
    assert_eq!(said, ["everywhere", "2026/2", "sale", "1000"]);

    // A count says what is there, and takes no number back. What is over begins anew.
    assert_eq!(stock(&w, Stocking::Counted(5), "count").await.unwrap().before, 0);
    let again = hand_over(&w, &w.desk, &one, "e").await;
    let Err(Error::Reader(NoReader::Again { at_ms })) = again else { panic!("{again:?}") };
    assert_eq!(at_ms - NOW_MS, 2192 * DAY_MS);
    w.advance_ms(2192 * DAY_MS);
    let expired = hand_over(&w, &w.desk, &one, "f").await;
    if one.expiry.is_expired("2032-05-28".parse().unwrap()) {
        assert!(matches!(expired, Err(Error::Refused(Refusal::CardExpired))), "{expired:?}");
    } else {
        assert_eq!(expired.unwrap().number, 1, "a new year");
    }
    assert_eq!(refused(stock(&w, Stocking::Received(u32::MAX), "much").await), "reader_stock_too_large");
}

#[tokio::test]
async fn a_household_counts_as_a_holder_does_where_it_is_named() {
    let w = World::new().await;
    let (one, two, three) =
        (w.citizen(LAZIO).await.card, w.citizen(LAZIO).await.card, w.citizen(LAZIO).await.card);
    stock(&w, Stocking::Received(9), "in").await.unwrap();
    let free = for_household(&w, &one, "anpr-77", "a").await.unwrap();
    assert_eq!((free.price_cents, free.kind), (0, HandOver::Free));
    assert_eq!(refused(for_household(&w, &two, "anpr-77", "b").await), "reader_already_handed_over");
    for_household(&w, &two, "anpr-78", "c").await.unwrap();
    for (key, value) in w.all(Space::Reader) {
        let text = format!("{} {}", String::from_utf8_lossy(&key), String::from_utf8_lossy(&value));
        assert!(!text.contains("anpr") && !text.contains(one.tax_code.as_str()), "{text}");
    }
    // By policy it must be named, and only one way may be left.
    w.rules.edit("authority.toml", "household = false", "household = true");
    w.rules.edit("authority.toml", "kinds = [\"free\", \"sale\"]", "kinds = [\"free\"]");
    w.service.reload_policy(None).await.unwrap();
    assert_eq!(refused(hand_over(&w, &w.desk, &three, "d").await), "reader_kind_not_offered");
    let nameless = request(&three, HandOver::Free, None);
    assert_eq!(refused(w.service.request_reader(w.desk.call("e", ""), nameless).await), "household_missing");
    for_household(&w, &three, "anpr-79", "f").await.unwrap();
}

#[tokio::test]
async fn only_for_an_active_card_of_somebody_else() {
    let w = World::new().await;
    stock(&w, Stocking::Received(9), "in").await.unwrap();
    let registered = w.registered(LAZIO).await;
    let early = hand_over(&w, &w.desk, &registered, "a").await;
    assert!(matches!(early, Err(Error::Refused(Refusal::CardNotActive))), "{early:?}");
    let card = w.citizen(LAZIO).await.card;
    let own = w.desk.used_by(card.tax_code.as_str()).await;
    assert!(matches!(hand_over(&w, &own, &card, "b").await, Err(Error::OwnCard)));
    assert_eq!(w.log_of("reader.handed_over"), ["refused: card_not_active", "refused: own_card"]);
}

/// Two offices of the same operators' list have stocks and numbers of their own; here one has many requests at one time.
#[tokio::test(flavor = "multi_thread")]
async fn parallel_requests_give_each_number_once_and_no_more_than_there_are() {
    const CITIZENS: usize = 12;
    const STOCK: u32 = 7;
    let w = World::new().await;
    let mut cards = Vec::new();
    for _ in 0..CITIZENS {
        cards.push(w.citizen(LAZIO).await.card);
    }
    stock(&w, Stocking::Received(STOCK), "in").await.unwrap();
    let mut running = tokio::task::JoinSet::new();
    for (number, card) in cards.into_iter().enumerate() {
        let (service, desk) = (std::sync::Arc::clone(&w.service), w.desk.clone());
        running.spawn(async move {
            let request = request(&card, HandOver::Sale, None);
            service.request_reader(desk.call(&format!("k{number}"), "body"), request).await
        });
    }
    let answers = running.join_all().await;
    let numbers: BTreeSet<u32> = answers.iter().filter_map(|a| a.as_ref().ok()).map(|r| r.number).collect();
    assert_eq!(numbers, (1..=STOCK).collect());
    let handed = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(handed, numbers.len(), "no number twice");
    for answer in answers {
        match answer {
            Ok(_) => {}
            Err(Error::Reader(NoReader::OutOfStock)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(stock(&w, Stocking::Counted(0), "count").await.unwrap().before, 0);
    let done = w.log_of("reader.handed_over").iter().filter(|outcome| *outcome == "done").count();
    assert_eq!(done, numbers.len());
}

/// One holder at two counters at one time: one reader.
#[tokio::test(flavor = "multi_thread")]
async fn one_holder_at_two_counters_gets_one() {
    let w = World::new().await;
    let card = w.citizen(LAZIO).await.card;
    stock(&w, Stocking::Received(9), "in").await.unwrap();
    let (one, two) = tokio::join!(hand_over(&w, &w.desk, &card, "a"), hand_over(&w, &w.desk, &card, "b"));
    let answers = [one, two];
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
    assert_eq!(stock(&w, Stocking::Counted(0), "count").await.unwrap().before, 8);
}
