//! Who asks at the counter: what is refused for it, what is kept of it and where, and for how long (I8, I9, I10, I14).

use std::pin::pin;

use aws_lc_rs::digest::{SHA256, digest};
use sigillo::{
    domain::{
        applicant::{Applicant, Document, Objection, Personal, Proxy, Role, Title},
        card::{Activation, Reason, Refusal, State},
        fictional::FictionalCard,
        id::{RequestId, VerificationId},
        message::MessageLanguage,
        tax_code::TaxCode,
    },
    policy::{CardFacts, Proof, act},
    service::{
        ActivationRequest, Call, Error, HandedOut, ReprintRequest, RevocationProof, RevocationRequest,
    },
    store::{Reader, Space, memory::Memory},
};

use crate::{
    people::{Client, OPERATOR, activation, contact, data, identity_card, in_person, printed},
    rules::{LAZIO, LOMBARDIA, Rules},
    world::World,
};

/// Of nobody, born in 1985.
pub(crate) const PROXY: &str = "CCCFBA85D03L219P";
/// Of nobody, born in 2020.
const CHILD: &str = "RSSMRA20A01H501G";

const DAY_MS: u64 = 86_400_000;

pub(crate) fn proxy(title: Title, tax_code: &str) -> Applicant {
    let proxy = Proxy {
        title,
        tax_code: tax_code.parse().unwrap(),
        given_name: Personal::name("Xaveria").unwrap(),
        family_name: Personal::name("Quondam").unwrap(),
    };
    Applicant { proxy: Some(proxy), declaration: true, ..in_person() }
}

impl Client {
    async fn activate_by(
        &self,
        card: &FictionalCard,
        applicant: Applicant,
        key: &str,
    ) -> Result<HandedOut, Error> {
        let request = ActivationRequest { applicant, ..activation(card) };
        self.service_call(key, card, async |service, call| service.activate(call, request).await).await
    }

    async fn reprint_by(
        &self,
        card: &FictionalCard,
        applicant: Applicant,
        key: &str,
    ) -> Result<HandedOut, Error> {
        let request = ReprintRequest {
            card: data(card),
            reason: "lost_paper".into(),
            applicant,
            contact: contact(),
            language: MessageLanguage::Italian,
        };
        self.service_call(key, card, async |service, call| service.reprint(call, request).await).await
    }

    async fn revoke_by(
        &self,
        card: &FictionalCard,
        applicant: Applicant,
        proof: RevocationProof,
        key: &str,
    ) -> Result<u64, Error> {
        let team = card.team_number.clone();
        let request = RevocationRequest { team, proof, reason: Reason::Lost, applicant };
        let revoked =
            self.service_call(key, card, async |service, call| service.revoke(call, request).await).await?;
        Ok(revoked.at_ms)
    }
}

fn code<T>(answer: &Result<T, Error>) -> Option<&'static str> {
    match answer {
        Err(Error::Field { code, .. }) => Some(code),
        _ => None,
    }
}

/// The last event of a kind that was done: its request, and what it says of the applicant.
fn done(w: &World, kind: &str) -> serde_json::Value {
    w.events().into_iter().rfind(|e| e["kind"] == kind && e["outcome"] == "done").unwrap()
}

async fn dossier(w: &World, card: &FictionalCard, request: &RequestId) -> Result<Option<Applicant>, Error> {
    let found = w.card(card);
    let call: Call<act::LookUp> = w.desk.call("", "");
    let facts = CardFacts::new(found.registration().region, &found.state());
    let permit = call.permit.on_card(facts, Proof::None).unwrap();
    w.service.dossier(&permit, &found.registration().id, request).await
}

