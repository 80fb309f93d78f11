//! What it takes to derive the codes of cards, as a file: NDJSON, signed at its end with the authority's audit key.
//!
//! It holds no code and no part of one: without both tokens it opens nothing. An export has at most [`MOST`] cards; a
//! file may hold one after the other. Its lines, each an object with one member:
//!
//! - `export`: the first; form, log, policy set and time;
//! - `template`: a template as it was frozen, before the first card that has it;
//! - `card`: number, id, salt, template, and the generations of PIN and PUK;
//! - `refused`: a line of the request that gave no card, with the reason;
//! - `end`: the last; how many cards, and the signature over every byte before it.

mod read;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

use crate::domain::{
    audit::time_text,
    encoding,
    id::CardId,
    team::TeamNumber,
    template::{CodeName, RawTemplate, Template, TemplateId},
};

pub use read::{BadExport, CardExport, Reader};

/// First line and name of what is signed; it never changes.
const KIND: &str = "sigillo card export v1";

/// Most cards of one export.
pub const MOST: usize = 10_000;

/// What the codes of a card's chip are derived from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedCard {
    /// The number on its back.
    pub team: TeamNumber,
    /// Its id.
    pub id: CardId,
    /// Its salt.
    pub salt: [u8; 32],
    /// Its template.
    pub template: TemplateId,
    /// Generation of the PIN, from 1.
    pub pin: u32,
    /// Generation of the PUK, from 1.
    pub puk: u32,
}

impl ExportedCard {
    /// Generation of a code that goes on the chip; nothing for the C.I.P., which does not.
    pub const fn generation(&self, code: CodeName) -> Option<u32> {
        match code {
            CodeName::Cip => None,
            CodeName::Pin => Some(self.pin),
            CodeName::Puk => Some(self.puk),
        }
    }
}

/// The first line of an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    form: String,
    /// The authority's log, which has an event for every card.
    pub log: String,
    /// Digest of the policy set in force, hexadecimal.
    pub policy: String,
    /// When, RFC 3339.
    pub time: String,
}

/// A line as written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Export(Start),
    Template(RawTemplate),
    Card(CardLine),
    Refused(Refused),
    End(End),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CardLine {
    team_number: String,
    card: CardId,
    salt: String,
    template: String,
    pin: u32,
    puk: u32,
}

/// A line of the request that gave no card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// Its number in the request, from 1.
    pub line: u64,
    /// Stable reason.
    pub code: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    cards: u64,
    signature: String,
}

/// The line could not be written as JSON: never, for these types.
#[derive(Debug, thiserror::Error)]
#[error("a line of a card export: {0}")]
pub struct NotWritten(#[from] serde_json::Error);

/// Makes an export.
pub struct Writer {
    bytes: Vec<u8>,
    cards: u64,
    templates: BTreeSet<TemplateId>,
}

impl Writer {
    /// Begins one.
    ///
    /// # Errors
    /// [`NotWritten`].
    pub fn begin(log: &str, policy: &str, at_ms: u64) -> Result<Self, NotWritten> {
        let mut writer = Self { bytes: Vec::new(), cards: 0, templates: BTreeSet::new() };
        let (log, policy) = (log.to_owned(), policy.to_owned());
        writer.line(&Line::Export(Start { form: KIND.into(), log, policy, time: time_text(at_ms) }))?;
        Ok(writer)
    }

    fn line(&mut self, line: &Line) -> Result<(), NotWritten> {
        serde_json::to_writer(&mut self.bytes, line)?;
        self.bytes.push(b'\n');
        Ok(())
    }

    /// Adds a card of this template.
    ///
    /// # Errors
    /// [`NotWritten`].
    pub fn card(&mut self, card: &ExportedCard, template: &Template) -> Result<(), NotWritten> {
        if self.templates.insert(template.id().clone()) {
            self.line(&Line::Template(RawTemplate::from(template)))?;
        }
        self.cards = self.cards.saturating_add(1);
        self.line(&Line::Card(CardLine {
            team_number: card.team.as_str().into(),
            card: card.id,
            salt: hex::encode(card.salt),
            template: card.template.to_string(),
            pin: card.pin,
            puk: card.puk,
        }))
    }

    /// Says that a line gave no card.
    ///
    /// # Errors
    /// [`NotWritten`].
    pub fn refused(&mut self, line: u64, code: &str) -> Result<(), NotWritten> {
        self.line(&Line::Refused(Refused { line, code: code.into() }))
    }

    /// What the audit key signs: a SHA-256.
    pub fn to_sign(&self) -> [u8; 32] {
        to_sign(&sha256(&self.bytes))
    }

    /// The whole export.
    ///
    /// # Errors
    /// [`NotWritten`].
    pub fn finish(mut self, signature: &[u8; 64]) -> Result<Vec<u8>, NotWritten> {
        let end = End { cards: self.cards, signature: hex::encode(signature) };
        self.line(&Line::End(end))?;
        Ok(self.bytes)
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

/// What is signed of an export whose bytes before the end have this digest.
fn signed_bytes(contents: &[u8; 32]) -> Vec<u8> {
    encoding::for_signature(KIND, contents)
}

fn to_sign(contents: &[u8; 32]) -> [u8; 32] {
    sha256(&signed_bytes(contents))
}
