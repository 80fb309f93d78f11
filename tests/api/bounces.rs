//! Mail that the relay took and that a server behind it refuses: the real courier, a real Postfix, its own notification.

use std::fs;

use serde_json::{Value, json};

use crate::fixture::{
    Activated, Api, Installation, eventually,
    postfix::{Postfix, read_bounces},
};

async fn activate(home: &Installation, desk: &Api, address: &str) -> Activated {
    let card = home.cards(1).await.remove(0);
    Activated::new(&card, address, &desk.change("/v1/activations", &card.activation(address)).await)
}

async fn reaches(desk: &Api, active: &Activated, state: &str) -> Value {
    eventually(&format!("the state {state}"), async || {
        let view = desk.get(&format!("/v1/deliveries/{}", active.delivery)).await.ok();
        (view["state"] == state).then_some(view)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_is_seen_at_the_delivery_and_a_reprint_mends_it() {
    let mut home = Installation::serving().await;
    let desk = home.api("desk");
    let postfix = Postfix::start(&home).await;
    // Of the courier alone at first, so that what Postfix returns can be looked at.
    let own = home.path("courier/returned");
    fs::create_dir_all(own.join("new")).unwrap();
    read_bounces(&home, &own);
    home.start_courier_at(postfix.port);
    let arrived = activate(&home, &desk, "noto@esempio.it").await;
    let lost = activate(&home, &desk, "ignoto@esempio.it").await;
    reaches(&desk, &lost, "sent").await;
    let returned = eventually("a bounce", async || postfix.returned().pop()).await;
    let text = fs::read_to_string(&returned).unwrap();
    // Headers alone, and its name in the envelope and among them.
    let name = text.lines().find_map(|line| line.strip_prefix("Original-Envelope-Id: ")).expect("ENVID");
    assert!(text.lines().any(|line| line == format!("X-Delivery-Slip: {name}")), "{text}");
    assert!(text.contains("Action: failed\nStatus: 5.1.1\n"), "{text}");
    assert!(!text.contains("Seconda parte") && !text.contains(&lost.control), "{text}");
    assert!(home.mail("noto@esempio.it").await.text.contains("Seconda parte"));

    // Nobody but the servers on the way has that name: what else comes in is removed, to no effect.
    let forged = home.mail("noto@esempio.it").await.after("Message-ID");
    let of = |name: &str| {
        let other = text.replace(&text[text.find("sigillo.").unwrap()..][..name.len().min(88)], name);
        assert_ne!(other, text);
        other
    };
    let made_up = format!("sigillo.{}", "A".repeat(80));
    for (n, mail) in
        [of(&made_up), text.replace("sigillo.", "segillo."), forged, "x".repeat(300_000)].iter().enumerate()
    {
        fs::write(own.join(format!("new/forged-{n}")), mail).unwrap();
    }
    eventually("an empty directory", async || {
        (fs::read_dir(own.join("new")).unwrap().count() == 0).then_some(())
    })
    .await;
    for active in [&arrived, &lost] {
        assert_eq!(reaches(&desk, active, "sent").await["reason"], Value::Null);
    }

    fs::copy(&returned, own.join("new/true")).unwrap();
    fs::remove_file(&returned).unwrap();
    let view = reaches(&desk, &lost, "failed").await;
    assert_eq!((&view["reason"], &view["attempts"]), (&json!("relay: bounced: 5.1.1"), &json!(1)));
    assert_eq!(reaches(&desk, &arrived, "sent").await["reason"], Value::Null);

    // As installed: the courier empties what Postfix fills.
    home.courier.as_mut().unwrap().kill();
    home.edit("courier/courier.toml", own.to_str().unwrap(), postfix.maildir().to_str().unwrap());
    home.courier = Some(home.spawn("courier", "courier/courier.toml"));
    let again = activate(&home, &desk, "ignoto@esempio.it").await;
    assert_eq!(reaches(&desk, &again, "failed").await["reason"], "relay: bounced: 5.1.1");
    eventually("an empty Maildir", async || postfix.returned().is_empty().then_some(())).await;

    // Nothing is lost: the same codes go to an address that is right.
    let reprint = lost.card.reprint("giusto@esempio.it", "message_not_received");
    let answer = desk.change("/v1/reprints", &reprint).await;
    let mended = Activated::new(&lost.card, "giusto@esempio.it", &answer);
    assert_eq!(mended.first_parts, lost.first_parts);
    let view = eventually("the reprint on its way", async || {
        let view = desk.get(&format!("/v1/deliveries/{}", mended.delivery)).await.ok();
        ["sent", "waiting"].contains(&view["state"].as_str().unwrap()).then_some(view)
    });
    view.await;
    let said = home.courier.as_ref().unwrap().said();
    assert!(!said.contains("ignoto") && said.contains("receipt"), "{said}");
}
