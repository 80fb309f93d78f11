//! Consents to the health record: of a person, each answer once and for all.

use sigillo::{
    domain::{
        applicant::{Applicant, Personal, Proxy, Title},
        card::Refusal,
        consent::{Choice, NotRecorded},
        fictional::FictionalCard,
    },
    policy::act,
    service::{
        Call, ConsentView, ConsentsPreview, ConsentsRequest, Error, Former, Given, Line, RecordedConsents,
    },
    store::Space,
};

use crate::{
    people::{Client, data, identity_card, in_person, line},
    rules::{LAZIO, LOMBARDIA},
    world::World,
};

const CONSULTATION: &str = "consultazione";
const FEEDING: &str = "alimentazione";
const ASKED: &str = "asked_until = \"2020-05-18\"\n\n[[consent.text]]\nversion = 1\nfrom = \"2015-11-26\"\nwords = \"Acconsento all'alimentazione del mio Fascicolo sanitario elettronico con i dati e i documenti sanitari che";

fn given(kind: &str, choice: Choice, version: u32) -> Given {
    Given { kind: kind.parse().unwrap(), choice, text: format!("{kind}/{version}") }
}

fn says(choice: Choice) -> Vec<Given> {
    vec![given(CONSULTATION, choice, 1)]
}

fn request(card: &FictionalCard, given: Vec<Given>) -> ConsentsRequest {
    ConsentsRequest { card: data(card), applicant: in_person(), given }
}

async fn record(
    w: &World,
    desk: &Client,
    card: &FictionalCard,
    given: Vec<Given>,
    key: &str,
) -> Result<RecordedConsents, Error> {
    let call: Call<act::RecordConsents> = desk.call(key, &format!("{given:?}"));
    w.service.record_consents(call, request(card, given)).await
}

async fn preview(w: &World, card: &FictionalCard, given: Vec<Given>) -> Result<ConsentsPreview, Error> {
    w.service.preview_consents(w.desk.call("", ""), request(card, given)).await
}

async fn read(w: &World, card: &FictionalCard) -> Vec<ConsentView> {
    w.service.read_consents(w.desk.call("", ""), data(card)).await.unwrap()
}

async fn of_kind(w: &World, card: &FictionalCard, kind: &str) -> ConsentView {
    read(w, card).await.into_iter().find(|view| view.kind == kind).unwrap()
}

/// What was said of a kind, the newest first.
async fn history(w: &World, card: &FictionalCard, kind: &str) -> Vec<(u32, Choice)> {
    of_kind(w, card, kind).await.history.iter().map(|past| (past.number, past.choice)).collect()
}

