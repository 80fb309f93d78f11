//! `callers.toml`: the client certificates that may call, and what for; and what operators may who call with their own card.

use std::{collections::BTreeSet, sync::Arc};

use serde::Deserialize;

use super::Action;

/// The file as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCallers {
    caller: Vec<RawCaller>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCaller {
    name: String,
    certificate_sha256: Option<String>,
    #[serde(default)]
    direct: bool,
    actions: BTreeSet<Action>,
    #[serde(default)]
    forwards_operators: bool,
    #[serde(default)]
    forwards_citizens: bool,
}

/// A client certificate that the policy knows; or all operators who connect with their own cards.
#[derive(Debug)]
pub struct Caller {
    name: Arc<str>,
    known_by: KnownBy,
    actions: BTreeSet<Action>,
    forwards_operators: bool,
    forwards_citizens: bool,
}

/// What makes a connection this caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KnownBy {
    /// SHA-256 of the client certificate's DER encoding.
    Certificate([u8; 32]),
    /// The card of an operator, without a front end between.
    Card,
}

impl Caller {
    /// Its name in audit events.
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether it may forward operators' certificates, and vouches that their holders are there.
    pub const fn forwards_operators(&self) -> bool {
        self.forwards_operators
    }

    /// Whether it may forward certificates of citizens, and vouches that their holders are there.
    pub const fn forwards_citizens(&self) -> bool {
        self.forwards_citizens
    }

    /// Whether its connections are those of operators with their own cards: the certificate of the connection is the
    /// operator's.
    pub fn is_direct(&self) -> bool {
        self.known_by == KnownBy::Card
    }

    pub(super) fn is(&self, fingerprint: &[u8; 32]) -> bool {
        self.known_by == KnownBy::Certificate(*fingerprint)
    }

    /// What `callers.toml` lists for it.
    pub fn actions(&self) -> impl Iterator<Item = Action> {
        self.actions.iter().copied()
    }

    /// Whether `callers.toml` lists this action for it.
    pub fn may(&self, action: Action) -> bool {
        self.actions.contains(&action)
    }
}

impl RawCallers {
    /// Checks names, fingerprints and actions; the error is a sentence without the file's name.
    pub(super) fn validate(self) -> Result<Vec<Caller>, String> {
        let mut callers: Vec<Caller> = Vec::new();
        for raw in self.caller {
            let caller = raw.validate()?;
            if callers.iter().any(|other| other.name == caller.name) {
                return Err(format!("two callers are named \"{}\"", caller.name));
            }
            if let Some(other) = callers.iter().find(|other| other.known_by == caller.known_by) {
                let what = if caller.is_direct() { "are both direct" } else { "have the same certificate" };
                return Err(format!("\"{}\" and \"{}\" {what}", other.name, caller.name));
            }
            callers.push(caller);
        }
        if callers.is_empty() {
            return Err("no caller: nobody could use the service".into());
        }
        Ok(callers)
    }
}

