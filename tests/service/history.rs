//! The history of a card: what operators see of it, page after page; and what follows the log to find it.

use std::collections::BTreeMap;

use sigillo::{
    domain::{
        counts::{Added, write_count},
        fictional::FictionalCard,
        history::{Cursor, Order, Query},
        id::CardId,
        logged::Logged,
    },
    service::{CardData, Cards, Error, History, HistoryRequest, LineOutcome, What},
    store::{
        Space,
        memory::{Fault, Memory},
    },
};

use crate::{
    people::{Client, line},
    rules::{LAZIO, LOMBARDIA, Rules, limits},
    world::World,
};

pub(crate) fn query(order: Order) -> Query {
    Query { order, from: None, to: None, kinds: Vec::new(), intents: false, operators: false }
}

/// What is printed on a card, and one page of so many entries.
fn request(card: &FictionalCard, query: Query, limit: usize, cursor: Option<Cursor>) -> HistoryRequest {
    let card =
        CardData { tax_code: card.tax_code.clone(), team: card.team_number.clone(), expires_on: card.expiry };
    HistoryRequest { card, cards: Cards::This, query, limit, cursor }
}

async fn ask(w: &World, client: &Client, request: HistoryRequest) -> Result<History, Error> {
    w.service.history(client.call("", ""), request).await
}

/// All pages, as kind and outcome; and how many there were.
async fn whole(w: &World, card: &FictionalCard, of: &Query, limit: usize) -> (Vec<String>, usize) {
    let (mut entries, mut cursor, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = ask(w, &w.desk, request(card, of.clone(), limit, cursor)).await.unwrap().page.unwrap();
        assert!(page.entries.len() <= limit);
        entries.extend(page.entries.iter().map(|event| format!("{} {}", event.kind, event.ended())));
        pages += 1;
        cursor = page.next;
        if cursor.is_none() {
            return (entries, pages);
        }
        // What happens meanwhile is on no later page.
        w.desk.look_up(card).await.unwrap();
    }
}

/// Entries and counts are what the log of the moment gives in one go, and nothing else.
pub(crate) fn agrees(w: &World) {
    let mut added = Added::default();
    for (seq, event) in (1..).zip(w.events()) {
        added.add(seq, &Logged::read(event.to_string().as_bytes()).unwrap());
    }
    let mut expected: BTreeMap<Vec<u8>, Vec<u8>> =
        added.counts.into_iter().map(|(key, count)| (key, write_count(count))).collect();
    expected.extend(added.entries.into_iter().map(|key| (key, Vec::new())));
    let stored: BTreeMap<_, _> = w.all(Space::History).into_iter().collect();
    assert_eq!(stored.len(), expected.len());
    assert!(stored == expected, "not what the log gives");
}

/// Brings entries and counts up to the log.
pub(crate) async fn follow(w: &World) {
    while w.service.follow_log(1).await.unwrap() {}
    assert_eq!(w.service.behind_log().unwrap(), 0);
}

