//! Self-renewal: the holder activates a new card by the expiring one, and nobody else does so.

use std::{pin::pin, sync::Arc};

use sigillo::{
    auth::cns::OperatorCertificate,
    domain::{
        applicant::{Applicant, Personal, Proxy, Title},
        card::{Activation, Reason, Refusal},
        fictional::FictionalCard,
        message::MessageLanguage,
        renewal::NotRenewed,
        template::CodeName,
    },
    policy::act,
    service::{
        ActivationRequest, Call, Error, Former, HandedOut, Line, Operator, SelfRenewalRequest, Summary, What,
    },
};

use crate::{
    people::{Client, activation, contact, data, first, identity_card, line, printed},
    rules::{LAZIO, MARCHE, PORTAL},
    world::{NOW_MS, World},
};

/// The new card of the same holder, which renews the old one.
pub(crate) async fn renewing(w: &World, old: &FictionalCard, region: &str) -> FictionalCard {
    let new = FictionalCard { tax_code: old.tax_code.clone(), ..w.produced(region) };
    let former = Some(Former::Renews(old.team_number.clone()));
    w.bureau.register(&[Line { former, ..line(&new) }]).await.unwrap();
    new
}

pub(crate) fn request(new: &FictionalCard, old: &FictionalCard) -> SelfRenewalRequest {
    SelfRenewalRequest {
        card: data(new),
        former: old.team_number.clone(),
        contact: contact(),
        language: MessageLanguage::Italian,
        data_processing: true,
    }
}

/// A request at the citizens' front end, by whoever is logged in with this card.
pub(crate) fn call(w: &World, login: &FictionalCard, key: &str, body: &str) -> Call<act::RenewSelf> {
    let valid = OperatorCertificate::of_nobody(login.tax_code.clone(), vec![7], NOW_MS + 1);
    let citizen = Operator::from(Arc::new(valid.of_card(login.id_carta.as_str()))).as_citizen();
    Call { operator: Some(citizen), ..Client::new(&w.service, PORTAL).call(key, body) }
}

async fn renew(w: &World, login: &FictionalCard, new: &FictionalCard, key: &str) -> Result<HandedOut, Error> {
    w.service.renew_self(call(w, login, key, new.team_number.as_str()), request(new, login)).await
}

async fn preview(w: &World, login: &FictionalCard, new: &FictionalCard) -> Result<Summary, Error> {
    w.service.preview_self_renewal(call(w, login, "", ""), request(new, login)).await
}

