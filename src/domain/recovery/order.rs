//! What officers sign: words and counts for them, exact values for the program. Pure.

use std::{fmt, str::FromStr};

use aws_lc_rs::digest;

use super::super::{
    audit::{Head, time_ms, time_text},
    id::RequestId,
};

/// What officers order: this store, which is older than what is known, is to be served from again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The log's name.
    pub log: String,
    /// Where the store's log ends.
    pub store: Head,
    /// The newest checkpoint that is known. Event 0 where none is.
    pub known: Head,
    /// Recoveries before the known checkpoint.
    pub recoveries: u64,
    /// SHA-256 of the evidence; nothing for a recovery without evidence.
    pub evidence: Option<[u8; 32]>,
    /// What it comes to. One that would come to something else is not carried out.
    pub effect: Effect,
    /// Digest of the policy set, hexadecimal.
    pub policy: String,
    /// Random: no order is made twice.
    pub nonce: [u8; 16],
    /// Milliseconds since 1970 UTC.
    pub at_ms: u64,
}

/// How many cards of citizens and of operators a recovery changes, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// Cards whose C.I.P. is locked.
    pub locked: u64,
    /// Of these, cards that are held until they are replaced.
    pub held: u64,
    /// Cards whose activation is repeated.
    pub activated: u64,
    /// Cards that are revoked again.
    pub revoked: u64,
    /// Cards that are lost, to be made anew.
    pub lost: u64,
    /// Operators who are bound to the card that they registered in the gap.
    pub operators_bound: u64,
    /// Operators whose card was ended in the gap, and is ended again.
    pub operators_ended: u64,
    /// Operators whose card is held: they act again once they have registered again.
    pub operators_held: u64,
    /// Whether every operator is, whose card evidence does not end.
    pub every_operator: bool,
}

const FIRST: &str = "sigillo recovery order v1";

/// `many` with `#` for the number, `one` for 1; nothing for 0.
fn counted(f: &mut fmt::Formatter<'_>, count: u64, one: &str, many: &str) -> fmt::Result {
    match count {
        0 => Ok(()),
        1 => writeln!(f, "{one}"),
        _ => writeln!(f, "{}", many.replace('#', &count.to_string())),
    }
}

impl Order {
    /// Names the order in events: the start of the text's SHA-256.
    pub fn id(&self) -> RequestId {
        let hash = digest::digest(&digest::SHA256, self.to_string().as_bytes());
        let mut id = [0; 16];
        for (to, from) in id.iter_mut().zip(hash.as_ref()) {
            *to = *from;
        }
        RequestId::new(id)
    }

