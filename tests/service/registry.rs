//! Registra CNS: an operator acts with the registered card and with no other, and registers one by its signature alone.

use sigillo::{
    domain::{
        card::State, fictional::FictionalCard, id::RegistrationId, registration::OPEN_FOR_MS,
        signed_text::Context,
    },
    service::{
        CardStanding, DeregistrationRequest, Error, OpenedRegistration, SignedRegistration, Verdict, What,
    },
    store::{Space, memory::Fault},
};

use crate::{
    people::{Client, OPERATOR},
    rules::LAZIO,
    world::World,
};

const FOR: Context = Context::OperatorRegistration;

/// The certificate of those who read the policy again and deregister.
const SECURITY: [u8; 32] = [0x77; 32];

fn not_open<T>(answer: &Result<T, Error>) -> bool {
    matches!(answer, Err(Error::NotFound(What::Registration)))
}

/// Everything that an operator can ask for, each with its refusal.
async fn acts(desk: &Client, card: &FictionalCard, key: &str) -> Vec<Result<(), Error>> {
    let key = |what: &str| format!("{key} {what}");
    vec![
        desk.look_up(card).await.map(drop),
        desk.preview(card).await.map(drop),
        desk.activate(card, &key("a")).await.map(drop),
        desk.reprint(card, &key("p")).await.map(drop),
        desk.verify(card, "12345678", &key("v")).await.map(drop),
        desk.revoke(card, sigillo::domain::id::VerificationId::new([1; 16]), &key("r")).await.map(drop),
    ]
}

async fn open(desk: &Client, key: &str) -> (OpenedRegistration, Vec<u8>) {
    let open = desk.open_registration(key).await.unwrap();
    let signature = desk.signature(FOR, &open.text);
    (open, signature)
}

#[tokio::test]
async fn without_the_registered_card_nothing_is_evaluated_whatever_is_asked_for() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let stranger = w.desk.used_by_new(w.produced(LAZIO).tax_code.as_str());
    let other_card = w.desk.with_card(1);
    let unknown = w.produced(LAZIO);
    for (desk, expected) in [
        (&stranger, "the operator has registered no card"),
        (&other_card, "not the operator's registered card"),
    ] {
        let mut shapes = Vec::new();
        let (before, tries) = (w.events().len(), w.tries(&who.card));
        assert!(desk.look_up(&unknown).await.is_err(), "from here on the index key is not asked about them");
        for card in [&who.card, &unknown] {
            w.ledger.clear();
            w.hands.clear();
            for answer in acts(desk, card, "refused").await {
                assert_eq!(answer.unwrap_err().to_string(), expected);
            }
            assert!(w.ledger.reads().iter().all(|space| *space == Space::OperatorCard), "one read each");
            assert_eq!(w.ledger.reads().len(), 6);
            shapes.push((w.ledger.units().len(), w.hands.calls()));
        }
        assert_eq!(shapes[0], shapes[1], "a refusal says nothing about a card");
        assert_eq!(shapes[0].0, 0, "nothing is committed");
        assert_eq!((w.events().len(), w.tries(&who.card)), (before, tries));
    }
    stranger.register_operator().await.unwrap();
    stranger.look_up(&who.card).await.unwrap();
    assert!(matches!(stranger.with_card(1).look_up(&who.card).await, Err(Error::OperatorOtherCard)));
}

#[tokio::test]
async fn a_registration_takes_the_signature_of_that_card_over_that_text() {
    let w = World::new().await;
    let who = w.produced(LAZIO).tax_code;
    let desk = w.desk.used_by_new(who.as_str());
    let (open, good) = open(&desk, "o").await;
    for line in [
        "sigillo operator registration v1".to_owned(),
        format!("operator {}", who.as_str()),
        "front-end desk".to_owned(),
        format!("policy {}", w.service.policy().digest()),
    ] {
        assert!(open.text.lines().any(|of| of == line), "{line} in\n{}", open.text);
    }
    for (n, bad) in [
        desk.signature(Context::Approval, &open.text),
        desk.signature(FOR, &open.text.replace("front-end desk", "front-end disk")),
        desk.with_card(1).signature(FOR, &open.text),
        Vec::new(),
    ]
    .into_iter()
    .enumerate()
    {
        let refused = desk.sign_registration(open.id, &bad, &format!("bad {n}")).await;
        assert!(matches!(refused, Err(Error::Field { code: "bad_signature", .. })), "{refused:?}");
    }
    let by_another_card = desk.with_card(1);
    let signature = by_another_card.signature(FOR, &open.text);
    assert!(not_open(&by_another_card.sign_registration(open.id, &signature, "other").await));
    desk.sign_registration(open.id, &good, "good").await.unwrap();
    let log = w.log_of("operator.registered").split_off(1);
    let expected =
        [vec!["refused: bad_signature"; 4], vec!["refused: no_open_registration", "done"]].concat();
    assert_eq!(log, expected);

    // The store holds no person, no certificate and no key, nor an unkeyed digest of one.
    let certificate = open.text.lines().find_map(|line| line.strip_prefix("certificate ")).unwrap();
    // In these tests it is the digest of the key, too; commitments are half as long.
    let certificate = &certificate[..32];
    for space in Space::ALL {
        for (key, value) in w.all(space) {
            let text = format!("{} {}", String::from_utf8_lossy(&key), String::from_utf8_lossy(&value));
            assert!(!text.contains(who.as_str()) && !text.contains(certificate), "{space:?}: {text}");
        }
    }
}

