//! The courier: derives second parts in its own token and sends them. It holds no print key, so it cannot make a
//! first part. It keeps what its own [`judge`] needs, and no code: what it loses in a crash is leased again.
//!
//! [`Courier::deliver`] is the order of effects, written once: check the lease, open and check the contact, judge and
//! count, derive, report `prepared`, and only when the authority has taken that, send, then report what became of it. No digits,
//! contact or server text may reach a log or a report.

mod derive;
mod gateways;
mod late;
mod setback;
mod slip;
mod smtp;

pub mod authority;
pub mod bounces;
pub mod config;
pub mod judge;
pub mod mail;
pub mod message;
pub mod run;
pub mod sms;

use std::{sync::Arc, time::Duration};

use crate::{
    api::courier::{Lease, Leases, Report, ReportStatus},
    clock::Clock,
    domain::{
        contact::{Channel, Contact, open_plaintext},
        id::{DeliveryId, LeaseId},
    },
    hsm::Hsm,
};
use judge::{Admission, Denied, Ended, Judge};
use message::{Messages, Text};

pub use gateways::{Gateways, TextGateway};
pub use setback::Setback;
pub use slip::NoSlip;

/// Why the authority did not take what it was told, or gave no leases.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    /// HTTP 409: the lease is another's, or over. Nothing more may be done with the delivery.
    #[error("the lease is lost")]
    LeaseLost,
    /// Any other answer that is no success: asking again would not help.
    #[error("the authority refuses: {0}")]
    Refused(String),
    /// No answer, or "later". Whether the authority acted is unknown.
    #[error("the authority is unavailable: {0}")]
    Unavailable(String),
}

/// Why there is nothing to carry out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoLeases {
    /// The authority gave none.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// What came is not touched: the authority went back, or the courier's memory does not work.
    #[error(transparent)]
    Refused(#[from] Setback),
}

/// What the courier asks of the authority.
pub trait Authority: Send + Sync {
    /// Takes hold of up to `limit` due deliveries. `kept` is the authority's newest checkpoint as far as the courier knows.
    fn lease(
        &self,
        limit: usize,
        kept: Option<String>,
    ) -> impl Future<Output = Result<Leases, AuthorityError>> + Send;

    /// Says what became of one. `Ok` means that the authority has stored it.
    fn report(
        &self,
        lease: &LeaseId,
        report: &Report,
    ) -> impl Future<Output = Result<(), AuthorityError>> + Send;
}

/// One message for a gateway.
#[derive(Clone, Copy, Debug)]
pub struct Mail<'a> {
    /// Names the message over all attempts, so that a second copy can be recognised.
    pub delivery: DeliveryId,
    /// Names the attempt.
    pub lease: LeaseId,
    /// Where it goes.
    pub to: &'a Contact,
    /// What it says; holds second parts.
    pub text: &'a Text,
}

impl<A: Authority> Authority for Arc<A> {
    fn lease(
        &self,
        limit: usize,
        kept: Option<String>,
    ) -> impl Future<Output = Result<Leases, AuthorityError>> + Send {
        A::lease(self, limit, kept)
    }

    fn report(
        &self,
        lease: &LeaseId,
        report: &Report,
    ) -> impl Future<Output = Result<(), AuthorityError>> + Send {
        A::report(self, lease, report)
    }
}

/// What carries messages.
pub trait Gateway: Send + Sync {
    /// Whether a message for this channel could be handed over now. Asked before anything is derived.
    ///
    /// # Errors
    /// The channel is not carried, or rests after trouble.
    fn ready(&self, channel: Channel) -> Result<(), Setback> {
        match channel {
            Channel::Email | Channel::Sms => Ok(()),
        }
    }

