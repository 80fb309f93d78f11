//! What can go wrong with a call, and whether it may have had its effect.

use std::io;

use hyper::StatusCode;
use rustls::AlertDescription;

use crate::{api::problem::ProblemDocument, tls::TlsError};

/// Why a call has no good answer. No text here repeats a body.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The answer is longer than the limit.
    #[error("the answer is too long")]
    AnswerTooLong,
    /// The base address is not `https://host` or `https://host:port`.
    #[error("{0}: not of the form https://host:port")]
    Base(String),
    /// The server does not accept the certificate; the request has not been looked at.
    #[error("the server refused the client certificate: {0:?}")]
    CertificateRefused(AlertDescription),
    /// No connection, or no TLS with it. Nothing was sent.
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    /// The answer is not the JSON expected.
    #[error("the answer is not of the expected form (line {line}, column {column})")]
    Form {
        /// Line in the body, from 1; 0 for no position.
        line: usize,
        /// Column in that line, from 1.
        column: usize,
    },
    /// The path, a header or the body cannot be made into a request. Nothing was sent.
    #[error("not a valid request")]
    InvalidRequest,
    /// The connection was lost before the request went out.
    #[error("the request was not sent: {0}")]
    NotSent(hyper::Error),
    /// The server refused, and says why.
    #[error("{}", said(.0))]
    Problem(Box<ProblemDocument>),
    /// The server answered with this status and no problem document.
    #[error("the server answered {0}")]
    Status(StatusCode),
    /// No answer in time; `sent` tells whether the request may have had its effect.
    #[error("no answer in time")]
    TimedOut {
        /// Whether it may have reached the server.
        sent: bool,
    },
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The connection broke after the request went out: it may have had its effect.
    #[error("no answer, and the request may have been carried out: {0}")]
    Unknown(hyper::Error),
    /// A downloaded part cannot be written.
    #[error("cannot write: {0}")]
    Write(io::Error),
}

impl ClientError {
    /// Whether the request may have been carried out all the same. Then it may be repeated only with the same
    /// `Idempotency-Key`.
    pub const fn may_have_been_carried_out(&self) -> bool {
        match self {
            Self::AnswerTooLong | Self::Form { .. } | Self::Unknown(_) | Self::Write(_) => true,
            Self::TimedOut { sent } => *sent,
            Self::Problem(problem) => problem.status >= 500,
            Self::Status(status) => !matches!(status.as_u16(), 400..=499),
            Self::Base(_)
            | Self::CertificateRefused(_)
            | Self::Connect(_)
            | Self::InvalidRequest
            | Self::NotSent(_)
            | Self::Tls(_) => false,
        }
    }

    /// The error of a request that had been handed to a connection, which was closed with this alert.
    pub(super) fn after_sending(error: hyper::Error, alert: Option<AlertDescription>) -> Self {
        alert.and_then(certificate_alert).map_or(Self::Unknown(error), Self::CertificateRefused)
    }

    /// The error of a request that its connection gave back.
    pub(super) fn before_sending(error: hyper::Error, alert: Option<AlertDescription>) -> Self {
        alert.and_then(certificate_alert).map_or(Self::NotSent(error), Self::CertificateRefused)
    }
}

fn said(problem: &ProblemDocument) -> String {
    format!("{} ({}): {}", problem.status, harmless(&problem.code), reason(problem))
}

/// Title and detail of a refusal, as a terminal may get them.
pub(crate) fn reason(problem: &ProblemDocument) -> String {
    let detail = problem.detail.as_deref().map_or_else(String::new, |detail| format!(" ({detail})"));
    harmless(&format!("{}{detail}", problem.title))
}

/// What a server says, as a terminal may get it: it moves no cursor.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(shown).collect()
}

/// A character, or a mark in its place if a terminal might take it for a command.
fn shown(c: char) -> char {
    if c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    {
        char::REPLACEMENT_CHARACTER
    } else {
        c
    }
}

/// Alerts that refuse a certificate. With TLS 1.3 a client learns of them only after its first request, which
/// the server has not looked at.
#[expect(clippy::wildcard_enum_match_arm, reason = "the library's enum is open")]
const fn certificate_alert(alert: AlertDescription) -> Option<AlertDescription> {
    match alert {
        AlertDescription::AccessDenied
        | AlertDescription::BadCertificate
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateRequired
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateUnknown
        | AlertDescription::DecryptError
        | AlertDescription::UnknownCA
        | AlertDescription::UnsupportedCertificate => Some(alert),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_shown_whole_and_harmless() {
        let problem = ProblemDocument {
            kind: String::new(),
            title: "Not so\u{1b}[2J".into(),
            status: 409,
            code: "no".into(),
            detail: Some("because\r\u{9b}of \u{202e}it, perciò".into()),
            field: None,
            request_id: String::new(),
        };
        let said = ClientError::Problem(Box::new(problem)).to_string();
        assert_eq!(said, "409 (no): Not so\u{fffd}[2J (because\u{fffd}\u{fffd}of \u{fffd}it, perciò)");
    }
}