    /// What is signed, for those who sign it: from the values below, so that the two cannot differ.
    fn words(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "BRINGS BACK A STORE WHOSE LOG ENDS AT EVENT {}.", self.store.seq)?;
        match self.known.seq {
            0 => writeln!(f, "HOW FAR THE LOST LOG WENT IS NOT KNOWN.")?,
            seq => writeln!(f, "THE LOST LOG WENT AT LEAST TO EVENT {seq}.")?,
        }
        writeln!(
            f,
            "{}",
            match self.evidence {
                Some(_) => "REPEATS WHAT THE EVIDENCE TELLS OF WHAT IS MISSING.",
                None => "THERE IS NO EVIDENCE OF WHAT IS MISSING.",
            }
        )?;
        write!(f, "{}", self.effect)
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.locked == 0 {
            writeln!(f, "LOCKS NO CARD.")?;
        }
        counted(
            f,
            self.locked,
            "LOCKS 1 CARD: ITS C.I.P. IS NEVER ACCEPTED AGAIN.",
            "LOCKS # CARDS: THEIR C.I.P. IS NEVER ACCEPTED AGAIN.",
        )?;
        if self.held > 0 && self.held == self.locked {
            writeln!(f, "HOLDS EVERY CARD OF THESE ({}): EACH HAS TO BE REPLACED.", self.held)?;
        } else {
            counted(
                f,
                self.held,
                "HOLDS 1 CARD OF THESE: IT HAS TO BE REPLACED.",
                "HOLDS # CARDS OF THESE: EACH HAS TO BE REPLACED.",
            )?;
        }
        counted(f, self.revoked, "REVOKES 1 CARD AGAIN.", "REVOKES # CARDS AGAIN.")?;
        counted(
            f,
            self.activated,
            "ACTIVATES 1 CARD AGAIN, WITHOUT A C.I.P.",
            "ACTIVATES # CARDS AGAIN, WITHOUT A C.I.P.",
        )?;
        counted(
            f,
            self.lost,
            "LOSES 1 CARD: IT IS REGISTERED AGAIN, AND GETS NEW CODES.",
            "LOSES # CARDS: THEY ARE REGISTERED AGAIN, AND GET NEW CODES.",
        )?;
        counted(
            f,
            self.operators_ended,
            "ENDS THE CARD OF 1 OPERATOR FOR GOOD.",
            "ENDS THE CARDS OF # OPERATORS FOR GOOD.",
        )?;
        counted(
            f,
            self.operators_bound,
            "BINDS 1 OPERATOR TO A CARD REGISTERED SINCE.",
            "BINDS # OPERATORS TO CARDS REGISTERED SINCE.",
        )?;
        if self.every_operator {
            writeln!(
                f,
                "HOLDS EVERY OPERATOR'S CARD ({}): EACH REGISTERS IT AGAIN BEFORE ACTING.",
                self.operators_held
            )
        } else {
            counted(
                f,
                self.operators_held,
                "HOLDS THE CARD OF 1 OPERATOR, WHO REGISTERS IT AGAIN.",
                "HOLDS THE CARDS OF # OPERATORS, WHO REGISTER THEM AGAIN.",
            )?;
            let touched = [self.operators_ended, self.operators_bound, self.operators_held];
            let other = if touched == [0; 3] { "" } else { "OTHER " };
            writeln!(f, "EVERY {other}OPERATOR GOES ON.")
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { log, store, known, recoveries, evidence, effect, policy, nonce, at_ms } = self;
        let evidence = evidence.map_or_else(|| "none".to_owned(), hex::encode);
        writeln!(f, "{FIRST}\n")?;
        self.words(f)?;
        writeln!(f, "\nlog {log}\nstore-seq {}\nstore-hash {}", store.seq, hex::encode(store.hash))?;
        writeln!(f, "known-seq {}\nknown-hash {}", known.seq, hex::encode(known.hash))?;
        writeln!(f, "known-recoveries {recoveries}\nevidence {evidence}")?;
        writeln!(f, "locks {}\nholds {}\nrevokes {}", effect.locked, effect.held, effect.revoked)?;
        writeln!(f, "activates {}\nloses {}", effect.activated, effect.lost)?;
        writeln!(f, "ends-operators {}\nbinds-operators {}", effect.operators_ended, effect.operators_bound)?;
        writeln!(f, "holds-operators {}", effect.operators_held)?;
        writeln!(f, "holds-every-operator {}", if effect.every_operator { "yes" } else { "no" })?;
        writeln!(f, "policy {policy}\nnonce {}\ntime {}", hex::encode(nonce), time_text(*at_ms))
    }
}

/// The text is not an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an order of recovery: {0}")]
pub struct BadOrder(&'static str);

impl FromStr for Order {
    type Err = BadOrder;

    /// Takes the exact text of an order and nothing else: it is what was signed.
    fn from_str(text: &str) -> Result<Self, BadOrder> {
        let mut lines = text.lines();
        if lines.next() != Some(FIRST) {
            return Err(BadOrder("first line"));
        }
        // The words are made of the values again, and compared with all the rest.
        let mut lines = lines.skip_while(|line| !line.starts_with("log "));
        let mut field = |name: &'static str| {
            let value = lines.next().and_then(|line| line.strip_prefix(name)?.strip_prefix(' '));
            value.ok_or(BadOrder(name))
        };
        let log = field("log")?.to_owned();
        let store = head(field("store-seq")?, field("store-hash")?)?;
        let known = head(field("known-seq")?, field("known-hash")?)?;
        let recoveries = field("known-recoveries")?.parse().map_err(|_| BadOrder("known-recoveries"))?;
        let evidence = match field("evidence")? {
            "none" => None,
            digits => Some(bytes(digits).ok_or(BadOrder("evidence"))?),
        };
        let mut count = |name| field(name)?.parse::<u64>().map_err(|_| BadOrder(name));
        let effect = Effect {
            locked: count("locks")?,
            held: count("holds")?,
            revoked: count("revokes")?,
            activated: count("activates")?,
            lost: count("loses")?,
            operators_ended: count("ends-operators")?,
            operators_bound: count("binds-operators")?,
            operators_held: count("holds-operators")?,
            every_operator: match field("holds-every-operator")? {
                "yes" => true,
                "no" => false,
                _ => return Err(BadOrder("holds-every-operator")),
            },
        };
        let policy = field("policy")?.to_owned();
        let nonce = bytes(field("nonce")?).ok_or(BadOrder("nonce"))?;
        let at_ms = time_ms(field("time")?).ok_or(BadOrder("time"))?;
        let order = Self { log, store, known, recoveries, evidence, effect, policy, nonce, at_ms };
        if order.to_string() == text { Ok(order) } else { Err(BadOrder("not the text that was written")) }
    }
}

