//! A record that a disk has lost is noticed by the authority itself, which then serves that store no more.

use crate::{
    fixture::{Installation, eventually},
    going_back::{STORE, marked, serve},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_record_ends_the_service_and_every_later_start() {
    let mut home = Installation::serving().await;
    home.activated(&home.api("desk")).await;
    eventually("a pass over all records", async || {
        let (_, metrics) = home.internal("/metrics").await;
        metrics.lines().any(|line| line == "sigillo_store_patrols_total 1").then_some(())
    })
    .await;
    let look = |home: &Installation| home.sigillo(&["store", "check", "--config", "authority/serve.toml"]);
    assert!(look(&home).ended(1).err.contains("already open"));
    marked(&home).await;
    home.serve.as_mut().unwrap().terminate();
    assert_eq!(home.serve.as_mut().unwrap().wait().await, Some(0));
    let before = look(&home).ended(0).out;
    assert!(before.contains(": the sum holds") && before.contains("each is chained"), "{before}");

    {
        // A dropped sled keeps its lock for a moment.
        let db = eventually("the store is closed", async || ::sled::open(home.path(STORE)).ok()).await;
        // The tries of a card.
        let tries = db.scan_prefix(b"nc").keys().next().unwrap().unwrap();
        db.remove(tries).unwrap().unwrap();
        db.flush().unwrap();
    }
    let said = serve(&home).ended(1).err;
    assert!(said.contains("do not add up"), "{said}");
    assert!(home.path(STORE).join("damaged").exists());
    let said = serve(&home).ended(1).err;
    assert!(said.contains("do not add up") && said.contains("sigillo restore --help"), "{said}");
    assert!(!said.contains("HSM self-test"), "before the token is asked: {said}");
    let config = home.path("authority/serve.toml");
    let said = home.sigillo(&["serve", "--check", "--config", config.to_str().unwrap()]).ended(1).err;
    assert!(said.contains("`serve` would not start here") && said.contains("do not add up"), "{said}");
    // Its log is still good evidence.
    let looked = look(&home).ended(1);
    assert!(looked.out.contains("each is chained") && looked.err.contains("do not add up"), "{}", looked.err);
    let log = home.path("log.ndjson");
    home.sigillo(&[
        "audit",
        "export-store",
        "--store",
        home.path(STORE).to_str().unwrap(),
        "--out",
        log.to_str().unwrap(),
    ])
    .ended(0);
}
