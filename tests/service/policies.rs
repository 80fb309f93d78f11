//! Another policy set while the service runs: what cards have stays, and no start takes what nobody has signed.

use std::fs;

use sigillo::{
    domain::in_force::{NotAdmitted, Signing},
    policy::act,
    service::{Error, LineOutcome, Reloaded},
    store::{Reader as _, Space, memory::Memory},
};

use crate::{
    people::line,
    rules::{LAZIO, MARCHE, Rules, template},
    world::World,
};

async fn reload(w: &World) -> Result<Reloaded, Error> {
    w.service.reload_policy(None).await
}

#[tokio::test]
async fn cards_registered_after_it_get_the_templates_of_the_new_set() {
    let w = World::new().await;
    let before = w.service.policy();
    w.rules.template("paper", &template("PAPER/1", false, [(2, 3), (2, 6), (5, 0)], (5, 100)));
    w.rules.edit("authority.toml", "decoys = 32", "decoys = 40");
    let set = reload(&w).await.unwrap();
    assert!(set.changed && set.sequence > before.parameters().sequence);
    assert_eq!(*set.policy, **w.service.policy().digest());
    assert_eq!(
        w.all(Space::Tries).len(),
        40,
        "decoys that the new set asks for are there before it is in force"
    );
    w.registered(MARCHE).await;
    let again = reload(&w).await.unwrap();
    assert_eq!(again, Reloaded { changed: false, ..set });
}

#[tokio::test]
async fn a_set_that_changes_what_cards_have_is_refused_and_the_one_in_force_stays() {
    let w = World::new().await;
    w.registered(MARCHE).await;
    let before = w.service.policy();
    w.rules.template("paper", &template("PAPER/1", false, [(2, 3), (2, 6), (5, 0)], (5, 100)));
    w.rules.edit("authority.toml", "decoys = 32", "decoys = 40");
    let counters = w.all(Space::Tries).len();
    let refused = reload(&w).await.unwrap_err();
    assert!(matches!(&refused, Error::PolicyInUse(why) if why.contains("PAPER/1")), "{refused}");
    assert_eq!(w.service.policy().digest(), before.digest());
    assert_eq!(w.all(Space::Tries).len(), counters, "nothing was made for it");
    let last = w.events().pop().unwrap();
    assert_eq!((&last["kind"], &last["policy"]), (&"policy.refused".into(), &(**before.digest()).into()));
}

#[tokio::test]
async fn a_registration_under_a_former_set_gets_no_template_that_the_new_one_lacks() {
    let w = World::new().await;
    let call = w.bureau.call::<act::Register>("", "");
    let unchanged = w.bureau.call::<act::Register>("", "");
    w.rules.template("paper", &template("PAPER/1", false, [(2, 3), (2, 6), (5, 0)], (5, 100)));
    reload(&w).await.unwrap();
    let refused = w.service.register(&call, &[line(&w.produced(MARCHE))]).await;
    assert!(matches!(refused, Err(Error::Conflict)), "{refused:?}");
    assert!(w.all(Space::Card).is_empty());
    let done = w.service.register(&unchanged, &[line(&w.produced(LAZIO))]).await.unwrap();
    assert_eq!(done, [LineOutcome::Registered]);
}

#[tokio::test]
async fn without_signatures_a_set_comes_into_force_at_no_start() {
    let mut w = World::over(Memory::new(), Rules::new()).await;
    let good = fs::read_to_string(w.rules.path("authority.toml")).unwrap();
    w.rules.signing = Signing::Required;
    w.restart().await; // it is in force
    w.rules.edit("authority.toml", "keep_h = 24", "keep_h = 48");
    for _ in 0..2 {
        let refused = w.try_restart().await.unwrap_err();
        assert!(matches!(refused, Error::PolicyRefused(NotAdmitted::NoOfficers)), "{refused}");
    }
    fs::write(w.rules.path("authority.toml"), good).unwrap();
    w.restart().await;
}

#[tokio::test]
async fn who_may_sign_next_is_not_for_whoever_writes_the_store_to_say() {
    let mut w = World::new().await;
    w.service.store().close().await;
    let record = w.memory.get(Space::Checkpoint, b"policy").unwrap().unwrap();
    let text = String::from_utf8(record.value).unwrap();
    w.memory.tamper(Space::Checkpoint, b"policy", text.replace("needed 2", "needed 1").as_bytes().into());
    let refused = w.try_restart().await.unwrap_err();
    assert!(refused.to_string().contains("not of the token's audit key"), "{refused}");
    w.memory.tamper(Space::Checkpoint, b"policy", text.as_bytes().into());
    w.restart().await;
}