fn head(seq: &str, hash: &str) -> Result<Head, BadOrder> {
    let seq = seq.parse().map_err(|_| BadOrder("an event number"))?;
    Ok(Head { seq, hash: bytes(hash).ok_or(BadOrder("a hash"))? })
}

fn bytes<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let mut out = [0; N];
    hex::decode_to_slice(digits, &mut out).ok()?;
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(evidence: Option<[u8; 32]>) -> Order {
        Order {
            log: "demo".into(),
            store: Head { seq: 7, hash: [7; 32] },
            known: Head { seq: 20, hash: [2; 32] },
            recoveries: 1,
            evidence,
            effect: Effect { locked: 3, revoked: 1, operators_ended: 2, ..Effect::default() },
            policy: "ab".repeat(32),
            nonce: [3; 16],
            at_ms: 1_780_000_000_123,
        }
    }

    #[test]
    fn an_order_and_back() {
        for order in [order(None), order(Some([9; 32]))] {
            let text = order.to_string();
            assert_eq!(text.parse::<Order>().unwrap(), order);
            for bad in [
                text.replace("v1", "v2"),
                text.clone() + "more\n",
                text.trim_end().to_owned(),
                text.replace("store-seq 7", "store-seq 07"),
                text.replace("evidence ", "evidence x"),
                text.replace("LOCKS 3 CARDS", "LOCKS 2 CARDS"),
                text.replace("locks 3", "locks 2"),
                text.replace("\nEVERY OTHER OPERATOR GOES ON.", ""),
                text.replace("holds-every-operator no", "holds-every-operator yes"),
            ] {
                bad.parse::<Order>().unwrap_err();
            }
        }
        assert_ne!(order(None).id(), order(Some([9; 32])).id());
    }

    #[test]
    fn an_order_says_what_it_does_in_words() {
        let told = order(Some([9; 32])).to_string();
        let said = "sigillo recovery order v1\n\nBRINGS BACK A STORE WHOSE LOG ENDS AT EVENT 7.\n\
                    THE LOST LOG WENT AT LEAST TO EVENT 20.\n\
                    REPEATS WHAT THE EVIDENCE TELLS OF WHAT IS MISSING.\n\
                    LOCKS 3 CARDS: THEIR C.I.P. IS NEVER ACCEPTED AGAIN.\nREVOKES 1 CARD AGAIN.\n\
                    ENDS THE CARDS OF 2 OPERATORS FOR GOOD.\nEVERY OTHER OPERATOR GOES ON.\n\nlog demo\n";
        assert!(told.starts_with(said), "{told}");
        let effect = Effect {
            locked: 1_200_000,
            held: 1_200_000,
            operators_held: 340,
            every_operator: true,
            ..Effect::default()
        };
        let alone = Order { effect: Effect { lost: 1, ..Effect::default() }, ..order(None) }.to_string();
        for line in ["EVERY OPERATOR GOES ON.", "LOSES 1 CARD: IT IS REGISTERED AGAIN, AND GETS NEW CODES."] {
            assert!(alone.lines().any(|of| of == line), "{line} in\n{alone}");
        }
        let untold = Order { effect, known: Head::EMPTY, ..order(None) }.to_string();
        for line in [
            "HOW FAR THE LOST LOG WENT IS NOT KNOWN.",
            "THERE IS NO EVIDENCE OF WHAT IS MISSING.",
            "LOCKS 1200000 CARDS: THEIR C.I.P. IS NEVER ACCEPTED AGAIN.",
            "HOLDS EVERY CARD OF THESE (1200000): EACH HAS TO BE REPLACED.",
            "HOLDS EVERY OPERATOR'S CARD (340): EACH REGISTERS IT AGAIN BEFORE ACTING.",
        ] {
            assert!(untold.lines().any(|of| of == line), "{line} in\n{untold}");
        }
    }
}