#[tokio::test]
async fn a_history_is_read_page_by_page_in_both_orders() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    w.desk.reprint(&who.card, "again").await.unwrap();
    w.desk.verify(&who.card, &who.wrong(0), "wrong").await.unwrap();
    w.desk.look_up(&who.card).await.unwrap();
    let expected = [
        "card.registered done",
        "card.activated done",
        "delivery.queued done",
        "delivery.reported leased",
        "delivery.reported sent",
        "codes.reprinted done",
        "delivery.queued done",
        "verification.decided rejected",
        "card.looked_up done",
    ];
    assert_eq!(whole(&w, &who.card, &query(Order::Oldest), 100).await.0, expected);
    let (paged, pages) = whole(&w, &who.card, &query(Order::Oldest), 2).await;
    // What was looked up after the first time is there the second time, and not what was looked up meanwhile.
    assert_eq!(paged[..expected.len()], expected);
    assert_eq!(paged[expected.len()..], ["history.read done"]);
    assert_eq!(pages, 5);
    let (mut newest, pages) = whole(&w, &who.card, &query(Order::Newest), 3).await;
    newest.reverse();
    assert_eq!(newest[..expected.len()], expected);
    assert!(pages >= 4, "{pages}");

    // By kind, by day, and with what was about to be done.
    let kinds = vec!["card.activated".to_owned(), "codes.reprinted".to_owned()];
    let of_kinds = Query { kinds, intents: true, ..query(Order::Oldest) };
    let intents =
        ["card.activated intent", "card.activated done", "codes.reprinted intent", "codes.reprinted done"];
    assert_eq!(whole(&w, &who.card, &of_kinds, 3).await.0, intents);
    let day = |text: &str| Some(text.parse().unwrap());
    // The clock of the tests stands at 2026-05-28.
    for (from, to, some) in [
        ("2026-05-28", "2026-05-28", true),
        ("2026-05-29", "2026-06-30", false),
        ("2026-01-01", "2026-05-27", false),
    ] {
        let of_days = Query { from: day(from), to: day(to), ..query(Order::Newest) };
        assert_eq!(whole(&w, &who.card, &of_days, 100).await.0.is_empty(), !some, "{from} {to}");
    }
    agrees(&w);
}

#[tokio::test]
async fn a_cursor_serves_its_operator_card_and_query_alone_and_after_a_restart() {
    let mut w = World::new().await;
    let (card, other) = (w.registered(LAZIO).await, w.registered(LAZIO).await);
    for _ in 0..3 {
        w.desk.look_up(&card).await.unwrap();
    }
    let newest = query(Order::Newest);
    let first = ask(&w, &w.desk, request(&card, newest.clone(), 2, None)).await.unwrap().page.unwrap();
    let next = first.next.unwrap();
    let colleague = w.desk.used_by(w.produced(LAZIO).tax_code.as_str()).await;
    let mut mark = next.mark;
    mark[15] ^= 1;
    for (client, card, query, cursor) in [
        (&w.desk, &card, &newest, Cursor { at: next.at + 1, ..next }),
        (&w.desk, &card, &newest, Cursor { until: next.until + 1, ..next }),
        (&w.desk, &card, &newest, Cursor { mark, ..next }),
        (&w.desk, &card, &query(Order::Oldest), next),
        (&w.desk, &card, &Query { intents: true, ..newest.clone() }, next),
        (&w.desk, &other, &newest, next),
        (&colleague, &card, &newest, next),
    ] {
        let refused = ask(&w, client, request(card, query.clone(), 2, Some(cursor))).await;
        assert!(matches!(refused, Err(Error::Field { code: "bad_cursor", .. })), "{refused:?}");
    }
    w.restart().await;
    let rest = ask(&w, &w.desk, request(&card, newest, 10, Some(next))).await.unwrap().page.unwrap();
    let kinds: Vec<_> = rest.entries.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!((kinds, rest.next), (vec!["card.looked_up", "card.registered"], None));
}

