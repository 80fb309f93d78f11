//! A server that the card logs in to: one PIN for all that a command does, JSON both ways, refusals in words.

use std::{
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
};

use aws_lc_rs::rand;
use base64::{Engine, engine::general_purpose::STANDARD};
use hyper::{HeaderMap, header::HeaderValue};
use serde::{Serialize, de::DeserializeOwned};

use super::{Reader, pin};
use crate::{
    card::{CardKey, Certificate, Use},
    cli::Failure,
    client::{Client, ClientError, ClientLimits, harmless, reason},
    clock::{Clock, SystemClock},
    domain::signed_text::{Context, Legible},
    tls::{Protocols, anonymous_config, client_config_with_key},
};

/// Which card, and which server.
#[derive(Debug, clap::Args)]
pub(super) struct Login {
    #[command(flatten)]
    reader: Reader,
    /// Address of the server.
    #[arg(long, value_name = "URL")]
    url: String,
    /// Authority that issued the server's certificate, PEM.
    #[arg(long, value_name = "FILE")]
    ca: PathBuf,
    /// The PIN, in a file of mode 0400, 0440 or 0600; else it is asked for.
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
}

/// A client whose key is in a card that its PIN has opened: it may connect again, and sign, without another PIN.
pub(super) struct LoggedIn {
    pub(super) client: Client,
    card: CardKey,
}

impl Login {
    /// Opens the card. The PIN is asked for last: nobody types it in vain, and it costs no try, where anything else is wrong.
    pub(super) fn open(&self) -> Result<LoggedIn, Failure> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let limits = ClientLimits { protocols: Protocols::Http1, ..ClientLimits::default() };
        // A slip in address or authority is said before anybody looks for a card.
        let anonymous =
            anonymous_config(&self.ca, limits.protocols, Arc::clone(&clock)).map_err(Failure::config)?;
        Client::with_config(&self.url, anonymous, limits.clone(), Arc::clone(&clock))
            .map_err(Failure::config)?;
        let mut session = self.reader.open(Use::Alone)?;
        let certificate = session.certificate().map_err(Failure::failed)?;
        let chain = vec![certificate.der().to_vec().into()];
        let card = CardKey::new(session, certificate);
        let key = Arc::new(card.clone());
        let config = client_config_with_key(&self.ca, chain, key, limits.protocols, Arc::clone(&clock))
            .map_err(Failure::config)?;
        let client = Client::with_config(&self.url, config, limits, clock).map_err(Failure::config)?;
        let pin = pin::ask("PIN", self.pin_file.as_deref())?;
        card.unlock(&pin).map_err(Failure::failed)?;
        Ok(LoggedIn { client, card })
    }
}

impl LoggedIn {
    /// The certificate on the card.
    pub(super) fn certificate(&self) -> &Certificate {
        self.card.certificate()
    }

    pub(super) async fn get<R: DeserializeOwned>(&self, path: &str) -> Result<R, Failure> {
        self.client.get_json(path, HeaderMap::new()).await.map_err(|e| said(&e))
    }

    /// Posts a value under an idempotency key of its own.
    pub(super) async fn post<T: Serialize + Sync, R: DeserializeOwned>(
        &self,
        path: &str,
        value: &T,
    ) -> Result<R, Failure> {
        let mut key = [0; 16];
        rand::fill(&mut key).map_err(Failure::failed)?;
        let key = HeaderValue::from_str(&hex::encode(key)).map_err(Failure::failed)?;
        let mut headers = HeaderMap::new();
        headers.insert("idempotency-key", key);
        self.client.post_json(path, headers, value).await.map_err(|e| {
            let done = if e.may_have_been_carried_out() { " (it may have been done: try again)" } else { "" };
            Failure::failed(format!("{}{done}", said(&e)))
        })
    }

    /// The card's signature over a text in its context, base64.
    pub(super) fn sign(&self, context: Context, text: Legible<'_>) -> Result<String, Failure> {
        let signature = self.card.sign_text(context, text).map_err(Failure::failed)?;
        Ok(STANDARD.encode(signature.bytes))
    }
}

/// A text of the server, if a person can read what is signed.
pub(super) fn legible(text: &str) -> Result<Legible<'_>, Failure> {
    Legible::new(text).map_err(|why| refused(&why))
}

/// Why the card has signed nothing.
pub(super) fn refused(why: &dyn std::error::Error) -> Failure {
    Failure::failed(format!("the server's text is not signed: {why}"))
}

/// Why there is no good answer: a refusal by its code, title and detail. What a server says moves no cursor.
pub(super) fn said(error: &ClientError) -> Failure {
    if let ClientError::Problem(problem) = error {
        let code = harmless(&problem.code);
        return Failure::failed(format!("the server refused: {code}: {}", reason(problem)));
    }
    Failure::failed(error)
}

/// Words for people, on standard error. Nothing is signed that could not be shown.
pub(super) fn tell(text: &str) -> Result<(), Failure> {
    io::stderr().write_all(text.as_bytes()).map_err(|e| Failure::failed(format!("standard error: {e}")))
}

/// The result for programs: one line of JSON in ASCII.
pub(super) fn result<T: Serialize>(value: &T, out: &mut impl Write) -> Result<(), Failure> {
    let json = serde_json::to_string(value).map_err(Failure::failed)?;
    let mut line = String::with_capacity(json.len());
    for c in json.chars() {
        if matches!(c, ' '..='~') {
            line.push(c);
        } else {
            line.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    writeln!(out, "{line}").map_err(Failure::failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::problem::ProblemDocument;

    #[test]
    fn a_refusal_is_shown_whole_and_harmless() {
        let problem = ProblemDocument {
            kind: String::new(),
            title: "Not so\u{1b}[2J".into(),
            status: 403,
            code: "no".into(),
            detail: Some("because\r\u{9b}of \u{202e}it, perciò".into()),
            field: None,
            request_id: String::new(),
        };
        let text = said(&ClientError::Problem(Box::new(problem))).to_string();
        assert_eq!(
            text,
            "the server refused: no: Not so\u{fffd}[2J (because\u{fffd}\u{fffd}of \u{fffd}it, perciò)"
        );
    }

    #[test]
    fn a_result_is_json_in_ascii() {
        let mut out = Vec::new();
        let value = serde_json::json!({ "a": "\u{9b}2J \u{1b} è \u{1f600}" });
        result(&value, &mut out).unwrap();
        let line = String::from_utf8(out).unwrap();
        assert_eq!(line, "{\"a\":\"\\u009b2J \\u001b \\u00e8 \\ud83d\\ude00\"}\n");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap(), value);
    }
}
