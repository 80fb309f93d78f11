//! Reading exports: one at a time, line by line, in bounded memory. Nothing of an export is given out before its signature
//! was found good.

use std::{
    collections::BTreeMap,
    io::{BufRead, Read},
};

use aws_lc_rs::{
    digest::{Context, SHA256},
    signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey},
};

use super::{CardLine, End, ExportedCard, KIND, Line, MOST, Refused, Start, signed_bytes};
use crate::domain::template::{Template, TemplateId};

/// Longest line: a template with as many forbidden parts as there may be.
const LINE_MAX: u64 = 256 << 10;

/// Why a file is not a card export, or not a whole one.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct BadExport {
    /// From 1.
    pub line: u64,
    /// What is wrong, without what the line says.
    pub reason: String,
}

/// An export that holds.
#[derive(Debug)]
pub struct CardExport {
    /// What its first line says.
    pub start: Start,
    /// Its cards, in the order of the request.
    pub cards: Vec<ExportedCard>,
    /// Lines of the request that gave none.
    pub refused: Vec<Refused>,
    /// The templates of the cards.
    pub templates: BTreeMap<TemplateId, Template>,
}

/// Reads the exports of a file.
pub struct Reader<R> {
    from: R,
    key: Vec<u8>,
    line: u64,
    /// Of every byte that was read.
    whole: Context,
}

impl<R: BufRead> Reader<R> {
    /// Of exports that are signed with this key: P-256, `SubjectPublicKeyInfo`, DER.
    pub fn new(from: R, audit_key: &[u8]) -> Self {
        Self { from, key: audit_key.to_vec(), line: 0, whole: Context::new(&SHA256) }
    }

    /// SHA-256 of all that was read so far.
    pub fn digest(&self) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(self.whole.clone().finish().as_ref());
        out
    }

    fn bad(&self, reason: impl ToString) -> BadExport {
        BadExport { line: self.line, reason: reason.to_string() }
    }

    /// The next line's bytes, its line feed included; nothing at the end.
    fn bytes(&mut self) -> Result<Option<Vec<u8>>, BadExport> {
        let mut bytes = Vec::new();
        self.line = self.line.saturating_add(1);
        let read = Read::take(&mut self.from, LINE_MAX).read_until(b'\n', &mut bytes);
        match read.map_err(|e| self.bad(e))? {
            0 => return Ok(None),
            _ if bytes.last() == Some(&b'\n') => {}
            _ => return Err(self.bad("cut off, or longer than a line may be")),
        }
        self.whole.update(&bytes);
        Ok(Some(bytes))
    }

    /// The next export; nothing after the last one.
    ///
    /// # Errors
    /// [`BadExport`].
    pub fn next_export(&mut self) -> Result<Option<CardExport>, BadExport> {
        let Some(first) = self.bytes()? else { return Ok(None) };
        let Ok(Line::Export(start)) = serde_json::from_slice(&first) else {
            return Err(self.bad("not the first line of a card export"));
        };
        if start.form != KIND {
            return Err(self.bad(format!("another form than \"{KIND}\"")));
        }
        let mut contents = Context::new(&SHA256);
        contents.update(&first);
        let mut export =
            CardExport { start, cards: Vec::new(), refused: Vec::new(), templates: BTreeMap::new() };
        loop {
            let bytes = self.bytes()?.ok_or_else(|| self.bad("the export breaks off: it has no end"))?;
            let line = serde_json::from_slice(&bytes).map_err(|_| self.bad("not a line of a card export"))?;
            match line {
                Line::Export(_) => return Err(self.bad("a new export begins before the end of the last one")),
                Line::Template(raw) => {
                    let template: Template = raw.try_into().map_err(|e| self.bad(e))?;
                    export.templates.insert(template.id().clone(), template);
                }
                Line::Card(card) => {
                    let card = parse(card).map_err(|reason| self.bad(reason))?;
                    if !export.templates.contains_key(&card.template) {
                        return Err(self.bad("the card's template is not given before it"));
                    }
                    if export.cards.len() >= MOST {
                        return Err(self.bad(format!("more than {MOST} cards in one export")));
                    }
                    export.cards.push(card);
                }
                Line::Refused(refused) => export.refused.push(refused),
                Line::End(end) => {
                    let mut digest = [0; 32];
                    digest.copy_from_slice(contents.finish().as_ref());
                    self.check(&end, &digest, export.cards.len())?;
                    return Ok(Some(export));
                }
            }
            contents.update(&bytes);
        }
    }

    fn check(&self, end: &End, digest: &[u8; 32], cards: usize) -> Result<(), BadExport> {
        let signature =
            hex::decode(&end.signature).map_err(|_| self.bad("the signature is not hexadecimal"))?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.key)
            .verify(&signed_bytes(digest), &signature)
            .map_err(|_| {
                self.bad(
                    "the signature is not of this authority's audit key: changed, or of another installation",
                )
            })?;
        let same = u64::try_from(cards).is_ok_and(|cards| cards == end.cards);
        if same { Ok(()) } else { Err(self.bad("it has another number of cards than it says")) }
    }
}

fn parse(line: CardLine) -> Result<ExportedCard, &'static str> {
    let mut salt = [0; 32];
    hex::decode_to_slice(&line.salt, &mut salt).map_err(|_| "the salt is not 32 bytes in hexadecimal")?;
    if line.pin == 0 || line.puk == 0 {
        return Err("generations count from 1");
    }
    Ok(ExportedCard {
        team: line.team_number.parse().map_err(|_| "not a TEAM number")?,
        id: line.card,
        salt,
        template: line.template.parse().map_err(|_| "not the id of a template")?,
        pin: line.pin,
        puk: line.puk,
    })
}