#[tokio::test]
async fn what_is_seen_is_the_policys_to_say() {
    let rules = Rules::new();
    rules.append(
        "rules/operators.cedar",
        "@id(\"no_history_of_lombardia\")\nforbid (principal, action == Action::\"read_history\", resource)\n\
         when { resource.region == Region::\"030\" };\n",
    );
    rules.edit(
        "authority.toml",
        "\"reader.handed_over\", \"verification.decided\"",
        "\"reader.handed_over\"",
    );
    let w = World::over(Memory::new(), rules).await;
    let who = w.citizen(LAZIO).await;
    w.desk.verify(&who.card, &who.cip, "right").await.unwrap();
    let names = Query { operators: true, ..query(Order::Oldest) };
    let refused = ask(&w, &w.desk, request(&who.card, names.clone(), 10, None)).await;
    assert!(matches!(refused, Err(Error::NotAllowedOnCard(_))), "{refused:?}");
    let plain = ask(&w, &w.desk, request(&who.card, query(Order::Oldest), 10, None)).await.unwrap();
    let entries = plain.page.unwrap().entries;
    assert!(entries.iter().all(|event| event.operator.is_none() && event.kind != "verification.decided"));
    assert!(entries.iter().any(|event| event.office.as_deref() == Some("everywhere")));
    let supervisor = w.supervisor().await;
    let seen = ask(&w, &supervisor, request(&who.card, names, 10, None)).await.unwrap().page.unwrap();
    let named =
        seen.entries.iter().filter(|event| event.operator.as_ref().is_some_and(|name| name.len() == 32));
    assert!(named.count() >= 2);
    let hidden = Query { kinds: vec!["verification.decided".into()], ..query(Order::Oldest) };
    let refused = ask(&w, &w.desk, request(&who.card, hidden, 10, None)).await;
    assert!(matches!(refused, Err(Error::Field { code: "kind_not_shown", .. })), "{refused:?}");
    let away = w.registered(LOMBARDIA).await;
    let refused = ask(&w, &w.desk, request(&away, query(Order::Oldest), 10, None)).await;
    assert!(matches!(refused, Err(Error::NotAllowedOnCard(_))), "{refused:?}");
    let unknown = w.produced(LAZIO);
    let refused = ask(&w, &w.desk, request(&unknown, query(Order::Oldest), 10, None)).await;
    assert!(matches!(refused, Err(Error::NotFound(What::Card))), "{refused:?}");
    let mut log = w.log_of("history.read");
    log.sort();
    let expected = [
        "done",
        "done",
        "refused: card_not_found",
        "refused: not_allowed_on_card",
        "refused: not_allowed_on_card",
    ];
    assert_eq!(log, expected);
}

#[tokio::test]
async fn all_cards_of_a_holder_are_listed_and_one_is_chosen() {
    let rules = Rules::new();
    rules.append(
        "rules/operators.cedar",
        "@id(\"no_history_of_lombardia\")\nforbid (principal, action == Action::\"read_history\", resource)\n\
         when { resource.region == Region::\"030\" };\n",
    );
    let w = World::over(Memory::new(), rules).await;
    let card = w.registered(LAZIO).await;
    let mut of_holder = Vec::new();
    for region in [LAZIO, LOMBARDIA] {
        let other = FictionalCard { tax_code: card.tax_code.clone(), ..w.produced(region) };
        assert_eq!(w.bureau.register(&[line(&other)]).await.unwrap(), [LineOutcome::Registered]);
        of_holder.push(other);
    }
    let [second, away] = &of_holder[..] else { panic!() };
    let elsewhere = w.registered(LAZIO).await;
    let all = |chosen: Option<CardId>| HistoryRequest {
        cards: Cards::All(chosen),
        ..request(&card, query(Order::Oldest), 10, None)
    };
    let listed = ask(&w, &w.desk, all(None)).await.unwrap();
    assert!(listed.page.is_none(), "nothing is chosen yet");
    assert_eq!((listed.cards.len(), listed.withheld), (2, 1));
    assert!(listed.cards.is_sorted_by_key(|card| std::cmp::Reverse(card.expires_on)));
    let this: Vec<_> = listed.cards.iter().filter(|card| card.this).map(|card| card.id).collect();
    assert_eq!(this, [w.id(&card).unwrap()]);

    let chosen = w.id(second).unwrap();
    let page = ask(&w, &w.desk, all(Some(chosen))).await.unwrap().page.unwrap();
    assert_eq!(page.card, chosen);
    assert_eq!(page.entries.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>(), ["card.registered"]);
    for not_listed in [away, &elsewhere] {
        let refused = ask(&w, &w.desk, all(w.id(not_listed))).await;
        assert!(matches!(refused, Err(Error::NotFound(What::Card))), "{refused:?}");
    }
    // Each look-up is an event of the card that it was about.
    let read = |card: &FictionalCard| {
        let id = w.id(card).unwrap().to_string();
        w.events().iter().filter(|e| e["kind"] == "history.read" && e["card"] == id.as_str()).count()
    };
    assert_eq!((read(&card), read(second), read(away), read(&elsewhere)), (3, 1, 0, 0));
}

