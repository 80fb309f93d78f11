//! The log as an auditor gets it: whole, it verifies with a copy and a public key; tampered with, it does not (I8).

use sigillo::{
    domain::{
        audit::Head,
        checkpoint::{Broken, Checkpoint, verify_export},
        id::RequestId,
    },
    hsm::{Role, soft::SoftHsm},
    service::{Operator, RefusedRequest},
    store::Space,
};

use crate::{people::OPERATOR, rules::LAZIO, world::World};

/// An export: a line for each event, then the checkpoint.
struct Export {
    lines: Vec<String>,
    checkpoint: String,
    key: Vec<u8>,
}

fn checkpoint_line(text: &str) -> String {
    serde_json::json!({ "checkpoint": text }).to_string()
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap()
}

/// A log of some length, exported in steps of seven.
async fn export(w: &World) -> Export {
    let who = w.citizen(LAZIO).await;
    for number in 0..5 {
        w.desk.verify(&who.card, &who.wrong(number), &format!("v{number}")).await.unwrap();
    }
    let call = w.auditor.call("", "");
    let (checkpoint, until) = w.service.read_checkpoint(&call).await.unwrap();
    let mut lines: Vec<String> = Vec::new();
    loop {
        let events = w.service.events(&call, count(lines.len()), 7).unwrap();
        if events.is_empty() {
            break;
        }
        assert!(events.len() <= 7);
        lines.extend(events.iter().map(|event| serde_json::to_string(event).unwrap()));
    }
    assert_eq!(count(lines.len()), until);
    Export { lines, checkpoint, key: w.token.audit_public_key().to_vec() }
}

impl Export {
    fn verify(&self, witnesses: &[String]) -> Result<Checkpoint, Broken> {
        let text: String = self.lines.iter().map(|line| format!("{line}\n")).collect();
        let mut last = 0;
        verify_export(text.as_bytes(), &self.key, witnesses, |head, _| {
            assert_eq!(head.seq, last + 1);
            last = head.seq;
        })
        .map(|verified| verified.newest)
    }

    /// These lines, with the checkpoint at their end.
    fn changed(&self, change: impl FnOnce(&mut Vec<String>)) -> Result<Checkpoint, Broken> {
        let mut lines = self.lines.clone();
        change(&mut lines);
        lines.push(checkpoint_line(&self.checkpoint));
        Self { lines, checkpoint: self.checkpoint.clone(), key: self.key.clone() }.verify(&[])
    }
}

/// The event's own text in a line of an export.
fn event_of(line: &str) -> String {
    let value: &serde_json::value::RawValue = serde_json::from_str(line).unwrap();
    let at = value.get().find("\"event\":").unwrap() + 8;
    value.get()[at..value.get().len() - 1].to_owned()
}

#[tokio::test]
async fn an_export_verifies_to_its_end() {
    let mut w = World::new().await;
    let export = export(&w).await;
    assert!(export.lines.len() > 15);
    let newest = export.changed(|_| {}).unwrap();
    assert_eq!((newest.head.seq, newest.log.as_str()), (count(export.lines.len()), "test"));
    assert_eq!(newest.policy, **w.service.policy().digest());
    assert_eq!(newest.head, w.service.store().head());
    assert_eq!(w.log_of("audit.read"), ["done"]);

    // The witness of yesterday vouches for the beginning of what is there today.
    w.restart().await;
    let (today, seq) = w.service.checkpoint().await.unwrap();
    assert_eq!(seq, newest.head.seq + 1, "the start is an event");
    let stored = w.all(Space::Checkpoint).into_iter().find(|(key, _)| key == b"latest");
    assert_eq!(stored.unwrap().1, today.as_bytes());
    let all = w.service.events(&w.auditor.call("", ""), 0, 1000).unwrap();
    let mut lines: Vec<_> = all.iter().map(|event| serde_json::to_string(event).unwrap()).collect();
    lines.push(checkpoint_line(&today));
    let longer = Export { lines, ..export };
    assert_eq!(longer.verify(std::slice::from_ref(&longer.checkpoint)).unwrap().head.seq, seq);
}

