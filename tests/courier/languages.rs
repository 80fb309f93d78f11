//! Messages in the citizen's language: the courier's own texts, under its own policy.

use sigillo::{api::courier::Lease, courier::Outcome};

use crate::fakes::{CARD, Event, RecordingGateway, World, world, world_under};

const A: &str = "mario@esempio.it";
const B: &str = "altro@esempio.it";

fn lease(w: &World<RecordingGateway>, number: u8, to: &str, message: &str) -> Lease {
    Lease { until_ms: u64::MAX, message: message.to_owned(), ..w.lease_for(CARD, number, to) }
}

/// Address and subject of what was sent.
fn sent(w: &World<RecordingGateway>) -> Vec<(String, String)> {
    let sent = w.script.events().into_iter().filter_map(|event| match event {
        Event::Sent { to, subject, .. } => Some((to, subject)),
        Event::Reported { .. } => None,
    });
    sent.collect()
}

#[tokio::test]
async fn texts_are_in_the_language_of_the_lease_and_the_former_contact_is_told_in_it() {
    let w = world();
    for (number, message, subject) in [
        (1, "de/activation", "Der zweite Teil der Codes Ihrer Gesundheitskarte"),
        (2, "fr/renewal", "Nouveau C.I.P. : la seconde partie pour votre carte sanitaire"),
        (3, "sl/reprint", "Ponovni izpis: drugi del kod Vaše zdravstvene izkaznice"),
    ] {
        assert_eq!(w.deliver(&lease(&w, number, A, message)).await, Outcome::Sent, "{message}");
        assert_eq!(sent(&w).pop(), Some((A.to_owned(), subject.to_owned())));
    }
    assert_eq!(w.deliver(&lease(&w, 4, B, "de/reprint")).await, Outcome::Waiting);
    w.courier.notify().await;
    let subject = "Gesundheitskarte: eine andere Adresse für Ihre Codes wurde beantragt";
    assert_eq!(sent(&w).pop(), Some((A.to_owned(), subject.to_owned())));
}

#[tokio::test]
async fn a_language_that_the_couriers_policy_has_not_is_refused() {
    let w = world_under(&[("[\"it\", \"de\", \"fr\", \"sl\"]", "[\"it\", \"de\"]")]);
    for message in ["fr/activation", "it/activation", "de/notice", "de/../notice", "en/activation"] {
        assert_eq!(w.deliver(&lease(&w, 1, A, message)).await, Outcome::Retry, "{message}");
    }
    assert!(sent(&w).is_empty());
    assert_eq!(w.deliver(&lease(&w, 1, A, "de/activation")).await, Outcome::Sent);
}