impl RawCaller {
    fn validate(self) -> Result<Caller, String> {
        let Self { name, certificate_sha256, direct, actions, forwards_operators, forwards_citizens } = self;
        let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if name.is_empty() || name.len() > 40 || !name.bytes().all(good) {
            return Err(format!("caller \"{name}\": a name is 1 to 40 of a-z, 0-9 and -"));
        }
        if name == "sigillo" {
            return Err("caller \"sigillo\": the name stands for the service itself in audit events".into());
        }
        let known_by = match (certificate_sha256, direct) {
            (Some(text), false) => {
                let mut fingerprint = [0; 32];
                hex::decode_to_slice(&text, &mut fingerprint)
                    .map_err(|_| format!("caller \"{name}\": certificate_sha256 is 64 hexadecimal digits"))?;
                KnownBy::Certificate(fingerprint)
            }
            (None, true) => KnownBy::Card,
            (Some(_), true) => {
                return Err(format!(
                    "caller \"{name}\": direct = true stands for operators' own cards, so it has no certificate_sha256"
                ));
            }
            (None, false) => {
                return Err(format!(
                    "caller \"{name}\": certificate_sha256 is missing (direct = true: operators' own cards)"
                ));
            }
        };
        if direct && (forwards_operators || forwards_citizens) {
            return Err(format!("caller \"{name}\": who is direct forwards nobody"));
        }
        if direct && let Some(action) = actions.iter().find(|action| !action.is_an_operators()) {
            return Err(format!(
                "caller \"{name}\": \"{}\" is not asked for by an operator, and who is direct is one",
                action.text()
            ));
        }
        // A citizen's certificate must never pass for an operator's, nor open anything but the holder's own way.
        let of_citizens = [Action::ReadDelivery, Action::RenewSelf];
        if forwards_citizens && let Some(other) = actions.iter().find(|action| !of_citizens.contains(action))
        {
            return Err(format!(
                "caller \"{name}\": who forwards citizens asks for \"renew_self\" and \"read_delivery\" only, not for \"{}\"",
                other.text()
            ));
        }
        if forwards_citizens && forwards_operators {
            return Err(format!("caller \"{name}\": who forwards citizens forwards no operators"));
        }
        if !forwards_citizens && actions.iter().any(|action| action.is_a_citizens()) {
            return Err(format!(
                "caller \"{name}\": \"renew_self\" is a citizen's: it takes forwards_citizens = true"
            ));
        }
        if actions.is_empty() {
            return Err(format!("caller \"{name}\": no actions"));
        }
        // What chips are made from goes to who makes them, and to nobody who can ask for a part.
        if actions.contains(&Action::ExportCards) && actions.len() > 1 {
            return Err(format!(
                "caller \"{name}\": \"export_cards\" stands alone: give it a certificate of its own"
            ));
        }
        // I1: who carries second parts must not be able to ask for first parts.
        let first_parts = [Action::Activate, Action::RenewCip, Action::Reprint];
        if actions.contains(&Action::Courier) && actions.iter().any(|a| first_parts.contains(a)) {
            return Err(format!(
                "caller \"{name}\": \"courier\" excludes \"activate\", \"renew_cip\" and \"reprint\" (split knowledge)"
            ));
        }
        Ok(Caller { name: name.into(), known_by, actions, forwards_operators, forwards_citizens })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        match toml::from_str::<RawCallers>(text) {
            Ok(raw) => raw.validate().err().unwrap_or_default(),
            Err(e) => e.to_string(),
        }
    }

    fn caller(name: &str, print: &str, actions: &str) -> String {
        format!("[[caller]]\nname = \"{name}\"\ncertificate_sha256 = \"{print}\"\nactions = [{actions}]\n")
    }

    fn direct(name: &str, actions: &str, more: &str) -> String {
        format!("[[caller]]\nname = \"{name}\"\ndirect = true\nactions = [{actions}]\n{more}")
    }

    #[test]
    fn contradictions_are_refused_with_their_reason() {
        let (a, b) = ("aa".repeat(32), "bb".repeat(32));
        let look = "\"look_up\"";
        let cases = [
            ("caller = []".to_owned(), "no caller"),
            (caller("Sportello", &a, look), "a name is"),
            (caller("sigillo", &a, look), "service itself"),
            (caller("sportello", "aa", look), "64 hexadecimal"),
            (caller("sportello", &a, ""), "no actions"),
            (caller("sportello", &a, "\"everything\""), "unknown variant"),
            (caller("sportello", &a, look) + &caller("sportello", &b, look), "two callers"),
            (caller("sportello", &a, look) + &caller("altro", &a, look), "same certificate"),
            (caller("chip", &a, "\"export_cards\", \"register\""), "stands alone"),
            (caller("corriere", &a, "\"courier\", \"activate\""), "split knowledge"),
            (caller("corriere", &a, "\"courier\", \"renew_cip\""), "split knowledge"),
            (caller("sportello", &a, look) + "admin = true\n", "unknown field"),
            (caller("diretto", &a, look) + "direct = true\n", "no certificate_sha256"),
            (direct("uno", look, "") + &direct("due", look, ""), "\"uno\" and \"due\" are both direct"),
            (direct("diretto", look, "forwards_operators = true\n"), "forwards nobody"),
            (direct("diretto", look, "forwards_citizens = true\n"), "forwards nobody"),
            (caller("portale", &a, "\"renew_self\""), "takes forwards_citizens"),
            (caller("portale", &a, look) + "forwards_citizens = true\n", "not for \"look_up\""),
            (
                caller("portale", &a, "\"renew_self\", \"register\"") + "forwards_citizens = true\n",
                "not for \"register\"",
            ),
            (
                caller("portale", &a, "\"renew_self\"")
                    + "forwards_citizens = true\nforwards_operators = true\n",
                "forwards no operators",
            ),
            (direct("diretto", "\"look_up\", \"read_audit\"", ""), "\"read_audit\" is not asked for"),
            (direct("diretto", look, "").replace("direct = true\n", ""), "certificate_sha256 is missing"),
        ];
        for (text, reason) in cases {
            let said = refused(&text);
            assert!(said.contains(reason), "{said:?} should say {reason:?} for\n{text}");
        }
        let whole = caller("sportello", &a, look) + &caller("corriere", &b, "\"courier\"");
        assert_eq!(refused(&(whole + &direct("diretto", look, ""))), "");
    }
}