    /// Hands one message over. `Ok` means that the gateway has taken responsibility for it.
    ///
    /// An error after the message has left may mean that it was taken all the same: then it is sent twice, with
    /// the same identifier. It never takes longer than [`Limits::margin`] allows for.
    fn send(&self, mail: &Mail<'_>) -> impl Future<Output = Result<(), Setback>> + Send;
}

/// Times and counts of one delivery.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A lease with less than this left is not acted on: the gateway's longest time for one message, and how far
    /// the two hosts' clocks may differ.
    pub margin: Duration,
    /// How often a report is made when the authority does not answer, at least 1.
    pub report_tries: u32,
    /// Pause between two of them.
    pub report_pause: Duration,
}

/// What became of one delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Reported as never to work.
    Failed,
    /// The lease was over, or went to another courier. Nothing was sent after that was known.
    LeaseLost,
    /// The authority refuses a report of this delivery. If it was `prepared`, nothing was sent.
    Refused,
    /// Handed back untouched or unsent, for a reason that is not its own and not every delivery's.
    Resting,
    /// Reported as to be tried again.
    Retry,
    /// Sent and reported.
    Sent,
    /// Handed back until a waiting time ends or a limit has room. Nothing was derived.
    Waiting,
    /// As `Retry`, and other deliveries would fare the same: token or gateway are down.
    Trouble,
    /// The authority did not answer a report. If it was `prepared`, nothing was sent.
    Unreported,
}

/// When leases were taken, on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    wall_ms: u64,
    uptime: Duration,
}

/// Carries out deliveries.
pub struct Courier<A, G> {
    authority: A,
    gateway: G,
    hsm: Hsm,
    messages: Messages,
    judge: Judge,
    clock: Arc<dyn Clock>,
    limits: Limits,
}

impl<A: Authority, G: Gateway> Courier<A, G> {
    /// Puts the pieces together.
    pub fn new(
        authority: A,
        gateway: G,
        hsm: Hsm,
        messages: Messages,
        judge: Judge,
        clock: Arc<dyn Clock>,
        limits: Limits,
    ) -> Self {
        Self { authority, gateway, hsm, messages, judge, clock, limits }
    }

    /// To be asked for before leases are, and handed back with each of them.
    pub fn moment(&self) -> Moment {
        Moment { wall_ms: self.clock.now_ms(), uptime: self.clock.uptime() }
    }

    /// Takes hold of up to `limit` due deliveries, oldest first. The authority is shown its own newest checkpoint, and what it
    /// shows is durable before anything is done for it (I13).
    ///
    /// # Errors
    /// What the authority says, and an authority that went back.
    pub async fn lease(&self, limit: usize) -> Result<Vec<Lease>, NoLeases> {
        let Leases { leases, checkpoint } = self.authority.lease(limit, self.judge.kept()?).await?;
        self.judge.keep(&checkpoint).await?;
        Ok(leases)
    }

    /// The gateway, to be closed at the end.
    pub const fn gateway(&self) -> &G {
        &self.gateway
    }

    /// Whether the token can be asked now. Nothing is leased while it cannot.
    pub fn has_token(&self) -> bool {
        self.hsm.refuse_if_down().is_ok()
    }

    /// Whether the token is gone for this process.
    pub fn is_token_given_up(&self) -> bool {
        self.hsm.is_given_up()
    }

    /// Ready when the token is gone for this process.
    pub async fn token_given_up(&self) {
        self.hsm.given_up().await;
    }

    /// The courier's own memory has stopped: nothing may be sent any more by this process.
    pub fn is_memory_lost(&self) -> bool {
        self.judge.is_lost()
    }

    /// What the courier does for itself before it asks for leases: notices to former contacts.
    pub async fn notify(&self) {
        self.judge.notify(&self.gateway, &self.messages).await;
    }

    /// What the courier does for itself after each round: its log is signed, old counters are forgotten.
    pub async fn upkeep(&self) {
        self.judge.upkeep().await;
    }

    /// What the courier does for itself at its end.
    pub async fn finish(&self) {
        self.judge.finish().await;
    }

