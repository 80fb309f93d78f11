//! The log is handed over to another audit key: what was kept under the former one still counts, and it signs nothing new (I8, I13).

use std::sync::Arc;

use sigillo::{
    domain::{
        audit::Head,
        checkpoint::{Checkpoint, verify_export},
        going_back::GoneBack,
        handover::Handover,
    },
    hsm::{Place, Role, soft::SoftHsm},
    service::{Error, Service, handed_over},
    store::Space,
    witness::FileWitness,
};

use crate::{presented::signed, rules::LAZIO, world::World};

/// Hands the log over to the key of a token that has the marks of the world's; answers that one, which is gone.
async fn replaced(w: &mut World) -> SoftHsm {
    let next = SoftHsm::new(Role::Authority).unwrap();
    let service = Service::for_key_replacement(w.parts().await).await.unwrap();
    let accept = |digest| next.tokens(1).remove(0).sign(&digest);
    let seq = service.hand_over(next.audit_public_key(), accept).await.unwrap();
    assert_eq!(seq, service.store().head().seq);
    service.store().close().await;
    service.hsm().close().await;
    for (place, mark) in Place::ALL.into_iter().zip(w.token.marks()) {
        next.tamper_mark(place, mark);
    }
    std::mem::replace(&mut w.token, next)
}

/// An export, under the newest checkpoint.
async fn export(w: &World) -> String {
    let (newest, _) = w.service.checkpoint().await.unwrap();
    let events = w.service.events(&w.auditor.call("", ""), 0, 1000).unwrap();
    let mut lines: Vec<_> = events.iter().map(|event| serde_json::to_string(event).unwrap()).collect();
    lines.push(serde_json::json!({ "checkpoint": newest }).to_string());
    lines.join("\n")
}

#[tokio::test]
async fn what_was_kept_under_a_former_key_counts_and_nothing_new_of_it() {
    let mut w = World::new().await;
    w.citizen(LAZIO).await;
    let (kept, at) = w.service.checkpoint().await.unwrap();
    let former = replaced(&mut w).await;
    // The token still has the former key's marks: as a run that was cut off leaves it.
    w.restart().await;
    w.service.checkpoint().await.unwrap();
    let given = w.post.lease_with(1, Some(&kept)).await.unwrap().checkpoint;
    assert_ne!(given, kept);
    // One that it did not sign in its time.
    let late = signed(&former, "test", w.service.store().head().seq, 0);
    let refused = w.post.lease_with(1, Some(&late)).await.unwrap_err();
    assert!(matches!(refused, Error::Field { code: "invalid_value", .. }), "{refused}");
    w.post.lease_with(1, Some(&given)).await.unwrap();
    assert!(w.log_of("store.gone_back").is_empty());

    let log = export(&w).await;
    for key in [&former, &w.token] {
        let verified =
            verify_export(log.as_bytes(), key.audit_public_key(), std::slice::from_ref(&kept), |_, _| ())
                .unwrap();
        assert_eq!((verified.keys.now(), verified.keys.count()), (w.token.audit_public_key(), 2));
    }
    let [event] =
        &w.events().into_iter().filter(|e| e["kind"] == "audit.key_replaced").collect::<Vec<_>>()[..]
    else {
        panic!("one event")
    };
    let handover = Handover::open(event["handover"].as_str().unwrap()).unwrap();
    assert_eq!((handover.log.as_str(), handover.recoveries), ("test", 0));
    assert!(handover.head.seq >= at && handover.head.seq + 1 == event["seq"]);

    // What it signed in its time and this log does not hold ends it, as one of the key in force would.
    let forked = signed(&former, "test", 3, 0);
    let refused = w.post.lease_with(1, Some(&forked)).await.unwrap_err();
    assert!(matches!(refused, Error::GoneBack(GoneBack::Forked { seq: 3, .. })), "{refused}");
}

#[tokio::test]
async fn both_places_of_the_token_have_the_new_keys_checkpoint_and_a_second_key_comes_after_it() {
    let mut w = World::new().await;
    let mut all = Vec::new();
    for _ in 0..2 {
        all.push(replaced(&mut w).await);
        let service = Service::for_key_replacement(w.parts().await).await.unwrap();
        let head: Head = service.mark_both().await.unwrap();
        let keys = handed_over(service.store(), "test").unwrap().unwrap();
        let [a, b] = w.token.marks().map(|mark| String::from_utf8(mark.unwrap()).unwrap());
        for text in [&a, &b] {
            let opened = Checkpoint::open(text, keys.now()).unwrap();
            assert_eq!(opened.head, head);
        }
        assert_ne!(a, b, "equal ones are what a courier presents");
        service.store().close().await;
        service.hsm().close().await;
    }
    w.restart().await;
    let log = export(&w).await;
    for key in all.iter().chain([&w.token]) {
        assert!(verify_export(log.as_bytes(), key.audit_public_key(), &[], |_, _| ()).is_ok());
    }
}

#[tokio::test]
async fn a_witness_goes_on_with_the_new_key_and_takes_no_later_word_of_the_former_one() {
    let mut w = World::new().await;
    let (kept, _) = w.service.checkpoint().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("witness");
    std::fs::write(&file, &kept).unwrap();
    w.witnesses = vec![Arc::new(FileWitness::new(file.clone()))];
    let former = replaced(&mut w).await;
    w.restart().await;
    let told = std::fs::read_to_string(&file).unwrap();
    Checkpoint::open(&told, w.token.audit_public_key()).unwrap();
    // It would be newer than the store, and stop every start.
    std::fs::write(&file, signed(&former, "test", 9_999, 0)).unwrap();
    let refused = w.try_restart().await.unwrap_err().to_string();
    assert!(refused.contains("not signed by the audit key"), "{refused}");
    assert!(refused.contains("another key of this log"), "{refused}");
    std::fs::write(&file, &told).unwrap();
    w.restart().await;
}

#[tokio::test]
async fn store_and_token_are_of_one_key_or_nothing_starts() {
    let mut w = World::new().await;
    let before = w.memory.copy();
    let former = replaced(&mut w).await;
    w.restart().await;
    w.service.checkpoint().await.unwrap();
    let new = std::mem::replace(&mut w.token, former);
    let refused = w.try_restart().await.unwrap_err().to_string();
    assert!(refused.contains("was handed over to audit key"), "{refused}");
    // The store from before, with the token of today.
    w.token = new;
    let today = std::mem::replace(&mut w.memory, before);
    let refused = w.try_restart().await.unwrap_err();
    assert!(matches!(refused, Error::GoneBack(GoneBack::Older { .. })), "{refused}");
    w.memory = today;
    w.restart().await;

    // Whoever writes the store makes no key of it one of the log's.
    let record = w.all(Space::Checkpoint).into_iter().find(|(key, _)| key == b"audit_keys").unwrap().1;
    let record = String::from_utf8(record).unwrap();
    for changed in [record.replacen("seq ", "seq 1", 1), record.replace("accepted ", "x "), String::new()] {
        w.memory.tamper(Space::Checkpoint, b"audit_keys", Some(changed.as_bytes()));
        let refused = w.try_restart().await.unwrap_err().to_string();
        assert!(refused.contains("record of audit keys does not hold"), "{refused}");
    }
}