fn refused<T: std::fmt::Debug>(answer: Result<T, Error>) -> NotRenewed {
    match answer {
        Err(Error::NotRenewed(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_holder_renews_alone_and_the_former_card_ends() {
    let w = World::new().await;
    let old = w.citizen(LAZIO).await.card;
    let new = renewing(&w, &old, LAZIO).await;
    let shown = preview(&w, &old, &new).await.unwrap();
    assert_eq!((shown.card.state, shown.codes.len(), shown.lacks.len()), ("registered", 3, 0));
    assert_eq!(w.desk.look_up(&new).await.unwrap().state, "registered", "nothing is done");

    let paper = renew(&w, &old, &new, "a").await.unwrap();
    assert!(first(&paper, CodeName::Pin).is_some() && paper.delivery.is_some());
    assert_eq!(paper.paper.office, "portal", "there is no office");
    assert_eq!(w.card(&new).activation(), Some(Activation::SelfService));
    assert_eq!(w.desk.look_up(&new).await.unwrap().activation, Some("self_service"));
    assert_eq!(w.desk.look_up(&old).await.unwrap().state, "revoked");
    assert_eq!(w.log_of("card.revoked"), ["done: renewed"]);
    let again = renew(&w, &old, &new, "a").await.unwrap();
    assert_eq!(printed(&again), printed(&paper), "the same request again, the same paper");
    let leases = w.deliver().await;
    assert_eq!(leases.last().unwrap().message, "activation");

    // Events name a citizen, by a name that is no operator's, and nobody in clear.
    let events = w.events();
    let of = |kind: &str| events.iter().rfind(|e| e["kind"] == kind && e["outcome"] == "done").unwrap();
    let done = of("card.activated");
    assert_eq!((&done["activation"], &done["caller"]), (&"self_service".into(), &"portal".into()));
    assert!(done.get("operator").is_none());
    let citizen = done["citizen"].as_str().unwrap();
    assert_eq!(of("card.revoked")["citizen"], citizen);
    w.desk.used_by(old.tax_code.as_str()).await.look_up(&old).await.unwrap();
    let as_operator = w.events().last().unwrap()["operator"].as_str().unwrap().to_owned();
    assert_ne!(as_operator, citizen);
    let text = format!("{:?}", w.events());
    assert!(!text.contains(old.tax_code.as_str()) && !text.contains(new.team_number.as_str()));

    // The next one is the counter's again.
    let next = renewing(&w, &new, LAZIO).await;
    assert_eq!(refused(renew(&w, &new, &next, "b").await), NotRenewed::FormerNotInPerson);
    w.desk.activate(&next, "c").await.unwrap();
}

#[tokio::test]
async fn each_condition_refuses_by_its_own_code_and_leaves_both_cards() {
    let w = World::new().await;
    let old = w.citizen(LAZIO).await.card;
    let new = renewing(&w, &old, LAZIO).await;
    let stranger = w.citizen(LAZIO).await.card;
    let other = FictionalCard { tax_code: old.tax_code.clone(), ..w.citizen(LAZIO).await.card };

    // Somebody else's certificate; the holder's, of another card; the right one with another number; neither card told.
    let body = new.team_number.as_str();
    let by_stranger = w.service.renew_self(call(&w, &stranger, "a", body), request(&new, &old)).await;
    assert_eq!(refused(by_stranger), NotRenewed::OtherHolder);
    let with_other = w.service.renew_self(call(&w, &other, "b", body), request(&new, &old)).await;
    assert_eq!(refused(with_other), NotRenewed::OtherCard);
    assert_eq!(refused(renew(&w, &other, &new, "c").await), NotRenewed::OtherCard);
    let wrong_number = w.service.renew_self(call(&w, &old, "d", body), request(&new, &other)).await;
    assert_eq!(refused(wrong_number), NotRenewed::OtherCard);
    // A card that is nobody's and one that is somebody else's look alike.
    let unknown = FictionalCard { tax_code: old.tax_code.clone(), ..w.produced(LAZIO) };
    for card in [unknown, FictionalCard { tax_code: old.tax_code.clone(), ..stranger.clone() }] {
        let answer = renew(&w, &old, &card, "e").await;
        assert!(matches!(answer, Err(Error::NotFound(What::Card))), "{answer:?}");
    }
    let alone = FictionalCard { tax_code: old.tax_code.clone(), ..w.produced(LAZIO) };
    w.bureau.register(&[line(&alone)]).await.unwrap();
    assert_eq!(refused(renew(&w, &old, &alone, "f").await), NotRenewed::NoFormerCard);
    assert_eq!(refused(preview(&w, &old, &alone).await), NotRenewed::NoFormerCard);
    let abroad = renewing(&w, &old, MARCHE).await;
    assert_eq!(refused(renew(&w, &old, &abroad, "g").await), NotRenewed::OtherIssuer);
    let mut unticked = request(&new, &old);
    unticked.data_processing = false;
    let answer = w.service.renew_self(call(&w, &old, "h", body), unticked).await;
    assert!(matches!(answer, Err(Error::Field { code: "data_processing_missing", .. })), "{answer:?}");
    let log = w.log_of("card.activated");
    let refusals: Vec<_> = log.iter().filter_map(|outcome| outcome.strip_prefix("refused: ")).collect();
    assert_eq!(
        refusals,
        [
            "renewal_other_holder",
            "renewal_other_card",
            "renewal_other_card",
            "renewal_other_card",
            "card_not_found",
            "card_not_found",
            "no_former_card",
            "renewal_other_issuer"
        ]
    );
    assert_eq!(w.desk.look_up(&new).await.unwrap().state, "registered");
    assert_eq!(w.desk.look_up(&old).await.unwrap().state, "active");

    // What has been renewed renews no more.
    renew(&w, &old, &new, "ok").await.unwrap();
    assert_eq!(refused(renew(&w, &old, &abroad, "i").await), NotRenewed::OtherIssuer);
    let second = FictionalCard { tax_code: old.tax_code.clone(), ..w.produced(LAZIO) };
    let former = Some(Former::Renews(old.team_number.clone()));
    w.bureau.register(&[Line { former, ..line(&second) }]).await.unwrap();
    assert_eq!(refused(renew(&w, &old, &second, "j").await), NotRenewed::FormerNotActive);
}

#[tokio::test]
async fn an_expired_card_and_one_of_a_proxy_are_the_counters() {
    let w = World::new().await;
    let old = w.registered(LAZIO).await;
    let applicant = Applicant {
        proxy: Some(Proxy {
            title: Title::Guardian,
            tax_code: w.produced(LAZIO).tax_code,
            given_name: Personal::name("Anna").unwrap(),
            family_name: Personal::name("Bianchi").unwrap(),
        }),
        document: Some(identity_card()),
        declaration: true,
        holder_born_on: None,
    };
    let by_proxy = ActivationRequest { applicant, ..activation(&old) };
    w.service.activate(w.desk.call("proxy", "body"), by_proxy).await.unwrap();
    let new = renewing(&w, &old, LAZIO).await;
    assert_eq!(refused(renew(&w, &old, &new, "a").await), NotRenewed::FormerNotInPerson);
    w.desk.activate(&new, "counter").await.unwrap();

    let old = FictionalCard { expiry: "2026-06-30".parse().unwrap(), ..w.produced(LAZIO) };
    w.bureau.register(&[line(&old)]).await.unwrap();
    w.desk.activate(&old, "short").await.unwrap();
    let new = renewing(&w, &FictionalCard { ..old.clone() }, LAZIO).await;
    w.advance_ms(90 * 86_400_000);
    assert_eq!(refused(renew(&w, &old, &new, "b").await), NotRenewed::FormerExpired);
}

/// The card is reported stolen while whoever has it renews it: nothing is handed out.
#[tokio::test]
async fn a_former_card_that_ends_meanwhile_renews_nothing() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let new = renewing(&w, &who.card, LAZIO).await;
    let proof = w.desk.verify(&who.card, &who.cip, "v").await.unwrap();
    let mut thief = pin!(renew(&w, &who.card, &new, "a"));
    // All is decided, and the intent is durable.
    w.until_held_after_charge(thief.as_mut()).await;
    w.release().await;
    w.desk.revoke_because(&who.card, proof.verification, "r", Reason::Stolen).await.unwrap();
    let outcome = thief.await;
    assert!(matches!(outcome, Err(Error::Conflict)), "{outcome:?}");
    assert_eq!(w.desk.look_up(&new).await.unwrap().state, "registered");
    assert_eq!(w.log_of("card.activated").last().unwrap(), "refused: changed_meanwhile");
    assert_eq!(w.log_of("card.revoked").last().unwrap(), "done: stolen");
    assert_eq!(refused(renew(&w, &who.card, &new, "b").await), NotRenewed::FormerNotActive);
}

#[tokio::test]
async fn an_operator_is_no_citizen_and_the_other_way_round() {
    let w = World::new().await;
    let old = w.citizen(LAZIO).await.card;
    let new = renewing(&w, &old, LAZIO).await;
    let policy = w.service.policy();
    let (desk, portal) = (policy.caller_named("desk").unwrap(), policy.caller_named("portal").unwrap());
    assert!(!desk.forwards_citizens() && portal.forwards_citizens() && !portal.forwards_operators());
    // At the counter nobody acts on a card of their own, renewed or not.
    let own = w.desk.used_by(old.tax_code.as_str()).await.activate(&new, "a").await;
    assert!(matches!(own, Err(Error::OwnCard)), "{own:?}");
    w.desk.activate(&new, "b").await.unwrap();
    assert!(matches!(renew(&w, &old, &new, "c").await, Err(Error::NotRenewed(NotRenewed::FormerNotActive))));
    assert!(matches!(w.desk.reprint(&old, "d").await, Err(Error::Refused(Refusal::CardRevoked))));
}
