//! Second parts by SMPP: the real courier, confined as in an installation, and a message centre of another make.

use std::{fs, os::unix::fs::PermissionsExt};

use serde_json::json;

use crate::{
    fixture::{Activated, Api, Installation, demo},
    sms::{NUMBER, activate, after, reaches},
    smsc::{Centre, PASSWORD},
};

/// Puts the centre into the courier's configuration, in the place of Kannel and its receipts.
fn by_smpp(home: &Installation, centre: &Centre) {
    let account =
        format!("url = \"http://{}\"\nuser = \"sigillo\"\npassword_file = \"sms.password\"\n", demo::SMS);
    home.edit("courier/courier.toml", &account, "");
    let receipts = "[sms.receipts]\nlisten = \"127.0.0.1:0\"\nkey_file = \"sms-receipts.key\"\n";
    let smpp = format!(
        "[sms.smpp]\nhost = \"127.0.0.1\"\nport = {}\ntls = false\nsystem_id = \"sigillo\"\npassword_file = \"smpp.password\"\n",
        centre.port
    );
    home.edit("courier/courier.toml", receipts, &smpp);
    let password = home.path("courier/smpp.password");
    fs::write(&password, PASSWORD).unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o400)).unwrap();
}

/// The whole C.I.P. is right: paper and message belong together.
async fn fits(desk: &Api, active: &Activated, text: &str) {
    assert!(text.contains(&active.control), "{text}");
    assert_eq!([after(text, "PIN").len(), after(text, "PUK").len()], [3, 6]);
    let cip = format!("{}{}", active.first_parts["CIP"], after(text, "C.I.P."));
    assert_eq!(active.card.verify(desk, &cip).await.0, "accepted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confined_courier_sends_by_smpp_and_takes_receipts_over_a_new_connection() {
    let mut home = Installation::serving().await;
    let mut centre = Centre::start();
    by_smpp(&home, &centre);
    home.start_courier();
    let desk = home.api("desk");
    let active = activate(&home, &desk, json!({ "channel": "sms", "address": NUMBER })).await;
    let sent = reaches(&desk, &active, "sent").await;
    assert_eq!((&sent["channel"], &sent["control"]), (&json!("sms"), &json!(active.control)));
    let courier = home.courier.as_ref().unwrap();
    assert!(courier.said().contains("confined to its files, ports and system calls"), "{}", courier.said());
    for task in fs::read_dir(format!("/proc/{}/task", courier.pid())).unwrap() {
        let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        assert!(status.contains("NoNewPrivs:\t1") && status.contains("Seccomp:\t2"), "{status}");
    }
    let [message] = &centre.noted("messages")[..] else { panic!("one message") };
    assert_eq!(message[1..6], ["TS-CNS", "393337654321", "0", "0", "1"]);
    // The shipped text has no character whose place in the alphabet is another than in ASCII.
    let text = String::from_utf8(hex::decode(&message[6]).unwrap()).unwrap();
    fits(&desk, &active, &text).await;

    // The profile holds for a connection that is made later too, and the id of the message outlives it.
    centre.kill();
    centre.start_again();
    centre.brings_receipts();
    let view = reaches(&desk, &active, "delivered").await;
    assert_eq!(view["attempts"], 1);
    assert_eq!(centre.noted("binds"), vec![["sigillo", "ok"]; 2]);

    // In Slovene: UCS-2, in parts that belong together; the last one's receipt is the message's.
    let to = json!({ "channel": "sms", "address": NUMBER, "language": "sl" });
    let active = activate(&home, &desk, to).await;
    reaches(&desk, &active, "delivered").await;
    let parts = centre.noted("messages").split_off(1);
    let count = u8::try_from(parts.len()).unwrap();
    assert!((2..=3).contains(&count), "{parts:?}");
    let mut units = Vec::new();
    for (number, part) in (1..).zip(&parts) {
        assert_eq!(part[3..6], ["64", "8", if number == count { "1" } else { "2" }]);
        let octets = hex::decode(&part[6]).unwrap();
        assert_eq!((octets[..3].to_vec(), octets[4..6].to_vec()), (vec![5, 0, 3], vec![count, number]));
        assert!(octets.len() <= 140, "{}", octets.len());
        units.extend(octets[6..].chunks(2).map(|unit| u16::from_be_bytes([unit[0], unit[1]])));
    }
    let text = String::from_utf16(&units).unwrap();
    assert!(text.starts_with("Zdravstvena izkaznica: drugi del kod. List št. "), "{text}");
    fits(&desk, &active, &text).await;

    let said = home.courier.as_ref().unwrap().said();
    for secret in [NUMBER.trim_start_matches('+'), PASSWORD, "Tessera", "izkaznica"] {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
}
