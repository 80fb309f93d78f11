//! Four eyes (I8, I14): a card is revoked without its C.I.P. when two people with a card each want the same, once.

use sigillo::{
    domain::{
        approval::NotApproved,
        card::Reason,
        id::ApprovalId,
        signed_text::{Context, signed_bytes},
    },
    service::{ApprovalView, Error, RevocationProof, What},
    store::Space,
};

use crate::{people::OPERATOR, rules::LAZIO, rules::supervisors, world::World};

/// What the shipped policy says.
const VALID_FOR_MS: u64 = 15 * 60_000;
const OPEN: usize = 5;

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: &Result<T, Error>, why: NotApproved) {
    assert!(matches!(answer, Err(Error::NotApproved(is)) if *is == why), "{answer:?} should be {why:?}");
}

fn gone<T>(answer: &Result<T, Error>) -> bool {
    matches!(answer, Err(Error::NotFound(What::Approval)))
}

#[tokio::test]
async fn a_colleague_signs_what_is_shown_and_the_card_is_revoked_once() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let colleague = w.supervisor().await;
    let asked = w.desk.ask(&who.card, "a").await.unwrap();
    assert_eq!((asked.state, asked.until_ms), ("open", crate::world::NOW_MS + VALID_FOR_MS));
    let shown = colleague.shown(asked.id).await.unwrap();
    assert_eq!(shown, asked, "the very text that the other operator was given");
    for line in ["action: revoke a card without the C.I.P. of its holder", "reason: lost", "front end: desk"]
    {
        assert!(shown.text.lines().any(|l| l == line), "{line} in {}", shown.text);
    }
    let number = who.card.team_number.as_str();
    assert!(shown.text.contains(&format!("card: {}******{}\n", &number[..10], &number[16..])));
    assert!(!shown.text.contains(number) && !shown.text.contains(OPERATOR));

    refused(&w.desk.revoke_approved(&who.card, asked.id, "r0").await, NotApproved::NotSigned);
    colleague.approve(&shown, "s").await.unwrap();
    assert_eq!(colleague.shown(asked.id).await.unwrap().state, "signed");
    refused(&colleague.approve(&shown, "s2").await, NotApproved::AlreadySigned);
    let other = w.desk.ask(&who.card, "b").await.unwrap();
    let reused = colleague.approve(&other, "s").await;
    assert!(matches!(reused, Err(Error::KeyReused)), "a key is of one approval: {reused:?}");
    w.desk.revoke_approved(&who.card, asked.id, "r").await.unwrap();
    assert_eq!(w.desk.look_up(&who.card).await.unwrap().state, "revoked");
    assert_eq!(w.all(Space::Approval).len(), 2, "nothing of it is left, but the other one");
    assert!(gone(&w.desk.revoke_approved(&who.card, asked.id, "r2").await));
    assert!(gone(&colleague.shown(asked.id).await));

    assert_eq!(w.log_of("approval.asked"), ["done"; 2]);
    assert_eq!(w.log_of("approval.shown"), ["done", "done", "refused: approval_not_found"]);
    assert_eq!(w.log_of("approval.signed"), ["done", "refused: approval_already_signed"]);
    assert_eq!(
        w.log_of("card.revoked"),
        ["refused: approval_not_signed", "intent", "done: lost", "refused: approval_not_found"]
    );
    let events = w.events();
    let of = |kind: &str| events.iter().find(|e| e["kind"] == kind && e["outcome"] == "done").unwrap();
    let (asking, signing, revoking) = (of("approval.asked"), of("approval.signed"), of("card.revoked"));
    assert_ne!(asking["operator"], signing["operator"]);
    assert_eq!((&revoking["operator"], &revoking["approver"]), (&asking["operator"], &signing["operator"]));
    for event in [asking, signing, revoking] {
        assert_eq!(event["approval"], asked.id.to_string());
        assert_eq!(event["card"], hex::encode(w.id(&who.card).unwrap().bytes()));
    }
}

#[tokio::test]
async fn nobody_approves_what_they_asked_for_with_whichever_card() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    // A counter operator who is a supervisor too.
    let someone = w.produced(LAZIO).tax_code;
    let both = w.desk.used_by(someone.as_str()).await;
    let asked = both.ask(&who.card, "a").await.unwrap();
    let own = NotApproved::OwnRequest;
    refused(&both.approve(&asked, "1").await, own);
    // Somebody else with the very card that asked: the same key under another name.
    let other = w.desk.used_by_new(&supervisors()[1]).with_the_card_of(&both);
    other.register_operator().await.unwrap();
    refused(&other.approve(&asked, "2").await, own);
    // The same person with the card that takes the place of it.
    let both = both.with_card(1);
    both.register_operator().await.unwrap();
    refused(&both.approve(&asked, "3").await, own);
    let elsewhere = w.other_desk.used_by_new(someone.as_str()).with_card(1);
    refused(&elsewhere.approve(&asked, "4").await, own);
    assert_eq!(w.log_of("approval.signed"), ["refused: approval_own_request"; 4]);
    refused(&both.revoke_approved(&who.card, asked.id, "r").await, NotApproved::NotSigned);
    w.supervisor().await.approve(&asked, "5").await.unwrap();
    both.revoke_approved(&who.card, asked.id, "r").await.unwrap();
}