#[tokio::test]
async fn a_registration_is_used_up_by_its_signature_and_a_repetition_is_answered_as_before() {
    let w = World::new().await;
    let desk = w.desk.used_by_new(w.produced(LAZIO).tax_code.as_str());
    let (first, signature) = open(&desk, "o").await;
    let again = desk.open_registration("o").await.unwrap();
    assert_eq!((again.id, again.text), (first.id, first.text));
    let signed = desk.sign_registration(first.id, &signature, "s").await.unwrap();
    assert!(!signed.replaced);
    w.advance_ms(5);
    assert_eq!(desk.sign_registration(first.id, &signature, "s").await.unwrap(), signed);
    // Both operations have one action: a key of the one serves the other as little as another body.
    let reused = desk.sign_registration(again.id, &signature, "o").await;
    assert!(matches!(reused, Err(Error::KeyReused)), "{reused:?}");
    assert!(not_open(&desk.sign_registration(first.id, &signature, "t").await));
    assert_eq!(w.all(Space::OpenRegistration).len(), 0);
    assert_eq!(w.log_of("request.replayed").len(), 2);

    // Of two at once with one key the first is done, and answers the other or has it wait; with two keys, one is registered
    // and the other has come too late.
    let (next, signature) = open(&desk, "q").await;
    let once = || desk.sign_registration(next.id, &signature, "one key");
    let (one, two) = tokio::join!(once(), once());
    let (first, other) = if one.is_ok() { (one, two) } else { (two, one) };
    let first = first.unwrap();
    assert!(
        matches!(&other, Ok(same) if *same == first) || matches!(other, Err(Error::InProgress)),
        "{other:?}"
    );
    assert_eq!(once().await.unwrap(), first);
    assert_eq!(w.log_of("operator.registered").iter().filter(|outcome| *outcome == "done").count(), 3);
    let (next, signature) = open(&desk, "p").await;
    let (one, two) = tokio::join!(
        desk.sign_registration(next.id, &signature, "1"),
        desk.sign_registration(next.id, &signature, "2")
    );
    let done = [&one, &two].into_iter().filter(|answer| answer.is_ok()).count();
    let late = [&one, &two].into_iter().filter(|answer| not_open(answer)).count();
    assert_eq!((done, late), (1, 1), "{one:?} {two:?}");
}

#[tokio::test]
async fn a_registration_ends_with_its_time_a_newer_one_and_another_policy_set() {
    let w = World::new().await;
    let desk = w.desk.used_by_new(w.produced(LAZIO).tax_code.as_str());
    let (late, signature) = open(&desk, "late").await;
    w.advance_ms(OPEN_FOR_MS + 1);
    assert!(not_open(&desk.sign_registration(late.id, &signature, "1").await), "its time is over");
    let (older, signature) = open(&desk, "older").await;
    let (newer, newer_signature) = open(&desk, "newer").await;
    assert_eq!(w.all(Space::OpenRegistration).len(), 1, "one for each operator");
    assert!(not_open(&desk.sign_registration(older.id, &signature, "2").await), "a newer one is open");
    w.rules.append("authority.toml", "# another set\n");
    assert!(w.service.reload_policy(None).await.unwrap().changed);
    assert!(
        not_open(&desk.sign_registration(newer.id, &newer_signature, "3").await),
        "of another policy set"
    );
    let (last, signature) = open(&desk, "last").await;
    w.advance_ms(OPEN_FOR_MS);
    desk.sign_registration(last.id, &signature, "4").await.unwrap();
}

