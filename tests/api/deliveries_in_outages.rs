//! Many deliveries, and in their middle the gateway, then the courier, then the gateway again are killed and come back:
//! every citizen gets the message, and one that comes twice is the same message.
//!
//! `SIGILLO_DELIVERIES` says how many deliveries on each channel, instead of the usual few.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::json;
use sigillo::clock::{Clock, SystemClock};
use tokio::task::JoinSet;

use crate::fixture::{Activated, Api, Installation, arrived, eventually, kannel::Kannel};

const USUAL: usize = 60;

fn deliveries() -> usize {
    std::env::var_os("SIGILLO_DELIVERIES").and_then(|text| text.to_str()?.parse().ok()).unwrap_or(USUAL)
}

/// With holds and gateways' times so short that what a killed courier held is soon due again, and limits that none meets.
async fn serving() -> Installation {
    let mut home = Installation::new();
    home.edit("authority/policies/authority.toml", "\nsequence = 1\n", "\nsequence = 2\n");
    home.edit("authority/policies/authority.toml", "lease_s = 120", "lease_s = 20");
    home.lift_courier_limits();
    for section in ["smtp", "sms"] {
        let file = format!("password_file = \"{section}.password\"\n");
        home.edit("courier/courier.toml", &file, &format!("{file}timeout_ms = 3000\n"));
    }
    home.start().await;
    home
}

/// Waits until a gateway has taken each; answers how many are known to have arrived.
async fn reach(desk: &Api, active: &[Activated]) -> usize {
    let mut delivered = 0;
    for active in active {
        delivered += eventually("a delivery that a gateway has taken", async || {
            let view = desk.get(&format!("/v1/deliveries/{}", active.delivery)).await.ok();
            assert_ne!(view["state"], "failed", "{view}");
            match view["state"].as_str().unwrap() {
                "sent" => Some(0),
                "delivered" => Some(1),
                _ => None,
            }
        })
        .await;
    }
    delivered
}

fn kill_courier(home: &mut Installation) {
    home.courier.as_mut().unwrap().kill();
    home.courier = Some(home.spawn("courier", "courier/courier.toml"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mail_arrives_though_relay_and_courier_are_killed() {
    let mut home = serving().await;
    let desk = Arc::new(home.api("desk"));
    let count = deliveries();
    let active = home.many_activated(&desk, count).await;
    let clock = SystemClock::new();
    home.start_courier();
    arrived(&home, count / 4, Installation::mail_count).await;
    let quarter = clock.uptime();
    home.relay.as_mut().unwrap().kill_and_restart();
    arrived(&home, count / 2, Installation::mail_count).await;
    kill_courier(&mut home);
    arrived(&home, count * 3 / 4, Installation::mail_count).await;
    home.relay.as_mut().unwrap().kill_and_restart();
    reach(&desk, &active).await;
    let whole = clock.uptime();

    let mut by_address: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for mail in home.all_mails() {
        let control = mail.after("Numero di controllo");
        by_address.entry(mail.after("X-Rcpt-To")).or_default().push((mail.after("Message-ID"), control));
    }
    let mut ids = BTreeSet::new();
    let mut copies = 0;
    for active in &active {
        let arrived =
            by_address.remove(&active.address).unwrap_or_else(|| panic!("{} is lost", active.address));
        assert!(arrived.iter().all(|one| *one == arrived[0]), "{arrived:?}");
        assert_eq!(arrived[0].1, active.control);
        assert!(ids.insert(arrived[0].0.clone()), "two messages of one name: {arrived:?}");
        copies += arrived.len() - 1;
    }
    assert!(by_address.is_empty(), "{by_address:?}");
    println!(
        "{count} by e-mail, relay killed twice, courier once: all arrived, {copies} of them twice under the same \
         Message-ID; {:.1}/s before the first kill, {:.0} s in all",
        rate(count / 4, quarter),
        whole.as_secs_f64()
    );
}

fn rate(count: usize, time: std::time::Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap()) / time.as_secs_f64()
}

/// Activates new cards whose second parts go to numbers of their own.
async fn activated_by_phone(home: &Installation, desk: &Arc<Api>, count: usize) -> Vec<Activated> {
    let mut running = JoinSet::new();
    for (n, card) in home.cards(count).await.into_iter().enumerate() {
        let (desk, number) = (Arc::clone(desk), format!("+39333{n:07}"));
        running.spawn(async move {
            let mut body = card.activation("");
            body["contact"] = json!({ "channel": "sms", "address": number });
            Activated::new(&card, &number, &desk.change("/v1/activations", &body).await)
        });
    }
    running.join_all().await
}

/// Kannel keeps what waits in files, as `kannel.conf.example` says for a tmpfs: in memory it would be lost with it.
const KEEPS: [(&str, &str); 3] = [
    ("dlr-storage = internal", "dlr-storage = spool"),
    ("# dlr-spool = \"/run/kannel/receipts\"", "dlr-spool = \"receipts\""),
    (
        "# store-type = spool\n# store-location = \"/run/kannel/store\"",
        "store-type = spool\nstore-location = \"store\"",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_text_message_arrives_though_kannel_and_courier_are_killed() {
    let mut home = serving().await;
    let receipts = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    home.edit("courier/courier.toml", "listen = \"127.0.0.1:0\"", &format!("listen = \"{receipts}\""));
    for directory in ["kannel/store", "kannel/receipts"] {
        std::fs::create_dir(home.path(directory)).unwrap();
    }
    let mut kannel = Kannel::start(&home, &KEEPS).await;
    kannel.connect_network();
    let desk = Arc::new(home.api("desk"));
    let count = deliveries();
    let active = activated_by_phone(&home, &desk, count).await;
    let clock = SystemClock::new();
    home.start_courier();
    arrived(&home, count / 4, Kannel::arrived).await;
    let quarter = clock.uptime();
    kannel.kill_and_restart().await;
    arrived(&home, count / 2, Kannel::arrived).await;
    kill_courier(&mut home);
    arrived(&home, count * 3 / 4, Kannel::arrived).await;
    kannel.kill_and_restart().await;
    reach(&desk, &active).await;
    arrived(&home, count, Kannel::arrived).await;
    // A receipt that Kannel has in hand when it is killed is lost with it; its message is not.
    let most = eventually("receipts of most", async || {
        let delivered = reach(&desk, &active).await;
        (delivered >= count * 3 / 4).then_some(delivered)
    })
    .await;
    let whole = clock.uptime();

    let mut by_number: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (number, text) in Kannel::texts(&home) {
        by_number.entry(number).or_default().push(text);
    }
    let mut copies = 0;
    for active in &active {
        let arrived =
            by_number.remove(&active.address).unwrap_or_else(|| panic!("{} is lost", active.address));
        assert!(arrived.iter().all(|one| *one == arrived[0]), "{arrived:?}");
        assert!(arrived[0].contains(&format!("Controllo n. {}.", active.control)), "{arrived:?}");
        copies += arrived.len() - 1;
    }
    assert!(by_number.is_empty(), "{by_number:?}");
    println!(
        "{count} by SMS, Kannel killed twice, courier once: all arrived, {most} seen delivered, {copies} of them twice \
         with the same text; {:.1}/s before the first kill, {:.0} s in all",
        rate(count / 4, quarter),
        whole.as_secs_f64()
    );
}