#[tokio::test]
async fn nobody_asks_or_approves_about_a_card_of_their_own() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let holder = w.desk.used_by(who.card.tax_code.as_str()).await;
    let own = holder.ask(&who.card, "a").await;
    assert!(matches!(own, Err(Error::OwnCard)), "{own:?}");
    let asked = w.desk.ask(&who.card, "b").await.unwrap();
    let own = holder.shown(asked.id).await;
    assert!(matches!(own, Err(Error::OwnCard)), "{own:?}");
    let own = holder.approve(&asked, "c").await;
    assert!(matches!(own, Err(Error::OwnCard)), "{own:?}");
    assert_eq!(w.log_of("approval.asked"), ["refused: own_card", "done"]);
    assert_eq!(w.log_of("approval.signed"), ["refused: own_card"]);
}

#[tokio::test]
async fn an_approval_serves_the_request_that_was_signed_and_no_other() {
    let w = World::new().await;
    let (who, other) = (w.citizen(LAZIO).await, w.citizen(LAZIO).await);
    let asked = w.desk.ask(&who.card, "a").await.unwrap();
    w.supervisor().await.approve(&asked, "s").await.unwrap();
    let proof = RevocationProof::Approval(asked.id);
    let changed = NotApproved::OtherRequest;
    refused(&w.desk.revoke_approved(&other.card, asked.id, "1").await, changed);
    refused(&w.desk.revoke_with(&who.card, proof, "2", Reason::Stolen).await, changed);
    let colleague = w.desk.used_by(w.produced(LAZIO).tax_code.as_str()).await;
    refused(&colleague.revoke_approved(&who.card, asked.id, "3").await, changed);
    refused(&w.other_desk.revoke_approved(&who.card, asked.id, "4").await, changed);
    let unknown = w.desk.revoke_approved(&who.card, ApprovalId::new([9; 16]), "5").await;
    assert!(gone(&unknown), "{unknown:?}");
    let id = sigillo::domain::id::VerificationId::new(*asked.id.bytes());
    let as_verification = w.desk.revoke(&who.card, id, "6").await;
    assert!(matches!(as_verification, Err(Error::NotFound(What::Verification))), "{as_verification:?}");
    for card in [&who.card, &other.card] {
        assert_eq!(w.desk.look_up(card).await.unwrap().state, "active");
    }
    w.desk.revoke_approved(&who.card, asked.id, "7").await.unwrap();
}

#[tokio::test]
async fn only_a_signature_over_this_text_in_this_context_approves() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let colleague = w.supervisor().await;
    let asked = w.desk.ask(&who.card, "a").await.unwrap();
    let other = w.desk.ask(&who.card, "b").await.unwrap();
    assert_ne!(asked.text, other.text, "two about the same have two ids and nonces");
    let right = signed_bytes(Context::Approval, &asked.text);
    let in_tls = [&[b' '; 64][..], b"TLS 1.3, client CertificateVerify\0", asked.text.as_bytes()].concat();
    let changed = asked.text.replace("reason: lost", "reason: stolen");
    let strange = w.desk.used_by(&supervisors()[1]).await.signs(&right);
    for (n, signature) in [
        colleague.signs(&signed_bytes(Context::Approval, &other.text)),
        colleague.signs(&signed_bytes(Context::OperatorRegistration, &asked.text)),
        colleague.signs(&signed_bytes(Context::Approval, &changed)),
        colleague.signs(&in_tls),
        colleague.signs(asked.text.as_bytes()),
        strange,
        Vec::new(),
    ]
    .iter()
    .enumerate()
    {
        let answer = colleague.sign(asked.id, signature, &format!("s{n}")).await;
        refused(&answer, NotApproved::BadSignature);
    }
    assert_eq!(w.log_of("approval.signed"), ["refused: approval_signature"; 7]);
    colleague.sign(asked.id, &colleague.signs(&right), "s").await.unwrap();
}

#[tokio::test]
async fn its_time_is_over_and_then_it_is_forgotten() {
    let w = World::new().await;
    let (who, late) = (w.citizen(LAZIO).await, w.citizen(LAZIO).await);
    let colleague = w.supervisor().await;
    let signed = w.desk.ask(&who.card, "a").await.unwrap();
    let unused = w.desk.ask(&who.card, "b").await.unwrap();
    let open = w.desk.ask(&late.card, "c").await.unwrap();
    for asked in [&signed, &unused] {
        colleague.approve(asked, &asked.id.to_string()).await.unwrap();
    }
    w.advance_ms(VALID_FOR_MS - 1);
    w.desk.revoke_approved(&who.card, signed.id, "r").await.unwrap();
    w.advance_ms(1);
    assert!(gone(&colleague.shown(open.id).await));
    assert!(gone(&colleague.approve(&open, "s").await));
    assert!(gone(&w.desk.revoke_approved(&who.card, unused.id, "r2").await));
    assert_eq!(w.all(Space::Approval).len(), 4, "two with their places");
    w.service.forget_expired().await.unwrap();
    assert!(w.all(Space::Approval).is_empty());
    let again = w.desk.ask(&late.card, "c").await;
    assert!(gone(&again), "a repeated request finds that it is over: {again:?}");
}