#[tokio::test]
async fn a_registration_serves_its_operator_and_its_front_end_only() {
    let w = World::new().await;
    let desk = w.desk.used_by_new(w.produced(LAZIO).tax_code.as_str());
    let colleague = w.desk.used_by_new(w.produced(LAZIO).tax_code.as_str());
    let (mine, signature) = open(&desk, "mine").await;
    assert!(not_open(&colleague.sign_registration(mine.id, &signature, "1").await), "nothing is open");
    let (theirs, _) = open(&colleague, "theirs").await;
    let forged = colleague.signature(FOR, &theirs.text);
    for (id, signature) in
        [(mine.id, &signature), (mine.id, &forged), (RegistrationId::new([7; 16]), &forged)]
    {
        let key = format!("{id} {}", signature.len());
        assert!(not_open(&colleague.sign_registration(id, signature, &key).await));
    }
    let elsewhere = w.other_desk.used_by_new(&desk.operator());
    assert!(not_open(&elsewhere.sign_registration(mine.id, &signature, "2").await), "another front end");
    desk.sign_registration(mine.id, &signature, "3").await.unwrap();
}

#[tokio::test]
async fn another_card_takes_the_place_of_the_former_one_which_never_comes_back() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let (first, second, third) = (&w.desk, w.desk.with_card(1), w.desk.with_card(2));
    assert!(!first.register_operator().await.unwrap().replaced, "the same card again");
    assert!(second.register_operator().await.unwrap().replaced);
    assert!(matches!(first.look_up(&who.card).await, Err(Error::OperatorOtherCard)));
    second.look_up(&who.card).await.unwrap();
    let former = first.open_registration("again").await;
    assert!(matches!(former, Err(Error::OperatorFormerCard)), "{former:?}");
    assert_eq!(w.log_of("operator.registration_opened").last().unwrap(), "refused: operator_former_card");

    let events: Vec<_> = w.events().into_iter().filter(|e| e["kind"] == "operator.registered").collect();
    let (one, two) = (&events[0], events.last().unwrap());
    assert_eq!(two["replaces"], one["key"]);
    assert_ne!(two["key"], one["key"]);
    assert_eq!((&two["operator"], two["key"].as_str().unwrap().len()), (&one["operator"], 32));

    // Sixteen former cards later it is still the newest that counts.
    third.register_operator().await.unwrap();
    assert!(matches!(second.look_up(&who.card).await, Err(Error::OperatorOtherCard)));
    third.look_up(&who.card).await.unwrap();
    assert_eq!(w.all(Space::OperatorCard).len(), 1);
}

#[tokio::test]
async fn a_deregistered_card_ends_at_once_and_another_may_follow() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let security = Client::new(&w.service, SECURITY);
    let end = async || {
        let request = DeregistrationRequest { operator: OPERATOR.parse().unwrap() };
        w.service.deregister(&security.call("", ""), request).await
    };
    let (open, signature) = open(&w.desk, "open").await;
    let name = w.all(Space::OpenRegistration)[0].clone();
    assert!(end().await.unwrap());
    assert!(matches!(w.desk.look_up(&who.card).await, Err(Error::OperatorOtherCard)));
    assert!(matches!(w.desk.open_registration("x").await, Err(Error::OperatorFormerCard)));
    assert!(not_open(&w.desk.sign_registration(open.id, &signature, "y").await), "what was open is over");
    // Nor if it was opened in the same moment.
    w.memory.tamper(Space::OpenRegistration, &name.0, Some(&name.1));
    let refused = w.desk.sign_registration(open.id, &signature, "z").await;
    assert!(matches!(refused, Err(Error::OperatorFormerCard)), "{refused:?}");
    assert!(!end().await.unwrap(), "there is none any more");
    assert_eq!(w.log_of("operator.deregistered"), ["done", "refused: operator_not_registered"]);

    let signed = w.desk.with_card(1).register_operator().await.unwrap();
    assert!(!signed.replaced);
    w.desk.with_card(1).look_up(&who.card).await.unwrap();
}