#[tokio::test]
async fn a_changed_byte_is_found_where_it_is() {
    let w = World::new().await;
    let export = export(&w).await;
    for number in [0, 7, export.lines.len() - 1] {
        for (from, to) in
            [("\"kind\"", "\"kinc\""), ("\"policy\":\"", "\"policy\":\"0"), ("\"seq\":", "\"seq\":1")]
        {
            assert!(export.lines[number].contains(from));
            let broken = export.changed(|lines| lines[number] = lines[number].replacen(from, to, 1));
            let expected = count(number) + 1;
            assert!(matches!(broken, Err(Broken::Chain(seq)) if seq == expected), "{from}: {broken:?}");
        }
        let other_hash = export.changed(|lines| {
            let digit = if lines[number].as_bytes()[9] == b'0' { "1" } else { "0" };
            lines[number].replace_range(9..10, digit);
        });
        assert!(matches!(other_hash, Err(Broken::Chain(seq)) if seq == count(number) + 1), "{other_hash:?}");
    }
}

#[tokio::test]
async fn removed_swapped_and_repeated_events_are_found() {
    let w = World::new().await;
    let export = export(&w).await;
    let last = export.lines.len();
    for number in [0, 5, last - 2] {
        let at = count(number) + 1;
        let removed = export.changed(|lines| drop(lines.remove(number)));
        assert!(matches!(removed, Err(Broken::Chain(seq)) if seq == at), "{removed:?}");
        let swapped = export.changed(|lines| lines.swap(number, number + 1));
        assert!(matches!(swapped, Err(Broken::Chain(seq)) if seq == at), "{swapped:?}");
        let repeated = export.changed(|lines| lines.insert(number + 1, lines[number].clone()));
        assert!(matches!(repeated, Err(Broken::Chain(seq)) if seq == at + 1), "{repeated:?}");
    }
}

#[tokio::test]
async fn a_cut_end_is_found_with_the_checkpoint_or_a_witness() {
    let w = World::new().await;
    let export = export(&w).await;
    let all = count(export.lines.len());
    let cut = export.changed(|lines| lines.truncate(9));
    assert!(matches!(cut, Err(Broken::Truncated { vouched, end: 9 }) if vouched == all), "{cut:?}");

    // The thief takes the checkpoint away too, and puts an older one in its place.
    let (mut short, newest) =
        (Export { lines: export.lines[..9].to_vec(), ..export }, w.service.checkpoint().await);
    let bare = short.verify(&[]);
    assert!(matches!(bare, Err(Broken::NotCovered(9))), "{bare:?}");
    let cut = short.verify(&[newest.unwrap().0]);
    assert!(matches!(cut, Err(Broken::Truncated { vouched, end: 9 }) if vouched == all), "{cut:?}");
    short.lines.clear();
    let nothing = short.verify(std::slice::from_ref(&short.checkpoint));
    assert!(matches!(nothing, Err(Broken::Truncated { end: 0, .. })), "{nothing:?}");
}

/// Who rewrites the chain from some event on cannot sign the checkpoint anew.
#[tokio::test]
async fn a_rewritten_history_is_found() {
    let w = World::new().await;
    let export = export(&w).await;
    let rewritten = export.changed(|lines| {
        let mut head = Head::EMPTY;
        for (number, line) in lines.iter_mut().enumerate() {
            let mut event = event_of(line);
            if number == 4 {
                event = event.replacen("\"caller\":\"", "\"caller\":\"not-", 1);
            }
            head = head.next(event.as_bytes()).unwrap();
            *line = format!("{{\"hash\":\"{}\",\"event\":{event}}}", hex::encode(head.hash));
        }
    });
    let all = count(export.lines.len());
    assert!(matches!(rewritten, Err(Broken::History(seq)) if seq == all), "{rewritten:?}");

    let stranger = SoftHsm::new(Role::Authority).unwrap();
    let forged = Export { key: stranger.audit_public_key().to_vec(), ..export };
    let forged = forged.changed(|_| {});
    assert!(matches!(forged, Err(Broken::Signature(seq)) if seq == all), "{forged:?}");
}

