//! The process of one token: it derives its own part of each code, and signs what this run writes down. It has no handle to
//! the other half's key.
//!
//! It is asked in lines of JSON on standard input and answers in lines of text on standard output, both pipes of the process
//! that started it. The answers to `card` hold parts of codes.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, Write},
};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{journal, manifest};
use crate::{
    card_export::ExportedCard,
    domain::{
        checkpoint,
        derive::{Search, Step, part_message},
        encoding,
        id::CardId,
        template::{CodeName, Part, RawTemplate, Template, TemplateId},
    },
    hsm::{self, MacKey, Role, Token, config::Config, pkcs11::Device},
};

/// The codes of a chip, in the order of every answer.
pub const CODES: [CodeName; 2] = [CodeName::Pin, CodeName::Puk];

/// What is asked.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Ask {
    /// The verify key's MAC of 32 bytes in hexadecimal: both tokens of an installation give the same.
    Pair(String),
    /// Templates are told before the cards that have them.
    Template(RawTemplate),
    Card(AskedCard),
    /// A text of this run, to be signed with the audit key.
    Sign(String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AskedCard {
    card: CardId,
    salt: String,
    template: String,
    pin: u32,
    puk: u32,
}

impl From<&ExportedCard> for AskedCard {
    fn from(card: &ExportedCard) -> Self {
        Self {
            card: card.id,
            salt: hex::encode(card.salt),
            template: card.template.to_string(),
            pin: card.pin,
            puk: card.puk,
        }
    }
}

/// Why a half gives up.
#[derive(Debug, thiserror::Error)]
pub enum HalfError {
    /// The process that asks is gone, or asked for what is not given.
    #[error("asked for {0}")]
    Asked(&'static str),
    /// The token.
    #[error(transparent)]
    Hsm(#[from] hsm::Error),
    /// The token does not come into use.
    #[error(transparent)]
    Start(#[from] hsm::pkcs11::StartError),
    /// A pipe.
    #[error("pipe: {0}")]
    Pipe(#[from] io::Error),
    /// The token of the other half, or of neither.
    #[error("it is of the {is}'s token, and the {wanted}'s is wanted here")]
    Role {
        /// Whose it is.
        is: Role,
        /// Whose it should be.
        wanted: Role,
    },
}

impl HalfError {
    /// Whether the configuration or the PIN's file is at fault.
    pub const fn is_configuration(&self) -> bool {
        matches!(self, Self::Role { .. } | Self::Start(hsm::pkcs11::StartError::Config(_)))
    }
}

/// Refuses a configuration of another role.
///
/// # Errors
/// [`HalfError::Role`].
pub const fn check_role(config: &Config, wanted: Role) -> Result<(), HalfError> {
    match (config.role, wanted) {
        (Role::Authority, Role::Authority) | (Role::Courier, Role::Courier) => Ok(()),
        (is, wanted) => Err(HalfError::Role { is, wanted }),
    }
}

/// Opens the token, says that it is ready, and answers until nobody asks any more.
///
/// # Errors
/// [`HalfError`]; the other side is told by whoever called this.
pub fn serve(config: &Config, asked: impl BufRead, mut answers: impl Write) -> Result<(), HalfError> {
    let device = Device::open(config)?;
    let token = device.tokens()?.into_iter().next();
    let mut half = Half {
        role: config.role,
        templates: BTreeMap::new(),
        token: token.ok_or(HalfError::Asked("a token without sessions"))?,
    };
    writeln!(answers, "ready {} {}", config.role, hex::encode(device.audit_public_key()))?;
    answers.flush()?;
    half.answer(asked, answers)
}

struct Half {
    role: Role,
    templates: BTreeMap<TemplateId, Template>,
    token: Box<dyn Token>,
}

impl Half {
    fn answer(&mut self, asked: impl BufRead, mut answers: impl Write) -> Result<(), HalfError> {
        for line in asked.lines() {
            let ask = serde_json::from_str(&line?).map_err(|_| HalfError::Asked("something unknown"))?;
            match ask {
                Ask::Pair(nonce) => {
                    let message = encoding::domain("pair", &[nonce.as_bytes()]);
                    let message = message.map_err(|_| HalfError::Asked("a longer nonce"))?;
                    let mac = self.token.mac(MacKey::Verify, message.expose())?;
                    writeln!(answers, "pair {}", hex::encode(mac.expose()))?;
                }
                Ask::Template(raw) => {
                    let template: Template =
                        raw.try_into().map_err(|_| HalfError::Asked("a template that is none"))?;
                    self.templates.insert(template.id().clone(), template);
                    continue;
                }
                Ask::Card(card) => answers.write_all(&self.parts(&card)?)?,
                Ask::Sign(text) => {
                    if !manifest::is_one(&text) && !journal::is_checkpoint(&text) {
                        return Err(HalfError::Asked("a signature of something else"));
                    }
                    let signature = self.token.sign(&checkpoint::digest(&text))?;
                    writeln!(answers, "signature {}", hex::encode(signature))?;
                }
            }
            answers.flush()?;
        }
        Ok(())
    }

    /// `parts N PIN PUK`: how many operations it took, and this half's parts.
    fn parts(&mut self, card: &AskedCard) -> Result<Zeroizing<Vec<u8>>, HalfError> {
        let mut salt = Zeroizing::new([0; 32]);
        hex::decode_to_slice(&card.salt, salt.as_mut()).map_err(|_| HalfError::Asked("another salt"))?;
        let id: TemplateId = card.template.parse().map_err(|_| HalfError::Asked("another template"))?;
        let template = self.templates.get(&id).ok_or(HalfError::Asked("a template that was not told"))?;
        let (key, part) = match self.role {
            Role::Authority => (MacKey::Print, Part::First),
            Role::Courier => (MacKey::Deliver, Part::Second),
        };
        let (mut operations, mut found) = (0_u32, Vec::with_capacity(CODES.len()));
        for (code, generation) in CODES.into_iter().zip([card.pin, card.puk]) {
            let shape = template.shape(code).ok_or(HalfError::Asked("a code that the template has not"))?;
            let mut search = Search::new(shape.length(part), shape.forbidden(part));
            let mut counter = 0;
            found.push(loop {
                let message = part_message(part, code, &card.card, generation, &salt, &id, counter);
                let mac = self.token.mac(key, message.expose())?;
                operations = operations.saturating_add(1);
                counter = match search.offer(&mac) {
                    Step::Found(part) => break part,
                    Step::Ask(next) => next,
                    Step::Never => return Err(HalfError::Asked("parts that the template forbids")),
                };
            });
        }
        let mut line = Zeroizing::new(Vec::with_capacity(128));
        write!(line, "parts {operations}")?;
        for part in &found {
            line.push(b' ');
            line.extend_from_slice(part.expose().as_bytes());
        }
        line.push(b'\n');
        Ok(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hsm::soft::SoftHsm;

    fn half(role: Role) -> Half {
        let token = SoftHsm::new(role).unwrap().tokens(1).remove(0);
        Half { role, templates: BTreeMap::new(), token }
    }

    fn answered(role: Role, asked: &str) -> Result<String, String> {
        let mut answers = Vec::new();
        half(role).answer(asked.as_bytes(), &mut answers).map_err(|e| e.to_string())?;
        Ok(String::from_utf8(answers).unwrap())
    }

    #[test]
    fn each_half_has_its_own_parts_and_both_know_that_they_belong_together() {
        let template =
            r#"{"template":{"id":"IT-1/1","pin":{"first":2,"second":3},"puk":{"first":0,"second":8},
            "tries":{"in_a_row":5,"lifetime":20}}}"#
                .replace('\n', "");
        let (card, salt) = ("11".repeat(16), "22".repeat(32));
        let card =
            format!(r#"{{"card":{{"card":"{card}","salt":"{salt}","template":"IT-1/1","pin":1,"puk":1}}}}"#);
        let asked = format!("{{\"pair\":\"00ff\"}}\n{template}\n{card}\n{card}\n");
        let of =
            |role| -> Vec<String> { answered(role, &asked).unwrap().lines().map(str::to_owned).collect() };
        let (first, second) = (of(Role::Authority), of(Role::Courier));
        assert_eq!(first[0], second[0]);
        for (lines, lengths) in [(&first, [2, 0]), (&second, [3, 8])] {
            assert_eq!((lines.len(), &lines[1]), (3, &lines[2]));
            let words: Vec<&str> = lines[1].split(' ').collect();
            assert_eq!((words[0], words[1]), ("parts", "2"));
            assert_eq!([words[2].len(), words[3].len()], lengths);
        }
        assert!(answered(Role::Authority, &card).unwrap_err().contains("not told"));
    }

    #[test]
    fn nothing_but_what_a_run_writes_down_is_signed() {
        let sign = |text: &str| answered(Role::Authority, &serde_json::json!({ "sign": text }).to_string());
        assert!(sign("sigillo personalisation manifest v1\nlog demo\n").unwrap().starts_with("signature "));
        assert!(sign("sigillo audit checkpoint v2\nlog demo/personalise\n").is_ok());
        for other in ["sigillo audit checkpoint v2\nlog demo\n", "", "log demo/personalise\n"] {
            assert!(sign(other).unwrap_err().contains("something else"), "{other}");
        }
        assert!(answered(Role::Courier, "{}").unwrap_err().contains("unknown"));
    }
}
