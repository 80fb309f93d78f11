//! One full and one least value of every type of the wire, written by the program's own types.

#[path = "samples/codes.rs"]
pub(crate) mod codes;
#[path = "samples/counter.rs"]
mod counter;

use std::collections::BTreeSet;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use sigillo::{
    api::{
        approvals::{Approval, ApprovalCard, AskApproval, SignApproval, SignedApproval},
        cards::{BadLine, LookUp, NewCard, Registered, Revoke, Revoked},
        courier::{Lease, LeaseRequest, LeasedCode, Leases, Report, ReportStatus, Reported},
        operators::{
            Deregister, Deregistered, OpenRegistration, OpenedRegistration, Session, SessionAction,
            SessionOperator, SignRegistration, SignedRegistration,
        },
        problem::ProblemDocument,
        texts::{Text, TextEntry, TextField, Texts},
    },
    domain::{
        audit::{Event, Kind, Outcome},
        card::{Reason, State},
        id::{CardId, DeliveryId, LeaseId, RequestId},
    },
    policy::Action,
    service::Exported,
};

/// Object schemas without a type of their own: events have members by kind, and the export's line is written only.
pub(crate) const NOT_WIRE_TYPES: [&str; 2] = ["AuditEvent", "AuditLine"];

pub(crate) const CARD_STATES: [State; 4] = [
    State::Registered,
    State::Active { activated_at_ms: 1 },
    State::Held { activated_at_ms: None },
    State::Revoked { activated_at_ms: None, revoked_at_ms: 1, reason: Reason::Lost },
];
pub(crate) const KINDS: [Kind; 55] = [
    Kind::ApprovalAsked,
    Kind::ApprovalShown,
    Kind::ApprovalSigned,
    Kind::AuthorityRefused,
    Kind::LeasesUnwritten,
    Kind::StoreGoneBack,
    Kind::ContactNotified,
    Kind::CourierStarted,
    Kind::LeaseAdmitted,
    Kind::LeaseEnded,
    Kind::LeaseRefused,
    Kind::LeaseWaiting,
    Kind::AuditKeyReplaced,
    Kind::AuditRead,
    Kind::CardActivated,
    Kind::CardExported,
    Kind::CardLookedUp,
    Kind::CardRecovered,
    Kind::CardRegistered,
    Kind::CardRevoked,
    Kind::CardSaltDestroyed,
    Kind::CipRenewed,
    Kind::CipUnlocked,
    Kind::CardsPersonalised,
    Kind::CodesReprinted,
    Kind::ContactChanged,
    Kind::ConsentsRead,
    Kind::ConsentsRecorded,
    Kind::DeliveryCancelled,
    Kind::DeliveryExpired,
    Kind::DeliveryLeased,
    Kind::DeliveryLookedUp,
    Kind::DeliveryQueued,
    Kind::DeliveryReported,
    Kind::HistoryRead,
    Kind::DeliveryResent,
    Kind::LimitReached,
    Kind::OperationsUnaccounted,
    Kind::OperatorDeregistered,
    Kind::OperatorRecovered,
    Kind::OperatorRegistered,
    Kind::OperatorRegistrationOpened,
    Kind::PolicyActivated,
    Kind::PolicyRefused,
    Kind::ReportRead,
    Kind::ReaderHandedOver,
    Kind::ReaderStocked,
    Kind::RequestRefused,
    Kind::RequestReplayed,
    Kind::ServiceStarted,
    Kind::SessionShown,
    Kind::StoreBackedUp,
    Kind::StoreRecovered,
    Kind::VerificationDecided,
    Kind::VerificationSpent,
];
pub(crate) const OUTCOMES: [Outcome; 5] =
    [Outcome::Accepted, Outcome::Done, Outcome::Intent, Outcome::Refused, Outcome::Rejected];
pub(crate) const REPORT_STATUSES: [ReportStatus; 7] = [
    ReportStatus::Delivered,
    ReportStatus::Failed,
    ReportStatus::Prepared,
    ReportStatus::Retry,
    ReportStatus::Returned,
    ReportStatus::Sent,
    ReportStatus::Waiting,
];
pub(crate) const ACTIONS: [Action; 29] = [
    Action::Activate,
    Action::Approve,
    Action::AskApproval,
    Action::Backup,
    Action::ChangeContact,
    Action::Courier,
    Action::DeregisterOperator,
    Action::ExportCards,
    Action::LookUp,
    Action::ReadAudit,
    Action::ReadConsents,
    Action::ReadDelivery,
    Action::ReadHistory,
    Action::ReadReports,
    Action::ReadTexts,
    Action::RecordConsents,
    Action::ReloadPolicy,
    Action::Register,
    Action::RegisterOperator,
    Action::RenewCip,
    Action::RenewSelf,
    Action::Reprint,
    Action::ResendDelivery,
    Action::RequestReader,
    Action::Revoke,
    Action::Session,
    Action::Unlock,
    Action::StockReaders,
    Action::Verify,
];