    /// Carries out one delivery: the order of effects.
    pub async fn deliver(&self, lease: &Lease, taken: Moment) -> Outcome {
        if !self.is_held(lease, taken) {
            return self.lost(lease, "before anything was done");
        }
        let (order, contact) = match self.open(lease).await {
            Ok(opened) => opened,
            Err(setback) => {
                // A contact that does not open may be a trial; a gateway or a token that is down is no judgement.
                if let Setback::Failed(reason) | Setback::Retry(reason) = &setback {
                    self.judge.refused(lease, reason).await;
                }
                return self.give_back(lease, taken, setback).await;
            }
        };
        // From here on the message is counted, whatever becomes of it.
        let admission = match self.judge.admit(lease, &contact).await {
            Ok(admission) => admission,
            Err(Denied::Setback(setback)) => return self.give_back(lease, taken, setback).await,
            Err(Denied::Wait { until_ms, reason }) => return self.hold(lease, taken, until_ms, reason).await,
        };
        let not_sent = |why: String| (Ended::NotSent, why);
        let ((ended, why), last) = match self.prepare(lease, &admission, &order, &contact).await {
            Err(setback) => (not_sent(setback.to_string()), Last::GiveBack(setback)),
            Ok((text, prepared)) => match self.report(lease, taken, &prepared).await {
                Err(error) => {
                    tracing::warn!(delivery = %lease.delivery, %error, "not sent: the authority did not take `prepared`");
                    (not_sent("`prepared` was not taken".to_owned()), Last::Nothing(not_taken(&error)))
                }
                // The report may have taken long. From here to the gateway's answer the margin must suffice.
                Ok(()) if !self.is_held(lease, taken) => {
                    let outcome = self.lost(lease, "before it was sent");
                    (not_sent("the lease was over".to_owned()), Last::Nothing(outcome))
                }
                Ok(()) => {
                    let mail =
                        Mail { delivery: lease.delivery, lease: lease.lease, to: &contact, text: &text };
                    match self.gateway.send(&mail).await {
                        Ok(()) => ((Ended::Sent, String::new()), Last::Sent),
                        Err(setback) => {
                            ((setback::ended(&setback), setback.to_string()), Last::GiveBack(setback))
                        }
                    }
                }
            },
        };
        self.judge.ended(admission, lease, ended, &why).await;
        match last {
            Last::GiveBack(setback) => self.give_back(lease, taken, setback).await,
            Last::Nothing(outcome) => outcome,
            Last::Sent => self.close(lease, taken, Closing::of(ReportStatus::Sent), Outcome::Sent).await,
        }
    }

    /// Hands a delivery back that may be carried out later.
    async fn hold(&self, lease: &Lease, taken: Moment, until_ms: u64, reason: String) -> Outcome {
        let closing =
            Closing { status: ReportStatus::Waiting, reason: Some(reason), until_ms: Some(until_ms) };
        self.close(lease, taken, closing, Outcome::Waiting).await
    }

    /// Reports that a delivery was not carried out, so that the authority need not wait for the lease's end.
    pub async fn give_back(&self, lease: &Lease, taken: Moment, setback: Setback) -> Outcome {
        let (status, outcome, reason) = match setback {
            Setback::Failed(reason) => (ReportStatus::Failed, Outcome::Failed, reason),
            Setback::Rest(reason) => (ReportStatus::Returned, Outcome::Resting, reason),
            Setback::Retry(reason) | Setback::Unknown(reason) => {
                (ReportStatus::Retry, Outcome::Retry, reason)
            }
            Setback::Trouble(reason) => (ReportStatus::Returned, Outcome::Trouble, reason),
        };
        let closing = Closing { reason: Some(reason), ..Closing::of(status) };
        self.close(lease, taken, closing, outcome).await
    }