fn refused<T: std::fmt::Debug>(answer: Result<T, Error>) -> NotRecorded {
    match answer {
        Err(Error::Consent(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_answer_is_kept_and_the_newest_is_in_force() {
    let w = World::new().await;
    let card = w.registered(LAZIO).await;
    let before = of_kind(&w, &card, CONSULTATION).await;
    assert!(before.is_asked_for && before.history.is_empty());
    assert_eq!(before.words.as_ref().unwrap().text, "consultazione/1");
    assert!(before.words.unwrap().words.starts_with("Acconsento"));
    assert_eq!(
        refused(record(&w, &w.desk, &card, says(Choice::Withdraw), "w").await),
        NotRecorded::NothingToWithdraw
    );

    let answers = [Choice::Refuse, Choice::Grant, Choice::Withdraw, Choice::Grant, Choice::Refuse];
    let mut expected = Vec::new();
    for (number, choice) in (1..).zip(answers) {
        w.advance_ms(1000);
        let shown = preview(&w, &card, says(choice)).await.unwrap();
        let done = record(&w, &w.desk, &card, says(choice), &format!("k{number}")).await.unwrap();
        assert_eq!(shown.consents[0].0, done.consents[0], "the preview says what is done");
        assert_eq!(done.consents[0].number, number);
        assert_eq!(done.consents[0].former, expected.first().map(|(_, choice)| *choice));
        expected.insert(0, (number, choice));
        assert_eq!(history(&w, &card, CONSULTATION).await, expected);
    }
    assert_eq!(
        refused(record(&w, &w.desk, &card, says(Choice::Withdraw), "x").await),
        NotRecorded::NothingToWithdraw
    );

    // The same request again: the same answer, and nothing more is kept.
    let call: Call<act::RecordConsents> = w.desk.call("k5", &format!("{:?}", says(Choice::Refuse)));
    let again = w.service.record_consents(call, request(&card, says(Choice::Refuse)));
    assert_eq!(again.await.unwrap().consents[0].number, 5);
    assert_eq!(w.all(Space::Consent).len(), 5);
    let log = w.log_of("consents.recorded");
    assert_eq!(
        log,
        [
            "refused: consent_not_in_force",
            "done",
            "done",
            "done",
            "done",
            "done",
            "refused: consent_not_in_force"
        ]
    );
    let event =
        w.events().into_iter().rfind(|e| e["kind"] == "consents.recorded" && e["outcome"] == "done").unwrap();
    assert_eq!(event["consents"], "consultazione/1 refuse 5");
    assert_eq!((&event["applicant"], &event["document"]), (&"holder".into(), &"identity_card".into()));
    assert_eq!(event["dossier"].as_str().unwrap().len(), 64);
    assert_eq!(w.all(Space::Dossier).len(), 5, "one for each answer");
    assert!(w.log_of("consents.read").iter().all(|outcome| outcome == "done"));
    // Neither store nor log names the person.
    let stored = w.all(Space::Consent);
    let code = card.tax_code.as_str();
    assert!(stored.iter().all(|(_, value)| !String::from_utf8_lossy(value).contains(code)));
    assert!(!format!("{:?}", w.events()).contains(code));
}

#[tokio::test]
async fn what_cannot_be_recorded_leaves_nothing() {
    let w = World::new().await;
    let card = w.registered(LAZIO).await;
    let mixed = |second| vec![given(CONSULTATION, Choice::Grant, 1), second];
    for (number, (given, why)) in [
        (mixed(given(FEEDING, Choice::Grant, 1)), NotRecorded::NotAskedFor),
        (mixed(given("ricerca", Choice::Grant, 1)), NotRecorded::UnknownKind),
        (vec![given(CONSULTATION, Choice::Grant, 2)], NotRecorded::OtherText),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(refused(preview(&w, &card, given.clone()).await), why);
        assert_eq!(refused(record(&w, &w.desk, &card, given, &format!("k{number}")).await), why);
    }
    assert!(w.all(Space::Consent).is_empty());
    assert!(!format!("{:?}", w.events()).contains("ricerca"), "what nobody knows is not repeated");

    // Nobody of their own, nobody of another region's rules, nobody with a card that is over.
    let own = w.desk.used_by(card.tax_code.as_str()).await;
    assert!(matches!(record(&w, &own, &card, says(Choice::Grant), "o").await, Err(Error::OwnCard)));
    let own = w.service.read_consents(own.call("", ""), data(&card)).await;
    assert!(matches!(own, Err(Error::OwnCard)), "{own:?}");
    let who = w.citizen(LAZIO).await;
    let proof = w.desk.verify(&who.card, &who.cip, "v").await.unwrap();
    w.desk.revoke(&who.card, proof.verification, "r").await.unwrap();
    let late = record(&w, &w.desk, &who.card, says(Choice::Grant), "l").await;
    assert!(matches!(late, Err(Error::Refused(Refusal::CardRevoked))), "{late:?}");
    assert_eq!(history(&w, &who.card, CONSULTATION).await, [], "read with any card");
    let short = FictionalCard { expiry: "2026-06-30".parse().unwrap(), ..w.produced(LAZIO) };
    w.bureau.register(&[line(&short)]).await.unwrap();
    w.advance_ms(90 * 86_400_000);
    let late = record(&w, &w.desk, &short, says(Choice::Grant), "m").await;
    assert!(matches!(late, Err(Error::Refused(Refusal::CardExpired))), "{late:?}");
}

#[tokio::test]
async fn a_consent_is_the_persons_and_outlives_the_card() {
    let w = World::new().await;
    let old = w.citizen(LAZIO).await.card;
    record(&w, &w.desk, &old, says(Choice::Grant), "a").await.unwrap();
    let new = FictionalCard { tax_code: old.tax_code.clone(), ..w.produced(LOMBARDIA) };
    let former = Some(Former::Replaces(old.team_number.clone()));
    w.bureau.register(&[Line { former, ..line(&new) }]).await.unwrap();
    assert_eq!(w.desk.look_up(&old).await.unwrap().state, "revoked");
    assert_eq!(history(&w, &new, CONSULTATION).await, [(1, Choice::Grant)]);
    record(&w, &w.desk, &new, says(Choice::Withdraw), "b").await.unwrap();
    assert_eq!(history(&w, &old, CONSULTATION).await, [(2, Choice::Withdraw), (1, Choice::Grant)]);
    let other = w.registered(LAZIO).await;
    assert_eq!(history(&w, &other, CONSULTATION).await, []);
}

#[tokio::test]
async fn a_kind_that_is_not_asked_for_any_more_stays_readable() {
    let w = World::new().await;
    let card = w.registered(LAZIO).await;
    // While it was asked for.
    w.rules.edit("consents.toml", ASKED, &ASKED.replace("2020-05-18", "2026-12-31"));
    w.service.reload_policy(None).await.unwrap();
    let both = vec![given(FEEDING, Choice::Grant, 1), given(CONSULTATION, Choice::Grant, 1)];
    record(&w, &w.desk, &card, both, "a").await.unwrap();
    assert!(of_kind(&w, &card, FEEDING).await.is_asked_for);
    // It gets its last day: history, and nothing new of it, not even a withdrawal.
    w.rules.edit("consents.toml", "2026-12-31", "2020-05-18");
    w.service.reload_policy(None).await.unwrap();
    let view = of_kind(&w, &card, FEEDING).await;
    assert!(!view.is_asked_for && view.words.is_none());
    let (from, until) = view.days.unwrap();
    assert_eq!((from.to_string(), until.unwrap().to_string()), ("2015-11-26".into(), "2020-05-18".into()));
    assert_eq!(view.history[0].text, "alimentazione/1");
    let withdraw = vec![given(FEEDING, Choice::Withdraw, 1)];
    assert_eq!(refused(record(&w, &w.desk, &card, withdraw, "b").await), NotRecorded::NotAskedFor);
    // Other words: who has read the former ones is asked again.
    w.rules.append(
        "consents.toml",
        "[[consent]]\nkind = \"dossier\"\nasked_from = \"2026-01-01\"\n[[consent.text]]\nversion = 1\n\
         from = \"2026-01-01\"\nwords = \"uno\"\n[[consent.text]]\nversion = 2\nfrom = \"2026-02-01\"\nwords = \"due\"\n",
    );
    w.service.reload_policy(None).await.unwrap();
    let former = vec![given("dossier", Choice::Grant, 1)];
    assert_eq!(refused(record(&w, &w.desk, &card, former, "c").await), NotRecorded::OtherText);
    record(&w, &w.desk, &card, vec![given("dossier", Choice::Grant, 2)], "d").await.unwrap();
    let kinds: Vec<_> = read(&w, &card).await.into_iter().map(|view| view.kind).collect();
    assert_eq!(kinds, [FEEDING, "alimentazione_pregresso", CONSULTATION, "dossier"]);

    // Even where the policy does not know it any more.
    let text = std::fs::read_to_string(w.rules.path("consents.toml")).unwrap();
    let (shipped, _) = text.split_once("[[consent]]\nkind = \"dossier\"").unwrap();
    std::fs::write(w.rules.path("consents.toml"), shipped).unwrap();
    w.rules.append("consents.toml", "");
    w.service.reload_policy(None).await.unwrap();
    let view = of_kind(&w, &card, "dossier").await;
    assert_eq!((view.is_asked_for, view.days, view.history.len()), (false, None, 1));
}

/// Many operators at one time: each number is given once, and who was not first is told.
#[tokio::test(flavor = "multi_thread")]
async fn answers_at_one_time_do_not_overwrite_each_other() {
    let w = World::new().await;
    let card = w.registered(LAZIO).await;
    let mut running = tokio::task::JoinSet::new();
    for number in 0..12 {
        let (service, desk) = (std::sync::Arc::clone(&w.service), w.desk.clone());
        let request = request(&card, says(Choice::Grant));
        running.spawn(async move {
            service.record_consents(desk.call(&format!("k{number}"), "body"), request).await
        });
    }
    let mut numbers = Vec::new();
    for answer in running.join_all().await {
        match answer {
            Ok(done) => numbers.push(done.consents[0].number),
            Err(Error::Conflict) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    numbers.sort_unstable();
    let expected: Vec<u32> = (1..).take(numbers.len()).collect();
    assert_eq!(numbers, expected);
    assert!(!numbers.is_empty() && w.all(Space::Consent).len() == numbers.len());
}

/// Who says it for somebody else is named in the dossier, in the history by the role.
#[tokio::test]
async fn a_proxy_says_it_with_a_declaration() {
    let w = World::new().await;
    let card = w.registered(LAZIO).await;
    let proxy = |title, declaration| Applicant {
        proxy: Some(Proxy {
            title,
            tax_code: w.produced(LAZIO).tax_code,
            given_name: Personal::name("Anna").unwrap(),
            family_name: Personal::name("Bianchi").unwrap(),
        }),
        document: Some(identity_card()),
        declaration,
        holder_born_on: None,
    };
    let ask = async |applicant, key: &str| {
        let request = ConsentsRequest { applicant, ..request(&card, says(Choice::Grant)) };
        w.service.record_consents(w.desk.call(key, key), request).await
    };
    let code = |answer: Result<RecordedConsents, Error>| match answer {
        Err(Error::Field { code, .. }) => code,
        other => panic!("{other:?}"),
    };
    assert_eq!(code(ask(proxy(Title::Guardian, false), "a").await), "declaration_missing");
    assert_eq!(code(ask(proxy(Title::HealthImpediment, true), "b").await), "proxy_title_not_allowed");
    assert_eq!(code(ask(Applicant::holder(), "c").await), "document_missing");
    assert!(w.all(Space::Consent).is_empty() && w.all(Space::Dossier).is_empty());
    let lacking =
        ConsentsRequest { applicant: proxy(Title::Guardian, false), ..request(&card, says(Choice::Grant)) };
    let shown = w.service.preview_consents(w.desk.call("", ""), lacking).await.unwrap();
    assert_eq!(shown.lacks.iter().map(|lack| lack.code()).collect::<Vec<_>>(), ["declaration_missing"]);
    assert_eq!(shown.applicant.name.as_deref(), Some("A*** B******"));
    let done = ask(proxy(Title::Guardian, true), "d").await.unwrap();
    assert_eq!(done.paper.applicant.text(), "proxy:guardian");
    assert_eq!(of_kind(&w, &card, CONSULTATION).await.history[0].applicant, "proxy:guardian");
    assert!(!format!("{:?}", w.events()).contains("Bianchi"));
}