/// A new variant does not compile here until the lists above have it.
const fn _lists_are_complete(
    kind: Kind,
    outcome: Outcome,
    status: ReportStatus,
    action: Action,
    state: State,
) {
    match kind {
        Kind::ApprovalAsked | Kind::ApprovalShown | Kind::ApprovalSigned => {}
        Kind::AuditKeyReplaced
        | Kind::AuditRead
        | Kind::CardActivated
        | Kind::CardExported
        | Kind::CardsPersonalised
        | Kind::CardLookedUp
        | Kind::CardRecovered
        | Kind::CardRegistered
        | Kind::CardRevoked
        | Kind::CardSaltDestroyed
        | Kind::CipRenewed
        | Kind::CipUnlocked => {}
        Kind::ContactNotified | Kind::CourierStarted | Kind::LeaseAdmitted => {}
        Kind::ContactChanged | Kind::DeliveryExpired | Kind::DeliveryResent => {}
        Kind::LeaseEnded | Kind::LeaseRefused | Kind::LeaseWaiting => {}
        Kind::CodesReprinted | Kind::DeliveryCancelled | Kind::DeliveryLeased | Kind::DeliveryLookedUp => {}
        Kind::DeliveryQueued | Kind::DeliveryReported | Kind::RequestRefused | Kind::RequestReplayed => {}
        Kind::AuthorityRefused | Kind::ConsentsRead | Kind::ConsentsRecorded | Kind::LeasesUnwritten => {}
        Kind::StoreBackedUp | Kind::StoreGoneBack | Kind::StoreRecovered => {}
        Kind::PolicyActivated | Kind::PolicyRefused | Kind::SessionShown => {}
        Kind::HistoryRead | Kind::ReportRead => {}
        Kind::ReaderHandedOver | Kind::ReaderStocked => {}
        Kind::OperatorDeregistered | Kind::OperatorRecovered => {}
        Kind::OperatorRegistered | Kind::OperatorRegistrationOpened => {}
        Kind::LimitReached
        | Kind::OperationsUnaccounted
        | Kind::ServiceStarted
        | Kind::VerificationDecided
        | Kind::VerificationSpent => {}
    }
    match outcome {
        Outcome::Accepted | Outcome::Done | Outcome::Intent | Outcome::Refused | Outcome::Rejected => {}
    }
    match status {
        ReportStatus::Delivered | ReportStatus::Failed | ReportStatus::Prepared => {}
        ReportStatus::Retry | ReportStatus::Returned | ReportStatus::Sent | ReportStatus::Waiting => {}
    }
    match action {
        Action::Approve | Action::AskApproval => {}
        Action::Activate
        | Action::Backup
        | Action::Courier
        | Action::ExportCards
        | Action::LookUp
        | Action::ReadAudit
        | Action::ReadDelivery
        | Action::ReadTexts => {}
        Action::Register | Action::Reprint | Action::Revoke | Action::Verify => {}
        Action::ChangeContact | Action::RenewCip | Action::ResendDelivery | Action::Unlock => {}
        Action::ReadHistory
        | Action::ReadReports
        | Action::ReadConsents
        | Action::RecordConsents
        | Action::ReloadPolicy => {}
        Action::DeregisterOperator | Action::RegisterOperator | Action::Session => {}
        Action::RenewSelf | Action::RequestReader | Action::StockReaders => {}
    }
    match state {
        State::Registered | State::Active { .. } | State::Held { .. } | State::Revoked { .. } => {}
    }
}

/// The names of values as they are written.
pub(crate) fn names<T: Serialize>(values: &[T]) -> BTreeSet<String> {
    values.iter().map(|v| serde_json::to_value(v).unwrap().as_str().unwrap().to_owned()).collect()
}

/// A type of the wire.
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) full: Value,
    pub(crate) least: Value,
    is_request: bool,
    reads: fn(&Value) -> bool,
}

impl Sample {
    pub(crate) fn takes(&self, value: &Value) -> bool {
        (self.reads)(value)
    }

    /// The full value with one more member.
    pub(crate) fn with(&self, name: &str, member: Value) -> Value {
        let mut changed = self.full.clone();
        changed.as_object_mut().unwrap().insert(name.into(), member);
        changed
    }

    /// What a request must have, and an answer always has.
    pub(crate) fn required(&self) -> BTreeSet<String> {
        let full = self.full.as_object().unwrap();
        let needed = |name: &&String| {
            let mut without = full.clone();
            without.remove(*name);
            !self.takes(&Value::Object(without))
        };
        if self.is_request {
            full.keys().filter(needed).cloned().collect()
        } else {
            self.least.as_object().unwrap().keys().cloned().collect()
        }
    }
}