fn request_of(event: &serde_json::Value) -> RequestId {
    event["request"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn what_is_personal_is_sealed_beside_the_log_and_forgotten() {
    let w = World::new().await;
    let (card, plain) = (w.registered(LAZIO).await, w.registered(LAZIO).await);
    w.desk.activate_by(&card, proxy(Title::Guardian, PROXY), "a").await.unwrap();
    w.desk.activate(&plain, "b").await.unwrap();
    assert_eq!(w.card(&card).activation(), Some(Activation::Proxy(Title::Guardian)));
    assert_eq!(w.desk.look_up(&card).await.unwrap().activation, Some("proxy:guardian"));
    assert_eq!(w.desk.look_up(&plain).await.unwrap().activation, Some("in_person"));

    // The log says the role, the kind of document and what it vouches for; nothing of a person is anywhere in clear.
    let events: Vec<_> = w.events().into_iter().filter(|e| e["kind"] == "card.activated").collect();
    let [_, by_proxy, _, in_person] = &events[..] else { panic!("{events:?}") };
    assert_eq!(
        (&by_proxy["applicant"], &by_proxy["document"]),
        (&"proxy:guardian".into(), &"identity_card".into())
    );
    assert_eq!(in_person["applicant"], "holder");
    let stored: Vec<_> = w.all(Space::Dossier);
    assert_eq!(stored.len(), 2);
    assert_eq!(stored[0].1.len(), stored[1].1.len(), "of one size, whoever asks");
    for event in [by_proxy, in_person] {
        let key = [b"d".as_slice(), request_of(event).bytes()].concat();
        let record = w.memory.get(Space::Dossier, &key).unwrap().unwrap().value;
        assert_eq!(event["dossier"], hex::encode(digest(&SHA256, &record)), "the log vouches for it");
    }
    for space in Space::ALL {
        for (key, value) in w.all(space) {
            for secret in [PROXY, "Xaveria", "Quondam", "CA12345AB", "Comune di Roma", card.tax_code.as_str()]
            {
                let found = |bytes: &[u8]| bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
                assert!(!found(&key) && !found(&value), "{secret} in {space:?}");
            }
        }
    }

    // It opens for its request and card, and for no other.
    let request = request_of(by_proxy);
    let opened = dossier(&w, &card, &request).await.unwrap().unwrap();
    let of = opened.proxy.as_ref().unwrap();
    assert_eq!(
        (of.tax_code.as_str(), of.given_name.expose(), of.family_name.expose()),
        (PROXY, "Xaveria", "Quondam")
    );
    assert_eq!(opened.document.as_ref().unwrap().number.expose(), "CA12345AB");
    assert!(opened.declaration);
    assert!(matches!(dossier(&w, &plain, &request).await, Err(Error::Bug(_))), "another card's");
    assert!(dossier(&w, &card, &RequestId::new([9; 16])).await.unwrap().is_none());

    // Six years, and no longer; the log stays whole without it.
    w.advance_ms(2192 * DAY_MS - 1);
    w.service.forget_expired().await.unwrap();
    assert_eq!(w.all(Space::Dossier).len(), 2);
    w.advance_ms(2);
    w.service.forget_expired().await.unwrap();
    assert_eq!(w.all(Space::Dossier).len(), 0);
    assert!(dossier(&w, &card, &request).await.unwrap().is_none());
    assert_eq!(done(&w, "card.activated")["applicant"], "holder");
}

#[tokio::test]
async fn who_may_not_ask_is_refused_before_any_card_is_looked_for() {
    let w = World::new().await;
    let card = w.registered(LAZIO).await;
    let child = FictionalCard { tax_code: CHILD.parse().unwrap(), ..card.clone() };
    let expired = Document { expires_on: Some("2026-05-27".parse().unwrap()), ..identity_card() };
    let undeclared = Applicant { declaration: false, ..proxy(Title::Guardian, PROXY) };
    let before = w.events().len();
    for (card, applicant, expected) in [
        (&card, Applicant { document: Some(expired), ..in_person() }, "document_expired"),
        (&card, Applicant::holder(), "document_missing"),
        (&card, undeclared, "declaration_missing"),
        (&card, proxy(Title::Guardian, card.tax_code.as_str()), "proxy_is_holder"),
        (&card, proxy(Title::ParentalAuthority, PROXY), "parent_of_adult"),
        (&child, in_person(), "holder_is_minor"),
        (&child, proxy(Title::HealthImpediment, PROXY), "minor_needs_parent_or_guardian"),
        (&card, proxy(Title::Guardian, CHILD), "proxy_is_minor"),
    ] {
        let answer = w.desk.activate_by(card, applicant, expected).await;
        assert_eq!(code(&answer), Some(expected), "{answer:?}");
    }
    let unticked = ActivationRequest { data_processing: false, ..activation(&card) };
    let answer = w.service.activate(w.desk.call("u", "u"), unticked).await;
    assert_eq!(code(&answer), Some("data_processing_missing"));
    let own = w.desk.activate_by(&card, proxy(Title::Guardian, OPERATOR), "own").await;
    assert!(matches!(own, Err(Error::OperatorIsProxy)), "{own:?}");
    assert_eq!(w.events().len(), before, "the transport records what the request alone is refused for");
    assert_eq!(w.all(Space::Dossier).len(), 0);
    w.desk.activate_by(&card, proxy(Title::Guardian, PROXY), "document_missing").await.unwrap();
}

#[tokio::test]
async fn a_preview_lists_what_lacks_and_refuses_what_nothing_mends() {
    let w = World::new().await;
    let card = w.registered(LAZIO).await;
    let preview = async |applicant, data_processing| {
        let request = ActivationRequest { applicant, data_processing, ..activation(&card) };
        w.service.preview_activation(w.desk.call("", ""), request).await
    };
    let lacking = Applicant { declaration: false, document: None, ..proxy(Title::Curator, PROXY) };
    let shown = preview(lacking, false).await.unwrap();
    let lacks: Vec<_> = shown.lacks.into_iter().map(Objection::code).collect();
    assert_eq!(lacks, ["declaration_missing", "document_missing", "data_processing_missing"]);
    assert_eq!(shown.applicant.role, Role::Proxy(Title::Curator));
    assert_eq!(shown.applicant.name.as_deref(), Some("X****** Q******"));
    assert_eq!(shown.applicant.tax_code.as_deref(), Some("CCCFBA**********"));
    assert_eq!(shown.contact.1, "a***@e***.example");
    assert!(preview(in_person(), true).await.unwrap().lacks.is_empty());
    assert_eq!(
        code(&preview(proxy(Title::Curator, card.tax_code.as_str()), true).await),
        Some("proxy_is_holder")
    );
    assert_eq!(w.desk.look_up(&card).await.unwrap().state, "registered");

    w.desk.activate(&card, "a").await.unwrap();
    let again = ReprintRequest {
        card: data(&card),
        reason: "lost_paper".into(),
        applicant: in_person(),
        contact: contact(),
        language: MessageLanguage::Italian,
    };
    let shown = w.service.preview_reprint(w.desk.call("", ""), again).await.unwrap();
    assert_eq!(shown.codes.len(), 3, "no gateway has taken the C.I.P. yet");
    assert_eq!(w.log_of("codes.reprinted").len(), 0);
}

/// A document that has expired since, or a policy that is stricter since, changes nothing of an answer that was given.
#[tokio::test]
async fn a_repeated_request_is_answered_with_the_same_paper() {
    let w = World::new().await;
    let card = w.registered(LAZIO).await;
    let last_day = || Document { expires_on: Some("2026-05-28".parse().unwrap()), ..identity_card() };
    let applicant = || Applicant { document: Some(last_day()), ..in_person() };
    let first = w.desk.activate_by(&card, applicant(), "a").await.unwrap();
    assert_eq!(first.paper.number_ends, card.team_number.as_str()[16..]);
    assert_eq!((first.paper.operation, first.paper.applicant), ("activation", Role::Holder));
    w.advance_ms(DAY_MS / 2);
    let again = w.desk.activate_by(&card, applicant(), "a").await.unwrap();
    assert_eq!((printed(&again), &again.paper), (printed(&first), &first.paper));
    assert_eq!(code(&w.desk.reprint_by(&card, applicant(), "b").await), Some("document_expired"));
    assert_eq!(w.all(Space::Dossier).len(), 1, "written once");
    let reprint = w.desk.reprint(&card, "c").await.unwrap();
    assert!(reprint.paper.texts.contains(&"changed_pin_needs_puk"));
}

#[tokio::test]
async fn a_revocation_names_who_asks_and_neither_holder_nor_colleague_is_the_proxy() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let accepted = w.desk.verify(&who.card, &who.cip, "v").await.unwrap().verification;
    let proof = RevocationProof::Verification(accepted);
    let holder = proxy(Title::Guardian, who.card.tax_code.as_str());
    assert_eq!(code(&w.desk.revoke_by(&who.card, holder, proof, "a").await), Some("proxy_is_holder"));

    let supervisor = w.supervisor().await;
    let asked = w.desk.ask(&who.card, "ask").await.unwrap();
    supervisor.approve(&asked, "approve").await.unwrap();
    let approved = RevocationProof::Approval(asked.id);
    let colleague = proxy(Title::Guardian, &supervisor.operator());
    let refused = w.desk.revoke_by(&who.card, colleague, approved, "b").await;
    assert!(matches!(refused, Err(Error::OperatorIsProxy)), "{refused:?}");
    assert!(matches!(w.card(&who.card).state(), State::Active { .. }));

    let at_ms = w.desk.revoke_by(&who.card, proxy(Title::Curator, PROXY), proof, "c").await.unwrap();
    assert_eq!(w.desk.revoke_by(&who.card, proxy(Title::Curator, PROXY), proof, "c").await.unwrap(), at_ms);
    let event = done(&w, "card.revoked");
    assert_eq!((&event["applicant"], &event["reason"]), (&"proxy:curator".into(), &"lost".into()));
    let opened = dossier(&w, &who.card, &request_of(&event)).await.unwrap().unwrap();
    assert_eq!(opened.proxy.unwrap().tax_code, PROXY.parse::<TaxCode>().unwrap());
}

/// Whose card a number is, only those learn who may see the card.
#[tokio::test]
async fn a_proxy_is_compared_with_the_holder_behind_the_rules() {
    let rules = Rules::new();
    rules.append(
        "rules/operators.cedar",
        "@id(\"no_revocation_in_lazio\")\nforbid (principal, action == Action::\"revoke\", resource)\n\
         when { resource.region == Region::\"120\" };\n",
    );
    let w = World::over(Memory::new(), rules).await;
    let who = w.citizen(LAZIO).await;
    let nothing = RevocationProof::Verification(VerificationId::new([0; 16]));
    for (n, guessed) in [who.card.tax_code.as_str(), PROXY].into_iter().enumerate() {
        let refused =
            w.desk.revoke_by(&who.card, proxy(Title::Guardian, guessed), nothing, &format!("{n}")).await;
        assert!(matches!(refused, Err(Error::NotAllowedOnCard(_))), "{guessed}: {refused:?}");
    }
    let other = w.citizen(LOMBARDIA).await;
    let holder = proxy(Title::Guardian, other.card.tax_code.as_str());
    assert_eq!(code(&w.desk.revoke_by(&other.card, holder, nothing, "o").await), Some("proxy_is_holder"));
    assert_eq!(w.log_of("card.revoked").last().unwrap(), "refused: proxy_is_holder");
}

#[tokio::test]
async fn a_card_is_reprinted_so_often_in_a_period() {
    let mut w = World::new().await;
    let card = w.registered(LAZIO).await;
    w.desk.activate(&card, "a").await.unwrap();
    for n in 0..3 {
        w.advance_ms(DAY_MS);
        let key = format!("p{n}");
        let paper = printed(&w.desk.reprint(&card, &key).await.unwrap());
        assert_eq!(
            printed(&w.desk.reprint(&card, &key).await.unwrap()),
            paper,
            "a repetition does not count"
        );
    }
    w.restart().await;
    let first_at_ms = crate::world::NOW_MS + DAY_MS;
    for key in ["q", "r"] {
        let late = w.desk.reprint(&card, key).await;
        let Err(Error::TooManyReprints { again_at_ms }) = late else { panic!("{late:?}") };
        assert_eq!(again_at_ms, first_at_ms + 30 * DAY_MS);
    }
    assert_eq!(w.log_of("codes.reprinted").last().unwrap(), "refused: too_many_reprints");
    let other = w.registered(LAZIO).await;
    w.desk.activate(&other, "o").await.unwrap();
    w.desk.reprint(&other, "s").await.unwrap();
    w.advance_ms(28 * DAY_MS - 1);
    assert!(w.desk.reprint(&card, "t").await.is_err());
    w.advance_ms(1);
    w.desk.reprint(&card, "u").await.unwrap();
    assert!(matches!(w.desk.reprint(&card, "v").await, Err(Error::TooManyReprints { .. })));
}

/// Two counters activate one card: both have looked at it, and both intents are written, before one outcome is.
#[tokio::test]
async fn of_two_operators_on_one_card_one_wins_and_the_other_is_told() {
    let w = World::new().await;
    let card = w.registered(LAZIO).await;
    let colleague = w.desk.used_by(w.produced(LAZIO).tax_code.as_str()).await;
    let mut late = pin!(colleague.activate_by(&card, proxy(Title::Guardian, PROXY), "late"));
    w.until_held_after_charge(late.as_mut()).await; // its intent is at the gate
    w.release().await;
    let paper = w.desk.activate(&card, "early").await.unwrap();
    let told = late.await;
    assert!(matches!(told, Err(Error::Conflict)), "{told:?}");
    // No half state: one delivery, one dossier, one activation in the log, and the card says by whom.
    assert_eq!(w.log_of("card.activated"), ["intent", "intent", "done", "refused: changed_meanwhile"]);
    assert_eq!(done(&w, "card.activated")["applicant"], "holder");
    assert_eq!(w.card(&card).activation(), Some(Activation::InPerson));
    assert_eq!((w.all(Space::Delivery).len(), w.all(Space::Dossier).len()), (1, 1));
    let [sent] = &w.deliver().await[..] else { panic!("one delivery") };
    assert_eq!(Some(sent.delivery), paper.delivery);
    // The other one's key was given back; now the card is looked at anew.
    let again = colleague.activate_by(&card, proxy(Title::Guardian, PROXY), "late").await;
    assert!(matches!(again, Err(Error::Refused(Refusal::CardAlreadyActive))), "{again:?}");
}