#[tokio::test]
async fn a_look_up_of_histories_is_charged() {
    let rules = Rules::new();
    let most = |most| limits::limit("look_ups", (most, most, most));
    rules.edit("authority.toml", &most(limits::OPERATOR), &most(2));
    let w = World::over(Memory::new(), rules).await;
    let card = w.registered(LAZIO).await;
    for _ in 0..2 {
        ask(&w, &w.desk, request(&card, query(Order::Newest), 1, None)).await.unwrap();
    }
    let refused = ask(&w, &w.desk, request(&card, query(Order::Newest), 1, None)).await;
    assert!(matches!(refused, Err(Error::TooMany { .. })), "{refused:?}");
    assert_eq!(w.log_of("history.read").len(), 2);
}

#[tokio::test]
async fn nothing_is_lost_or_counted_twice_whatever_ends_the_process() {
    for fault in [Fault::NotWritten, Fault::UnknownKept, Fault::UnknownLost] {
        for nth in 1..=4 {
            let mut w = World::new().await;
            let who = w.citizen(LAZIO).await;
            w.desk.verify(&w.produced(LAZIO), "12345678", "nobody's").await.unwrap();
            // Begin, half-way and up to date: the first two commits say that there was nothing before.
            w.memory.fail(nth, fault);
            let mut failed = false;
            for _ in 0..6 {
                failed |= w.service.follow_log(1).await.is_err();
                if failed {
                    break;
                }
                if nth == 4 {
                    w.desk.look_up(&who.card).await.unwrap();
                }
            }
            assert!(failed, "{fault:?} {nth}");
            w.memory.fail(0, fault);
            w.restart().await;
            follow(&w).await;
            agrees(&w);
        }
    }
}

#[tokio::test]
async fn upkeep_follows_the_log_and_nobody_has_to_ask() {
    let w = World::new().await;
    w.citizen(LAZIO).await;
    assert!(w.service.behind_log().unwrap() > 0);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let service = std::sync::Arc::clone(&w.service);
    let upkeep = tokio::spawn(async move { service.upkeep(async { drop(stopped.await) }).await });
    // Its clock moves when told; what it waits for between two looks is real.
    for _ in 0..2000 {
        if w.service.behind_log().unwrap() == 0 {
            break;
        }
        w.advance_ms(100);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(w.service.behind_log().unwrap(), 0);
    drop(stop);
    upkeep.await.unwrap();
    agrees(&w);
}

#[tokio::test]
async fn entries_of_another_form_are_made_again_from_the_log() {
    let mut w = World::new().await;
    w.citizen(LAZIO).await;
    follow(&w).await;
    agrees(&w);
    let [_, (key, cursor)] = &w.all(Space::Cursor)[..] else { panic!("two cursors") };
    assert_eq!(key, b"history");
    let mut far = cursor.clone();
    far[1..].copy_from_slice(&u64::MAX.to_be_bytes());
    for bad in [&[7; 9][..], b"", &[0; 9], &far] {
        for n in 0..1500_u32 {
            w.memory.tamper(Space::History, &[b"q", n.to_be_bytes().as_slice()].concat(), Some(b"old"));
        }
        w.memory.tamper(Space::Cursor, b"history", Some(bad));
        // Given up between any two commits.
        assert!(w.service.follow_log(2).await.unwrap());
        w.restart().await;
        follow(&w).await;
        agrees(&w);
    }
}

#[tokio::test]
async fn an_older_copy_of_the_store_goes_on_by_itself() {
    let mut w = World::new().await;
    w.citizen(LAZIO).await;
    follow(&w).await;
    let before = w.citizen(LAZIO).await;
    let (copy, events) = (w.memory.copy(), w.events().len());
    w.citizen(LAZIO).await;
    follow(&w).await;
    w.memory = copy;
    w.restart().await;
    assert_eq!(w.events().len(), events + 1, "the start");
    assert!(w.service.behind_log().unwrap() > 1);
    w.desk.look_up(&before.card).await.unwrap();
    follow(&w).await;
    agrees(&w);
}