    /// Reads a lease and opens its contact.
    async fn open<'a>(&self, lease: &'a Lease) -> Result<(derive::Order<'a>, Contact), Setback> {
        let order = derive::Order::read(lease)?;
        let opened = self.hsm.open_contact(order.contact.clone()).await.map_err(setback::of_contact)?;
        let (card, delivery, contact) = open_plaintext(opened.expose())
            .map_err(|_| Setback::Failed("the sealed contact is not valid".to_owned()))?;
        if (card, delivery) != (lease.card, lease.delivery) {
            return Err(Setback::Failed("the contact is sealed for another delivery".to_owned()));
        }
        self.gateway.ready(contact.channel())?;
        Ok((order, contact))
    }

    /// Derives, and makes what is to be said.
    async fn prepare(
        &self,
        lease: &Lease,
        admission: &Admission,
        order: &derive::Order<'_>,
        contact: &Contact,
    ) -> Result<(Text, Report), Setback> {
        let keys = derive::Keys { judge: &self.judge, admission };
        let parts = order.second_parts(&keys).await?;
        let tag = order.tag(&keys, &parts).await?;
        let text = self
            .messages
            .render(&lease.message, contact.channel(), &lease.control, &parts)
            .map_err(|why| Setback::Retry(why.to_string()))?;
        let (generation, second_part_tag) = tag.unzip();
        let closing = Closing::of(ReportStatus::Prepared);
        Ok((text, Report { generation, second_part_tag, ..closing.report(lease) }))
    }

    /// Makes the last report of an attempt.
    async fn close(&self, lease: &Lease, taken: Moment, closing: Closing, outcome: Outcome) -> Outcome {
        let report = closing.report(lease);
        let why = report.reason.clone().unwrap_or_default();
        match self.report(lease, taken, &report).await {
            Ok(()) => {
                tracing::info!(delivery = %lease.delivery, attempt = lease.attempt, ?outcome, why, "delivery");
                outcome
            }
            Err(error) => {
                tracing::warn!(delivery = %lease.delivery, ?outcome, why, %error, "delivery: report not taken");
                not_taken(&error)
            }
        }
    }

    /// One report, again while the authority does not answer and the lease holds.
    async fn report(&self, lease: &Lease, taken: Moment, report: &Report) -> Result<(), AuthorityError> {
        let mut tries = 1;
        loop {
            let answer = self.authority.report(&lease.lease, report).await;
            let again = matches!(answer, Err(AuthorityError::Unavailable(_)))
                && tries < self.limits.report_tries
                && self.left(lease, taken) > self.limits.report_pause;
            if !again {
                return answer;
            }
            tries = tries.saturating_add(1);
            tokio::time::sleep(self.limits.report_pause).await;
        }
    }

    fn lost(&self, lease: &Lease, when: &str) -> Outcome {
        tracing::warn!(delivery = %lease.delivery, "lease lost {when}");
        Outcome::LeaseLost
    }

    fn is_held(&self, lease: &Lease, taken: Moment) -> bool {
        self.left(lease, taken) > self.limits.margin
    }

    /// What is left of a lease. A wall clock that is set back does not lengthen it.
    fn left(&self, lease: &Lease, taken: Moment) -> Duration {
        let passed = self.clock.uptime().saturating_sub(taken.uptime);
        let passed_ms = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        let now_ms = self.clock.now_ms().max(taken.wall_ms.saturating_add(passed_ms));
        Duration::from_millis(lease.until_ms.saturating_sub(now_ms))
    }
}

/// What is left to be reported of an attempt.
enum Last {
    GiveBack(Setback),
    Nothing(Outcome),
    Sent,
}

/// The words of a report.
struct Closing {
    status: ReportStatus,
    reason: Option<String>,
    until_ms: Option<u64>,
}

impl Closing {
    const fn of(status: ReportStatus) -> Self {
        Self { status, reason: None, until_ms: None }
    }

    fn report(self, lease: &Lease) -> Report {
        Report {
            delivery: lease.delivery,
            status: self.status,
            generation: None,
            second_part_tag: None,
            reason: self.reason.map(|r| r.chars().take(200).collect()),
            until_ms: self.until_ms,
        }
    }
}

/// What a delivery has come to when the authority did not take a report.
const fn not_taken(error: &AuthorityError) -> Outcome {
    match error {
        AuthorityError::LeaseLost => Outcome::LeaseLost,
        AuthorityError::Refused(_) => Outcome::Refused,
        AuthorityError::Unavailable(_) => Outcome::Unreported,
    }
}