fn reads<T: DeserializeOwned>(value: &Value) -> bool {
    serde_json::from_str::<T>(&value.to_string()).is_ok()
}

fn sample<T: Serialize + DeserializeOwned>(
    name: &'static str,
    is_request: bool,
    full: &T,
    least: &T,
) -> Sample {
    let value = |v| serde_json::to_value(v).unwrap();
    Sample { name, full: value(full), least: value(least), is_request, reads: reads::<T> }
}

pub(crate) fn answer<T: Serialize + DeserializeOwned>(name: &'static str, full: &T, least: &T) -> Sample {
    sample(name, false, full, least)
}

pub(crate) fn request<T: Serialize + DeserializeOwned>(name: &'static str, full: &T, least: &T) -> Sample {
    sample(name, true, full, least)
}

pub(crate) const CF: &str = "RSSMRA80H55D612G";
pub(crate) const TEAM: &str = "80380000601234567893";
pub(crate) const DAY: &str = "2031-05-31";
pub(crate) const TIME: &str = "2026-11-23T07:02:28.864Z";
pub(crate) const HEX32: &str = "5be1f0a37c2d4e96a8b04c7d19e2f365";

pub(crate) fn some<T: From<&'static str>>(text: &'static str) -> Option<T> {
    Some(text.into())
}

/// Every type of the wire.
pub(crate) fn all() -> Vec<Sample> {
    let mut all = cards();
    all.extend(codes::applicants());
    all.extend(approvals());
    all.extend(crate::aftercare::all());
    all.extend(codes::codes());
    all.extend(counter::all());
    all.extend(operators());
    all.extend(courier());
    all.extend(crate::figures::histories());
    all.extend(crate::figures::reports());
    all.extend(texts());
    let problem = |more: bool| ProblemDocument {
        kind: "urn:sigillo:problem:invalid_value".into(),
        title: "A value is not acceptable".into(),
        status: 422,
        code: "invalid_value".into(),
        detail: more.then(|| "must be 1 to 100".into()),
        field: more.then(|| "$.limit".into()),
        request_id: HEX32.into(),
    };
    all.push(answer("Problem", &problem(true), &problem(false)));
    all
}

fn texts() -> Vec<Sample> {
    let (id, title, language) = (|| "reader-request".to_owned(), || "Titolo".to_owned(), || "it".to_owned());
    let function = || "reader_request".to_owned();
    let entry =
        || TextEntry { id: id(), title: title(), version: 1, language: language(), function: function() };
    let field = || TextField {
        name: "holder.tax_code".into(),
        label: "Codice fiscale".into(),
        kind: "tax_code".into(),
        required: true,
    };
    let text = |fields| Text {
        id: id(),
        title: title(),
        version: 1,
        language: language(),
        function: function(),
        fields,
        body: "{{holder.tax_code}}\n".into(),
    };
    vec![
        answer("Texts", &Texts { texts: vec![entry()] }, &Texts { texts: Vec::new() }),
        answer("TextEntry", &entry(), &entry()),
        answer("Text", &text(vec![field()]), &text(Vec::new())),
        answer("TextField", &field(), &field()),
    ]
}

fn cards() -> Vec<Sample> {
    let (cf, team, day) = (|| CF.to_owned(), || TEAM.to_owned(), || DAY.to_owned());
    let new = |former: Option<String>| NewCard {
        tax_code: cf(),
        team_number: team(),
        expires_on: day(),
        renews: former.clone(),
        replaces: former,
    };
    let line = |field| BadLine {
        line: 1,
        code: "luhn".into(),
        field,
        detail: "the check digit does not hold".into(),
    };
    let registered =
        Registered { registered: 1, unchanged: 2, rejected: vec![line(None)], warnings: Vec::new() };
    let look = |tax_code, expires_on| LookUp { tax_code, team_number: team(), expires_on };
    let revoke = |id: Option<String>| Revoke {
        team_number: team(),
        verification: id.clone(),
        approval: id,
        reason: "lost".into(),
        applicant: codes::applicant(false),
    };
    let revoked = Revoked { state: "revoked".into(), revoked_at: TIME.into(), paper: codes::paper(false) };
    vec![
        request("NewCard", &new(some(TEAM)), &new(None)),
        answer("Registered", &registered, &Registered::default()),
        answer("BadLine", &line(some("$.team_number")), &line(None)),
        request("LookUp", &look(some(CF), some(DAY)), &look(None, None)),
        answer("Card", &codes::card(true), &codes::card(false)),
        request("Revoke", &revoke(some(HEX32)), &revoke(None)),
        answer("Revoked", &revoked, &revoked),
    ]
}