#[tokio::test]
async fn a_session_says_who_the_operator_is_and_what_the_rules_allow() {
    let w = World::new().await;
    let stranger = w.desk.used_by_new(w.produced(LAZIO).tax_code.as_str()).session().await.unwrap();
    assert_eq!((stranger.card, stranger.actions.len()), (CardStanding::None, 0));
    assert_eq!(w.desk.with_card(1).session().await.unwrap().card, CardStanding::Other);

    let session = w.desk.session().await.unwrap();
    assert_eq!((session.card, session.profile.office.as_str()), (CardStanding::Registered, "everywhere"));
    let actions: Vec<_> = session.actions.iter().map(|one| one.action.text()).collect();
    assert_eq!(
        actions,
        [
            "activate",
            "ask_approval",
            "change_contact",
            "look_up",
            "read_consents",
            "read_history",
            "record_consents",
            "renew_cip",
            "reprint",
            "request_reader",
            "resend_delivery",
            "revoke",
            "unlock",
            "verify"
        ]
    );
    for one in &session.actions {
        let regions = one.regions.as_ref().map(std::collections::BTreeSet::len);
        assert_eq!(regions, (one.action.text() != "verify").then_some(21));
    }

    // What it says is what requests meet.
    w.rules.append(
        "rules/operators.cedar",
        "@id(\"no_lazio\")\nforbid (principal, action == Action::\"activate\", resource)\n\
         when { resource.region == Region::\"120\" && resource.state == State::\"registered\" };\n\
         @id(\"no_guesses\")\nforbid (principal, action == Action::\"verify\", resource)\n\
         when { context.front_end == FrontEnd::\"desk\" };\n",
    );
    w.service.reload_policy(None).await.unwrap();
    let session = w.desk.session().await.unwrap();
    let actions: Vec<_> = session.actions.iter().map(|one| one.action.text()).collect();
    assert_eq!(
        actions,
        [
            "activate",
            "ask_approval",
            "change_contact",
            "look_up",
            "read_consents",
            "read_history",
            "record_consents",
            "renew_cip",
            "reprint",
            "request_reader",
            "resend_delivery",
            "revoke",
            "unlock"
        ]
    );
    let lazio = LAZIO.parse().unwrap();
    let on_lazio = session.actions.iter().map(|one| one.regions.as_ref().unwrap().contains(&lazio));
    assert_eq!(
        on_lazio.collect::<Vec<_>>(),
        [false, true, true, true, true, true, true, true, true, true, true, true, true]
    );
    let card = w.registered(LAZIO).await;
    assert!(matches!(w.desk.activate(&card, "a").await, Err(Error::NotAllowedOnCard(_))));
    assert_eq!(w.card(&card).state(), State::Registered);
    assert_eq!(w.log_of("session.shown"), ["done"; 4]);
}

/// Each has one commit: what a new start finds is all of it or nothing, and a repetition ends it.
#[tokio::test]
async fn every_commit_of_a_registration() {
    for (fault, kept) in [
        (Fault::Fatal, false),
        (Fault::NotWritten, false),
        (Fault::UnknownKept, true),
        (Fault::UnknownLost, false),
    ] {
        let mut w = World::new().await;
        let who = w.produced(LAZIO).tax_code;
        let desk = w.desk.used_by_new(who.as_str());
        w.memory.fail(1, fault);
        let failed = desk.open_registration("o").await;
        assert!(matches!(failed, Err(Error::Unavailable(_))), "{fault:?}: {failed:?}");
        w.restart().await;
        let desk = w.desk.used_by_new(who.as_str());
        assert_eq!(w.all(Space::OpenRegistration).len(), usize::from(kept), "{fault:?}");
        let (open, signature) = open(&desk, "o").await;

        w.memory.fail(1, fault);
        let failed = desk.sign_registration(open.id, &signature, "s").await;
        assert!(matches!(failed, Err(Error::Unavailable(_))), "{fault:?}: {failed:?}");
        w.restart().await;
        let desk = w.desk.used_by_new(who.as_str());
        assert_eq!(w.all(Space::OperatorCard).len(), 1 + usize::from(kept), "{fault:?}");
        assert_eq!(w.all(Space::OpenRegistration).len(), usize::from(!kept), "with the same commit");
        assert_eq!(w.log_of("operator.registered").len(), 1 + usize::from(kept), "and so is its event");
        let signed: SignedRegistration = desk.sign_registration(open.id, &signature, "s").await.unwrap();
        assert!(!signed.replaced);
        assert_eq!(w.log_of("operator.registered").len(), 2, "{fault:?}");
        assert_eq!(w.log_of("request.replayed").len(), if kept { 2 } else { 0 }, "{fault:?}");
        let guess = desk.verify(&w.produced(LAZIO), "1", "v").await.unwrap();
        assert_eq!(guess.outcome, Verdict::Rejected);
    }
}
