//! The courier: derives second parts in its own token and sends them. It holds no print key, so it cannot make a
//! first part, and it keeps nothing: what it loses in a crash is leased again.
//!
//! [`Courier::deliver`] is the order of effects, written once: check the lease, open and check the contact, derive,
//! report `prepared`, and only when the authority has taken that, send, then report what became of it. No digits,
//! contact or server text may reach a log or a report.

mod derive;
mod gateways;
mod setback;
mod smtp;

pub mod authority;
pub mod config;
pub mod mail;
pub mod message;
pub mod run;
pub mod sms;

use std::{sync::Arc, time::Duration};

use crate::{
    api::courier::{Lease, Report, ReportStatus},
    clock::Clock,
    domain::{
        contact::{Channel, Contact, open_plaintext},
        id::{DeliveryId, LeaseId},
    },
    hsm::{Hsm, State},
};
use message::{Messages, Text};

pub use gateways::Gateways;
pub use setback::Setback;

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

/// What the courier asks of the authority.
pub trait Authority: Send + Sync {
    /// Takes hold of up to `limit` due deliveries.
    fn lease(&self, limit: usize) -> impl Future<Output = Result<Vec<Lease>, AuthorityError>> + Send;

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
    fn lease(&self, limit: usize) -> impl Future<Output = Result<Vec<Lease>, AuthorityError>> + Send {
        A::lease(self, limit)
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
        clock: Arc<dyn Clock>,
        limits: Limits,
    ) -> Self {
        Self { authority, gateway, hsm, messages, clock, limits }
    }

    /// To be asked for before leases are, and handed back with each of them.
    pub fn moment(&self) -> Moment {
        Moment { wall_ms: self.clock.now_ms(), uptime: self.clock.uptime() }
    }

    /// Takes hold of up to `limit` due deliveries, oldest first.
    ///
    /// # Errors
    /// What the authority says.
    pub async fn lease(&self, limit: usize) -> Result<Vec<Lease>, AuthorityError> {
        self.authority.lease(limit).await
    }

    /// The gateway, to be closed at the end.
    pub const fn gateway(&self) -> &G {
        &self.gateway
    }

    /// The token is gone for this process.
    pub fn is_token_lost(&self) -> bool {
        self.hsm.state() == State::Down
    }

    /// Carries out one delivery: the order of effects.
    pub async fn deliver(&self, lease: &Lease, taken: Moment) -> Outcome {
        if !self.is_held(lease, taken) {
            return self.lost(lease, "before anything was done");
        }
        let (contact, text, prepared) = match self.prepare(lease).await {
            Ok(ready) => ready,
            Err(setback) => return self.give_back(lease, taken, setback).await,
        };
        match self.report(lease, taken, &prepared).await {
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(delivery = %lease.delivery, %error, "not sent: the authority did not take `prepared`");
                return not_taken(&error);
            }
        }
        // The report may have taken long. From here to the gateway's answer the margin must suffice.
        if !self.is_held(lease, taken) {
            return self.lost(lease, "before it was sent");
        }
        let mail = Mail { delivery: lease.delivery, lease: lease.lease, to: &contact, text: &text };
        match self.gateway.send(&mail).await {
            Ok(()) => self.close(lease, taken, ReportStatus::Sent, None, Outcome::Sent).await,
            Err(setback) => self.give_back(lease, taken, setback).await,
        }
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
        self.close(lease, taken, status, Some(reason), outcome).await
    }

    /// Everything that comes before the first effect.
    async fn prepare(&self, lease: &Lease) -> Result<(Contact, Text, Report), Setback> {
        let order = derive::Order::read(lease)?;
        let opened = self.hsm.open_contact(order.contact.clone()).await.map_err(setback::of_contact)?;
        let (card, delivery, contact) = open_plaintext(opened.expose())
            .map_err(|_| Setback::Failed("the sealed contact is not valid".to_owned()))?;
        if (card, delivery) != (lease.card, lease.delivery) {
            return Err(Setback::Failed("the contact is sealed for another delivery".to_owned()));
        }
        self.gateway.ready(contact.channel())?;
        let parts = order.second_parts(&self.hsm).await?;
        let tag = order.tag(&self.hsm, &parts).await?;
        let text = self
            .messages
            .render(&lease.message, contact.channel(), &lease.control, &parts)
            .map_err(|why| Setback::Retry(why.to_string()))?;
        let (generation, second_part_tag) = tag.unzip();
        let status = ReportStatus::Prepared;
        let report = Report { delivery: lease.delivery, status, generation, second_part_tag, reason: None };
        Ok((contact, text, report))
    }

    /// Makes the last report of an attempt.
    async fn close(
        &self,
        lease: &Lease,
        taken: Moment,
        status: ReportStatus,
        reason: Option<String>,
        outcome: Outcome,
    ) -> Outcome {
        let reason = reason.map(|r| r.chars().take(200).collect::<String>());
        let why = reason.clone().unwrap_or_default();
        let report =
            Report { delivery: lease.delivery, status, generation: None, second_part_tag: None, reason };
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

/// What a delivery has come to when the authority did not take a report.
const fn not_taken(error: &AuthorityError) -> Outcome {
    match error {
        AuthorityError::LeaseLost => Outcome::LeaseLost,
        AuthorityError::Refused(_) => Outcome::Refused,
        AuthorityError::Unavailable(_) => Outcome::Unreported,
    }
}