fn approvals() -> Vec<Sample> {
    let card = || ApprovalCard { team_number: TEAM.into() };
    let ask = |contact| AskApproval { action: "revoke".into(), card: card(), reason: "lost".into(), contact };
    let (text, state) = ("Sigillo approval\n".into(), "open".into());
    let approval = Approval { id: HEX32.into(), text, state, expires_at: TIME.into() };
    let sign = SignApproval { signature: "MEUCIQDx".into() };
    let signed = SignedApproval { state: "signed".into(), expires_at: TIME.into() };
    vec![
        request("AskApproval", &ask(Some(codes::contact(false))), &ask(None)),
        request("ApprovalCard", &card(), &card()),
        answer("Approval", &approval, &approval),
        request("SignApproval", &sign, &sign),
        answer("SignedApproval", &signed, &signed),
    ]
}

fn operators() -> Vec<Sample> {
    let opened = OpenedRegistration { id: HEX32.into(), text: "sigillo".into(), expires_at: TIME.into() };
    let sign = SignRegistration { signature: "AAAA".into() };
    let signed = SignedRegistration { registered_at: TIME.into(), replaced: true };
    let (end, ended) = (Deregister { tax_code: CF.into() }, Deregistered { deregistered: true });
    let operator = |name| SessionOperator {
        name,
        id_carta: "6090000000000013".into(),
        certificate_until: TIME.into(),
        office: "example-office".into(),
        roles: vec!["counter_operator".into()],
        regions: vec!["120".into()],
    };
    let action = |regions| SessionAction { action: "verify".into(), regions };
    let session = |actions| Session {
        operator: operator(None),
        registration: "registered".into(),
        front_end: "desk".into(),
        actions,
        policy: "00".repeat(32),
        sequence: 2,
    };
    vec![
        request("OpenRegistration", &OpenRegistration {}, &OpenRegistration {}),
        answer("OpenedRegistration", &opened, &opened),
        request("SignRegistration", &sign, &sign),
        answer("SignedRegistration", &signed, &signed),
        request("Deregister", &end, &end),
        answer("Deregistered", &ended, &ended),
        answer("SessionOperator", &operator(some("Mario Rossi")), &operator(None)),
        answer("SessionAction", &action(Some(vec!["120".into()])), &action(None)),
        answer("Session", &session(vec![action(None)]), &session(Vec::new())),
    ]
}

fn courier() -> Vec<Sample> {
    let (delivery, lease) = (DeliveryId::new([1; 16]), LeaseId::new([2; 16]));
    let code = |forbidden| LeasedCode { code: "PIN".into(), generation: 1, digits: 3, forbidden };
    let full = || Lease {
        lease,
        delivery,
        card: CardId::new([3; 16]),
        until_ms: 1,
        attempt: 1,
        message: "activation".into(),
        control: "735204".into(),
        template: "IT/1".into(),
        salt: "00".repeat(32),
        codes: vec![code(Vec::new())],
        contact: "5a".repeat(384),
    };
    let report = |status, more: bool| Report {
        delivery,
        status,
        generation: more.then_some(1),
        second_part_tag: more.then(|| "00".repeat(32)),
        reason: more.then(|| "why".into()),
        until_ms: more.then_some(1),
    };
    let reported = Reported { state: "sent".into() };
    let ask = |checkpoint| LeaseRequest { limit: 10, checkpoint };
    let kept = || "sigillo audit checkpoint v2\n".to_owned();
    let leases = |leases| Leases { leases, checkpoint: kept() };
    vec![
        request("LeaseRequest", &ask(Some(kept())), &ask(None)),
        answer("Leases", &leases(vec![full()]), &leases(Vec::new())),
        answer("Lease", &full(), &full()),
        answer("LeasedCode", &code(vec!["000".into()]), &code(Vec::new())),
        request("Report", &report(ReportStatus::Prepared, true), &report(ReportStatus::Sent, false)),
        answer("Reported", &reported, &reported),
    ]
}

/// Lines of an export, as the service writes them.
pub(crate) fn audit_lines() -> Vec<Value> {
    let event = |kind, outcome| Event {
        at_ms: 1_795_417_468_756,
        kind,
        outcome,
        caller: "desk".into(),
        request: RequestId::new([4; 16]),
        policy: "00".repeat(32),
        card: Some([5; 16]),
        with_ticket: true,
        detail: vec![("reason", "not_allowed".to_owned())],
    };
    let kinds = KINDS.into_iter().map(|kind| event(kind, Outcome::Done));
    let outcomes = OUTCOMES.into_iter().map(|outcome| event(Kind::CardRevoked, outcome));
    let line = |event: Event| {
        let text = String::from_utf8(event.encode(1, None)).unwrap();
        let event = serde_json::value::RawValue::from_string(text).unwrap();
        let line = serde_json::to_string(&Exported { hash: "00".repeat(32), event }).unwrap();
        serde_json::from_str(&line).unwrap()
    };
    kinds.chain(outcomes).map(line).collect()
}