#[tokio::test]
async fn refusals_before_a_card_are_evidence() {
    let w = World::new().await;
    let request = RequestId::new([3; 16]);
    let refused = RefusedRequest {
        caller: None,
        certificate: [0xab; 32],
        operator: None,
        operation: "activations",
        reason: "unknown_caller",
        rule: None,
    };
    w.service.refused(request, refused).await.unwrap();
    let card = w.registered(LAZIO).await;
    w.desk.look_up(&card).await.unwrap();
    let named = w.events().last().unwrap()["operator"].clone();
    let refused = RefusedRequest {
        caller: Some("bureau".into()),
        certificate: [0xab; 32],
        operator: Some(Operator::new(OPERATOR.parse().unwrap())),
        operation: "revocations",
        reason: "operator_not_allowed",
        rule: Some("no_nights".into()),
    };
    w.service.refused(request, refused).await.unwrap();
    assert_eq!(w.log_of("request.refused"), ["refused: unknown_caller", "refused: operator_not_allowed"]);
    let events = w.events();
    let of_request: Vec<_> = events.iter().filter(|event| event["request"] == request.to_string()).collect();
    let [unknown, known] = of_request[..] else { panic!("two events") };
    assert_eq!(
        (unknown.get("operator"), &known["operator"]),
        (None, &named),
        "as the operator's other events"
    );
    assert_eq!(named.as_str().map(str::len), Some(32));
    assert_eq!((&unknown["caller"], &unknown["operation"]), (&"".into(), &"activations".into()));
    assert_eq!((&known["caller"], &known["operation"]), (&"bureau".into(), &"revocations".into()));
    assert_eq!((unknown.get("rule"), &known["rule"]), (None, &"no_nights".into()));
    for event in [unknown, known] {
        assert_eq!(event["certificate"], "ab".repeat(32));
        assert_eq!(event["request"], request.to_string());
        assert_eq!(event["policy"].as_str(), Some(&**w.service.policy().digest()));
    }
}

/// Every request's events name it, its caller and the policy; an intent is followed by its outcome.
#[tokio::test]
async fn every_event_names_who_asked_and_under_which_policy() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let accepted = w.desk.verify(&who.card, &who.cip, "v").await.unwrap();
    w.other_desk.look_up(&who.card).await.unwrap();
    w.desk.revoke(&who.card, accepted.verification, "r").await.unwrap();
    let policy = w.service.policy().digest().to_string();
    let events = w.events();
    for event in &events {
        assert_eq!(event["policy"], policy.as_str());
        let kind = event["kind"].as_str().unwrap();
        let caller = match kind {
            "policy.activated" | "service.started" => "sigillo",
            "card.registered" => "bureau",
            "card.looked_up" => "other-desk",
            "delivery.leased" | "delivery.reported" => "courier",
            _ => "desk",
        };
        assert_eq!(event["caller"], caller, "{kind}");
        let card = w.id(&who.card).unwrap().to_string();
        let is_about_it = caller != "sigillo" && !kind.starts_with("operator.");
        assert_eq!(event["card"].as_str(), Some(card.as_str()).filter(|_| is_about_it));
        if event["outcome"] == "intent" {
            let mut of_request = events.iter().filter(|other| other["request"] == event["request"]);
            assert!(of_request.next_back().unwrap()["outcome"] != "intent", "{kind}");
        }
    }
}

#[tokio::test]
async fn a_refusal_is_evidence_while_the_token_is_down() {
    let w = World::new().await;
    w.token.set_down(true);
    let refused = RefusedRequest {
        caller: Some("desk".into()),
        certificate: [0xab; 32],
        operator: Some(Operator::new(OPERATOR.parse().unwrap())),
        operation: "revocations",
        reason: "operator_not_allowed",
        rule: Some("no_nights".into()),
    };
    w.service.refused(RequestId::new([3; 16]), refused).await.unwrap();
    let events = w.events();
    let event = events.last().unwrap();
    assert_eq!((&event["kind"], &event["operator"]), (&"request.refused".into(), &"unknown".into()));
    assert_eq!((&event["rule"], &event["caller"]), (&"no_nights".into(), &"desk".into()));
}
