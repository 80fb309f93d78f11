//! Messages in the citizen's language: asked for with the contact, frozen in the delivery.

use sigillo::{
    domain::{
        contact::{Channel, Contact},
        fictional::FictionalCard,
        message::MessageLanguage::{self, French, German, Italian, Slovene},
    },
    service::{
        ActivationRequest, ApprovalRequest, CipRenewalRequest, ContactRequest, DeliveryOutcome, Error,
        HandedOut, LeasedDelivery, ReprintRequest, SelfRenewalRequest,
    },
};

use crate::{
    people::{activation, contact, data, in_person},
    post::prepared,
    rules::LAZIO,
    self_renewals,
    world::World,
};

fn reprint(card: &FictionalCard, language: MessageLanguage) -> ReprintRequest {
    let reason = "forgotten".to_owned();
    ReprintRequest { card: data(card), reason, applicant: in_person(), contact: contact(), language }
}

fn change(card: &FictionalCard, address: &str, language: Option<MessageLanguage>) -> ContactRequest {
    let contact = Contact::parse(Channel::Email, address).unwrap();
    let reason = "bounced".to_owned();
    ContactRequest { card: data(card), reason, contact, language, approval: None }
}

impl World {
    async fn activated_in(&self, card: &FictionalCard, language: MessageLanguage) -> HandedOut {
        let request = ActivationRequest { language, ..activation(card) };
        self.service.activate(self.desk.call("a", card.team_number.as_str()), request).await.unwrap()
    }

    /// Renewed with the approval of two people.
    async fn renewed_in(&self, card: &FictionalCard, language: MessageLanguage) -> Result<HandedOut, Error> {
        let approval = Some(self.approved_renewal(card, "n").await);
        let reason = "seen_by_others".to_owned();
        let (card, applicant, contact) = (data(card), in_person(), contact());
        let request = CipRenewalRequest { card, reason, applicant, contact, language, approval };
        self.service.renew_cip(self.desk.call("n", "renewal"), request).await
    }

    async fn text(&self) -> String {
        self.deliver().await.remove(0).message
    }

    async fn bounced(&self) -> LeasedDelivery {
        let lease = self.lease_one().await;
        self.tell(&lease, prepared(&lease)).await.unwrap();
        self.tell(&lease, DeliveryOutcome::Failed("no such mailbox".into())).await.unwrap();
        lease
    }
}

#[tokio::test]
async fn every_message_is_in_the_language_that_was_asked_for() {
    let w = World::new().await;
    let card = w.registered(LAZIO).await;
    let shown = ActivationRequest { language: German, ..activation(&card) };
    let shown = w.service.preview_activation(w.desk.call("", ""), shown).await.unwrap();
    assert_eq!(shown.language, German);
    w.activated_in(&card, German).await;
    assert_eq!(w.text().await, "de/activation");
    let shown = w.service.preview_reprint(w.desk.call("", ""), reprint(&card, French)).await.unwrap();
    assert_eq!(shown.language, French);
    w.service.reprint(w.desk.call("r", "reprint"), reprint(&card, French)).await.unwrap();
    assert_eq!(w.text().await, "fr/reprint");
    w.renewed_in(&card, Slovene).await.unwrap();
    assert_eq!(w.text().await, "sl/renewal");

    let new = self_renewals::renewing(&w, &card, LAZIO).await;
    let request = || SelfRenewalRequest { language: French, ..self_renewals::request(&new, &card) };
    let call = |key| self_renewals::call(&w, &card, key, "renew");
    let shown = w.service.preview_self_renewal(call(""), request()).await.unwrap();
    assert_eq!(shown.language, French);
    w.service.renew_self(call("s"), request()).await.unwrap();
    assert_eq!(w.text().await, "fr/activation");
}

#[tokio::test]
async fn another_contact_keeps_the_language_unless_it_asks_for_another() {
    let w = World::new().await;
    let card = w.registered(LAZIO).await;
    w.activated_in(&card, German).await;
    assert_eq!(w.bounced().await.message, "de/activation");
    let as_before = change(&card, "altra@esempio.example", None);
    w.service.change_contact(w.desk.call("1", "1"), as_before).await.unwrap();
    assert_eq!(w.bounced().await.message, "de/activation");
    let other = change(&card, "terza@esempio.example", Some(Slovene));
    w.service.change_contact(w.desk.call("2", "2"), other).await.unwrap();
    let sent = w.deliver().await.remove(0);
    assert_eq!(sent.message, "sl/activation");
    w.desk.resend(sent.delivery, "3").await.unwrap();
    assert_eq!(w.text().await, "sl/activation", "the very same message");
    w.service.reprint(w.desk.call("4", "4"), reprint(&card, Italian)).await.unwrap();
    assert_eq!(w.bounced().await.message, "reprint");
    let other = change(&card, "terza@esempio.example", Some(German));
    w.service.change_contact(w.desk.call("5", "5"), other).await.unwrap();
    assert_eq!(w.text().await, "de/reprint");
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, Error>) {
    let by_name =
        matches!(&answer, Err(Error::Field { field: "contact.language", code: "language_not_allowed", .. }));
    assert!(by_name, "{answer:?}");
}

#[tokio::test]
async fn a_language_that_the_policy_has_not_is_refused_before_anything_is_done() {
    let mut w = World::new().await;
    let (card, next) = (w.registered(LAZIO).await, w.registered(LAZIO).await);
    w.activated_in(&card, German).await;
    w.bounced().await;
    w.rules.edit("authority.toml", "languages = [\"it\", \"de\", \"fr\", \"sl\"]", "languages = [\"it\"]");
    w.restart().await;
    let before = w.events().len();
    let activate = || ActivationRequest { language: German, ..activation(&next) };
    refused(w.service.preview_activation(w.desk.call("", ""), activate()).await);
    refused(w.service.activate(w.desk.call("1", "1"), activate()).await);
    refused(w.service.preview_reprint(w.desk.call("", ""), reprint(&card, French)).await);
    refused(w.service.reprint(w.desk.call("2", "2"), reprint(&card, French)).await);
    let reason = "seen_by_others".to_owned();
    let (holder, to) = (in_person(), contact());
    let renew = CipRenewalRequest {
        card: data(&card),
        reason,
        applicant: holder,
        contact: to,
        language: Slovene,
        approval: None,
    };
    refused(w.service.renew_cip(w.desk.call("3", "3"), renew).await);
    let renew = || SelfRenewalRequest { language: French, ..self_renewals::request(&next, &card) };
    let citizen = |key| self_renewals::call(&w, &card, key, "renew");
    refused(w.service.preview_self_renewal(citizen(""), renew()).await);
    refused(w.service.renew_self(citizen("4"), renew()).await);
    let contacts = || change(&card, "altra@esempio.example", Some(German));
    refused(w.service.change_contact(w.desk.call("5", "5"), contacts()).await);
    let ContactRequest { reason, contact, language, .. } = contacts();
    let ask = ApprovalRequest::ChangeContact { team: card.team_number.clone(), reason, contact, language };
    refused(w.service.ask_approval(w.desk.call("6", "6"), ask).await);
    assert_eq!(w.events().len(), before);

    // What was allowed when the paper was printed is not taken back: its message goes elsewhere as it was.
    let as_before = change(&card, "altra@esempio.example", None);
    w.service.change_contact(w.desk.call("7", "7"), as_before).await.unwrap();
    assert_eq!(w.text().await, "de/activation");
}
