//! A store put back from a copy is not served from: the checkpoint in the token is newer (I13).

use std::fs;

use crate::fixture::{Installation, demo::copy_all, eventually, process::Ran};

pub(crate) const STORE: &str = "authority/store";

pub(crate) fn serve(home: &Installation) -> Ran {
    home.sigillo(&["serve", "--config", home.path("authority/serve.toml").to_str().unwrap()])
}

/// Keeps a copy of the store, of a process that has ended or not: as whoever copies the disk does.
pub(crate) fn copy(home: &Installation, from: &str, to: &str) {
    let to = home.path(to);
    fs::create_dir(&to).unwrap();
    copy_all(&home.path(from), &to);
}

/// Waits until the token vouches for all that has happened.
pub(crate) async fn marked(home: &Installation) {
    eventually("a checkpoint in the token", async || {
        let (_, metrics) = home.internal("/metrics").await;
        metrics.lines().any(|line| line == "sigillo_checkpoint_behind_events 0").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_rolled_back_by_copy_is_refused_and_the_right_one_is_taken() {
    let mut home = Installation::serving().await;
    let desk = home.api("desk");
    let active = home.activated(&desk).await;
    home.serve.as_mut().unwrap().terminate();
    assert_eq!(home.serve.as_mut().unwrap().wait().await, Some(0));
    copy(&home, STORE, "yesterday");
    home.start().await;
    for guess in ["00000000", "11111111", "22222222"] {
        assert_eq!(active.card.verify(&home.api("desk"), guess).await.0, "rejected");
    }
    assert_eq!(active.card.look_up(&home.api("desk")).await["cip_tries_left"], 2);
    marked(&home).await;
    home.serve.as_mut().unwrap().kill();

    fs::rename(home.path(STORE), home.path("today")).unwrap();
    copy(&home, "yesterday", STORE);
    for _ in 0..2 {
        let said = serve(&home).ended(1).err;
        for part in
            ["the store is older than the newest checkpoint", "sigillo recover plan", "Nothing was changed"]
        {
            assert!(said.contains(part), "{part:?} is missing in {said}");
        }
    }
    fs::remove_dir_all(home.path(STORE)).unwrap();
    // An empty one is made where the token cannot be asked only.
    fs::rename(home.path("authority/pin"), home.path("pin")).unwrap();
    home.sigillo(&["init", "--config", "authority/serve.toml"]).ended(0);
    fs::rename(home.path("pin"), home.path("authority/pin")).unwrap();
    assert!(serve(&home).ended(1).err.contains("ends at event 0"));

    fs::remove_dir_all(home.path(STORE)).unwrap();
    fs::rename(home.path("today"), home.path(STORE)).unwrap();
    home.start().await;
    assert_eq!(active.card.look_up(&home.api("desk")).await["cip_tries_left"], 2);
}
