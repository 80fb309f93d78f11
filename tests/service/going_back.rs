//! A store or policy set older than the checkpoint in the token is not served from (I13).

use sigillo::{
    domain::{audit::Head, checkpoint::Checkpoint, going_back::GoneBack},
    hsm::{MARK_MAX, Place},
    service::{Error, Verdict},
    store::memory::Memory,
};

use crate::{people::line, rules::LAZIO, world::World};

/// What the token keeps, as far as its key has signed it.
fn kept(w: &World) -> Vec<Checkpoint> {
    let key = w.token.audit_public_key();
    let texts = w.token.marks().into_iter().flatten().filter_map(|bytes| String::from_utf8(bytes).ok());
    texts.filter_map(|text| Checkpoint::open(&text, key).ok()).collect()
}

fn newest_place(w: &World) -> Place {
    let [a, b] = w.token.marks().map(|mark| {
        let text = String::from_utf8(mark.unwrap_or_default()).unwrap_or_default();
        Checkpoint::open(&text, w.token.audit_public_key()).map_or((0, 0), |c| c.age())
    });
    if a >= b { Place::A } else { Place::B }
}

/// Puts another disk under the service and starts it again.
async fn start_on(w: &mut World, memory: &Memory) -> Result<(), Error> {
    w.service.store().close().await;
    w.memory = memory.clone();
    w.try_restart().await
}

#[tokio::test]
async fn an_older_copy_of_the_store_is_refused() {
    let mut w = World::new().await;
    let who = w.citizen(LAZIO).await;
    w.service.checkpoint().await.unwrap();
    let before = w.memory.copy();
    for n in 0..3 {
        w.desk.verify(&who.card, "00000000", &format!("w{n}")).await.unwrap();
    }
    let (_, seq) = w.service.checkpoint().await.unwrap();
    let now = w.memory.clone();

    let refused = start_on(&mut w, &before).await.unwrap_err();
    let Error::GoneBack(GoneBack::Older { seq: known, end, .. }) = &refused else { panic!("{refused}") };
    assert_eq!((*known, *end), (seq, seq - 6));
    for said in ["older than the newest checkpoint", "Nothing was changed", "sigillo recover"] {
        assert!(refused.to_string().contains(said), "{refused}");
    }
    // An empty one is the oldest of all.
    let refused = start_on(&mut w, &Memory::new()).await.unwrap_err();
    assert!(matches!(refused, Error::GoneBack(GoneBack::Older { end: 0, .. })), "{refused}");
    // The one that was there is as good as before, and the tries are spent.
    start_on(&mut w, &now).await.unwrap();
    assert_eq!(w.tries(&who.card).wrong(), 3);
}

#[tokio::test]
async fn another_copy_that_went_its_own_way_is_refused() {
    let mut w = World::new().await;
    let who = w.citizen(LAZIO).await;
    w.service.checkpoint().await.unwrap();
    let copy = w.memory.copy();
    // Without a mark: what a crash inside the window may lose.
    for n in 0..9 {
        w.desk.verify(&who.card, "00000000", &format!("a{n}")).await.unwrap();
    }
    let first = w.memory.clone();
    start_on(&mut w, &copy).await.unwrap();
    w.desk.verify(&who.card, "00000000", "b").await.unwrap();
    w.service.checkpoint().await.unwrap();
    let refused = start_on(&mut w, &first).await.unwrap_err();
    assert!(matches!(refused, Error::GoneBack(GoneBack::Forked { .. })), "{refused}");
}