#[tokio::test]
async fn open_ones_are_few_for_each_operator_and_their_places_come_back() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let mut asked: Vec<ApprovalView> = Vec::new();
    for n in 0..OPEN {
        asked.push(w.desk.ask(&who.card, &format!("a{n}")).await.unwrap());
    }
    refused(&w.desk.ask(&who.card, "more").await, NotApproved::TooMany);
    refused(&w.other_desk.ask(&who.card, "elsewhere").await, NotApproved::TooMany);
    let records = w.all(Space::Approval).len();
    assert_eq!(records, 2 * OPEN);
    assert_eq!(w.log_of("approval.asked").last().unwrap(), "refused: approvals_too_many");
    let colleague = w.desk.used_by(w.produced(LAZIO).tax_code.as_str()).await;
    colleague.ask(&who.card, "b").await.unwrap();

    // One that is used gives its place back at once, the others when their time is over.
    let next = w.citizen(LAZIO).await;
    w.supervisor().await.approve(&asked[2], "s").await.unwrap();
    w.desk.revoke_approved(&who.card, asked[2].id, "r").await.unwrap();
    w.advance_ms(1);
    w.desk.ask(&next.card, "c").await.unwrap();
    refused(&w.desk.ask(&next.card, "d").await, NotApproved::TooMany);
    w.advance_ms(VALID_FOR_MS - 1);
    w.service.forget_expired().await.unwrap();
    assert_eq!(w.all(Space::Approval).len(), 2, "the place that was taken again is still taken");
    for n in 1..OPEN {
        w.desk.ask(&next.card, &format!("e{n}")).await.unwrap();
    }
    refused(&w.desk.ask(&next.card, "f").await, NotApproved::TooMany);
    w.advance_ms(VALID_FOR_MS);
    w.service.forget_expired().await.unwrap();
    assert!(w.all(Space::Approval).is_empty());
}

#[tokio::test]
async fn another_policy_set_ends_it_before_and_after_the_signature() {
    let mut w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let (open, signed) =
        (w.desk.ask(&who.card, "a").await.unwrap(), w.desk.ask(&who.card, "b").await.unwrap());
    w.supervisor().await.approve(&signed, "s").await.unwrap();
    w.rules.edit("authority.toml", "accepted_for_s = 300", "accepted_for_s = 301");
    w.restart().await;
    refused(&w.supervisor().await.approve(&open, "t").await, NotApproved::OtherPolicy);
    refused(&w.desk.revoke_approved(&who.card, signed.id, "r").await, NotApproved::OtherPolicy);
    assert_eq!(w.desk.look_up(&who.card).await.unwrap().state, "active");
}

#[tokio::test]
async fn an_approver_who_may_no_more_signs_nothing() {
    let mut w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let asked = w.desk.ask(&who.card, "a").await.unwrap();
    w.supervisor().await.shown(asked.id).await.unwrap();
    w.rules.append(
        "rules/operators.cedar",
        "@id(\"nobody_approves\")\nforbid (principal, action == Action::\"approve\", resource)\n\
         when { context.weekday <= 7 };\n",
    );
    w.restart().await;
    let answer = w.supervisor().await.approve(&asked, "s").await;
    assert!(matches!(&answer, Err(Error::NotAllowedOnCard(rule)) if rule == "nobody_approves"), "{answer:?}");
    assert_eq!(w.log_of("approval.signed"), ["refused: not_allowed_on_card"]);
}

#[tokio::test]
async fn nobody_is_asked_for_what_would_be_refused_afterwards() {
    let mut w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let registered = w.registered(LAZIO).await;
    let proof = w.desk.verify(&who.card, &who.cip, "v").await.unwrap();
    w.desk.revoke(&who.card, proof.verification, "r").await.unwrap();
    let answer = w.desk.ask(&who.card, "a").await;
    assert!(matches!(answer, Err(Error::Refused(_))), "{answer:?}");
    let unknown = w.desk.ask(&w.produced(LAZIO), "b").await;
    assert!(matches!(unknown, Err(Error::NotFound(What::Card))), "{unknown:?}");
    w.rules.append(
        "rules/operators.cedar",
        "@id(\"cip_or_nothing\")\nforbid (principal, action == Action::\"revoke\", resource)\n\
         when { context.approved };\n",
    );
    w.restart().await;
    let answer = w.desk.ask(&registered, "c").await;
    assert!(matches!(&answer, Err(Error::NotAllowedOnCard(rule)) if rule == "cip_or_nothing"), "{answer:?}");
    assert!(w.all(Space::Approval).is_empty());
    assert_eq!(
        w.log_of("approval.asked"),
        ["refused: card_revoked", "refused: card_not_found", "refused: not_allowed_on_card"]
    );
}
