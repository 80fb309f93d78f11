//! Templates in use are frozen: a policy may add versions, never change or drop one that a card has.

use std::fs;

use sigillo::{domain::template::CodeName::Cip, service::Error, store::Space};

use crate::{
    people::{first, printed},
    rules::{LAZIO, MARCHE, template},
    world::World,
};

/// What a start was refused with.
async fn refused(w: &mut World) -> String {
    match w.try_restart().await {
        Err(Error::PolicyInUse(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_edited_template_in_use_is_refused_by_name() {
    let mut w = World::new().await;
    let card = w.registered(LAZIO).await;
    let paper = printed(&w.desk.activate(&card, "a").await.unwrap());
    let text = fs::read_to_string(w.rules.path("templates/default.toml")).unwrap();
    let edits =
        [("lifetime = 100", "lifetime = 99"), ("in_a_row = 5", "in_a_row = 4"), ("second = 3", "second = 4")];
    for (from, to) in edits {
        w.rules.edit("templates/default.toml", from, to);
        let before = w.events().len();
        let why = refused(&mut w).await;
        assert!(why.contains("template IT/1") && why.contains("was changed"), "{why}");
        assert_eq!(w.events().len(), before, "it did not start");
        w.rules.template("default", &text);
    }
    // Comments and order are not what a template says.
    w.rules.template("default", &format!("# looked at by an officer\n{text}"));
    w.restart().await;
    assert_eq!(printed(&w.desk.activate(&card, "a").await.unwrap()), paper);
}

#[tokio::test]
async fn a_dropped_template_in_use_is_refused_by_name() {
    let mut w = World::new().await;
    w.registered(MARCHE).await;
    w.rules.edit("authority.toml", "\"110\" = \"PAPER/1\"\n", "");
    let text = fs::read_to_string(w.rules.path("templates/paper.toml")).unwrap();
    fs::remove_file(w.rules.path("templates/paper.toml")).unwrap();
    let why = refused(&mut w).await;
    assert!(why.contains("template PAPER/1") && why.contains("is missing"), "{why}");
    w.rules.template("paper", &text);
    w.restart().await;
}

#[tokio::test]
async fn a_template_that_no_card_has_may_change_and_go() {
    let mut w = World::new().await;
    w.registered(LAZIO).await;
    assert_eq!(w.all(Space::Template).len(), 1);
    w.rules.template("paper", &template("PAPER/1", false, [(2, 3), (2, 6), (8, 0)], (5, 100)));
    w.restart().await;
    let card = w.registered(MARCHE).await;
    let paper = w.desk.activate(&card, "a").await.unwrap();
    assert_eq!(first(&paper, Cip).unwrap().len(), 8);
    fs::remove_file(w.rules.path("templates/short.toml")).unwrap();
    w.rules.edit("authority.toml", "\"190\" = \"SHORT/1\"\n", "");
    w.restart().await;
}

#[tokio::test]
async fn a_new_version_is_for_new_cards() {
    let mut w = World::new().await;
    let old = w.citizen(LAZIO).await;
    let waiting = w.registered(LAZIO).await;
    let paper = w.desk.reprint(&old.card, "p").await.unwrap();
    w.rules.template("default-2", &template("IT/2", false, [(3, 3), (4, 4), (5, 5)], (2, 10)));
    w.rules.edit("authority.toml", "default = \"IT/1\"", "default = \"IT/2\"");
    w.restart().await;

    let again = w.desk.reprint(&old.card, "q").await.unwrap();
    assert_eq!(printed(&again).0, printed(&paper).0, "the PIN that is on the chip");
    w.desk.activate(&waiting, "a").await.unwrap();
    let new = w.registered(LAZIO).await;
    let sizes = |summary: sigillo::service::Summary| summary.codes;
    let before = w.desk.preview(&new).await.unwrap();
    assert_eq!(before.card.template, "IT/2");
    assert_eq!(sizes(before).iter().map(|(_, f, s)| (*f, *s)).collect::<Vec<_>>(), [(5, 5), (3, 3), (4, 4)]);
    let (of_old, of_waiting) =
        (w.desk.look_up(&old.card).await.unwrap(), w.desk.look_up(&waiting).await.unwrap());
    assert_eq!((of_old.template.as_str(), of_waiting.template.as_str()), ("IT/1", "IT/1"));
    assert_eq!((of_old.cip_tries_left, of_waiting.cip_tries_left), (Some(5), Some(5)));
    w.desk.activate(&new, "b").await.unwrap();
    assert_eq!(w.desk.look_up(&new).await.unwrap().cip_tries_left, Some(2));
    w.restart().await;
    assert_eq!(printed(&w.desk.reprint(&old.card, "r").await.unwrap()).0, printed(&paper).0);
}

#[tokio::test]
async fn more_decoys_are_made_at_a_start_and_none_is_reset() {
    let mut w = World::new().await;
    let nobody = w.produced(LAZIO);
    w.desk.verify(&nobody, "1", "v").await.unwrap();
    let before = w.all(Space::Tries);
    assert_eq!(before.len(), 32);
    w.rules.edit("authority.toml", "decoys = 32", "decoys = 1500");
    w.restart().await;
    let after = w.all(Space::Tries);
    assert_eq!(after.len(), 1500);
    assert!(before.iter().all(|record| after.contains(record)));
}