#[tokio::test]
async fn a_write_cut_short_leaves_the_other_mark_and_nothing_readable_is_refused() {
    let mut w = World::new().await;
    w.citizen(LAZIO).await;
    let (older, _) = w.service.checkpoint().await.unwrap();
    w.citizen(LAZIO).await;
    let (text, _) = w.service.checkpoint().await.unwrap();
    assert_eq!(kept(&w).len(), 2);
    let place = newest_place(&w);
    for torn in [Some(text.as_bytes()[..100].to_vec()), Some(Vec::new()), Some(vec![0xff; MARK_MAX]), None] {
        w.token.tamper_mark(place, torn);
        w.restart().await;
        let [known] = &kept(&w)[..] else { panic!("one is left") };
        assert_eq!(known, &Checkpoint::open(&older, w.token.audit_public_key()).unwrap());
    }
    // The next one goes where the torn one was.
    w.service.checkpoint().await.unwrap();
    assert_eq!((kept(&w).len(), newest_place(&w)), (2, place));

    w.token.tamper_mark(Place::A, Some(b"another text".to_vec()));
    w.token.tamper_mark(Place::B, Some(Vec::new()));
    let refused = w.try_restart().await.unwrap_err();
    assert!(refused.to_string().contains("not signed by its audit key"), "{refused}");
    w.token.tamper_mark(Place::A, Some(Vec::new()));
    let refused = w.try_restart().await.unwrap_err();
    assert!(refused.to_string().contains("never had a checkpoint"), "{refused}");
    for place in Place::ALL {
        w.token.tamper_mark(place, None);
    }
    let refused = w.try_restart().await.unwrap_err();
    assert!(refused.to_string().contains("has no places for them"), "{refused}");
}

#[tokio::test]
async fn a_token_that_has_a_checkpoint_before_the_first_event() {
    let w = World::new().await;
    // The second one is that of the operator's registration.
    let [first, _] = &kept(&w)[..] else { panic!("the first start writes one") };
    assert_eq!(first.head, Head::EMPTY);
    assert_eq!((first.sequence, first.recoveries), (w.service.policy().parameters().sequence, 0));
}

#[tokio::test]
async fn a_policy_set_does_not_go_back_and_a_changed_one_has_another_number() {
    let mut w = World::new().await;
    let file = w.rules.path("authority.toml");
    let before = std::fs::read_to_string(&file).unwrap();
    w.rules.edit("authority.toml", "keep_h = 24", "keep_h = 48");
    w.restart().await;
    w.service.checkpoint().await.unwrap();
    let after = std::fs::read_to_string(&file).unwrap();

    std::fs::write(&file, &before).unwrap();
    let refused = w.try_restart().await.unwrap_err();
    assert!(matches!(refused, Error::GoneBack(GoneBack::PolicyOlder { .. })), "{refused}");
    std::fs::write(&file, after.replace("keep_h = 48", "keep_h = 47")).unwrap();
    let refused = w.try_restart().await.unwrap_err();
    assert!(matches!(refused, Error::GoneBack(GoneBack::PolicyChanged { .. })), "{refused}");
    std::fs::write(&file, &after).unwrap();
    w.restart().await;
}

#[tokio::test]
async fn nothing_is_spent_while_the_token_takes_no_mark() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let registered = w.produced(LAZIO);
    w.bureau.register(&[line(&registered)]).await.unwrap();
    w.service.checkpoint().await.unwrap();
    w.token.refuse_marks(true);
    w.service.checkpoint().await.unwrap_err();
    w.advance_ms(10_000);
    w.desk.verify(&who.card, "00000000", "a").await.unwrap();
    assert_eq!(w.tries(&who.card).wrong(), 1);

    w.service.checkpoint().await.unwrap_err();
    w.advance_ms(1);
    let produced = w.produced(LAZIO);
    for refused in [
        w.desk.verify(&who.card, &who.cip, "b").await.map(drop),
        w.desk.activate(&registered, "c").await.map(drop),
        w.bureau.register(&[line(&produced)]).await.map(drop),
    ] {
        let refused = refused.unwrap_err();
        assert!(matches!(&refused, Error::Unavailable(what) if what.contains("no checkpoint")), "{refused}");
    }
    assert_eq!(w.tries(&who.card).wrong(), 1);

    w.token.refuse_marks(false);
    w.service.checkpoint().await.unwrap();
    assert_eq!(w.desk.verify(&who.card, &who.cip, "b").await.unwrap().outcome, Verdict::Accepted);
    assert!(w.service.unmarked() > 0);
}
