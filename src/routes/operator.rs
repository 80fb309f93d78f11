//! Who acts: the operator's certificate as a front end forwards it (RFC 9440), read strictly, or that of the connection, where
//! the operator's own card is at its other end. Judged by `auth::cns`.

use base64::{Engine, engine::general_purpose::STANDARD};
use hyper::{HeaderMap, StatusCode};

use super::{App, Arrived};
use crate::{
    auth::{
        Remote,
        cns::{MAX_CERTIFICATE, MAX_CHAIN, Refusal},
    },
    domain::date::CivilDate,
    http::Problem,
    policy::{Caller, Policy},
    service::Operator,
};

pub(super) const LEAF: &str = "client-cert";
pub(super) const CHAIN: &str = "client-cert-chain";

/// Longest item looked at: base64 of a byte more than a certificate may have, with colons.
const MAX_ITEM: usize = (MAX_CERTIFICATE / 3 + 2) * 4 + 2;

impl App {
    /// The operator of a request: whose card is connected, or whom its sender names, if it names one. Nothing is taken from
    /// a caller that the policy does not let forward operators: see [`not_forged`].
    pub(super) fn operator(&self, policy: &Policy, arrived: &Arrived) -> Result<Option<Operator>, Problem> {
        let judge = |leaf: &[u8], chain: &[Vec<u8>]| {
            let valid = self.operators.validate(policy.trust(), leaf, chain, self.clock.now_ms());
            valid.map(|valid| Some(Operator::from(valid))).map_err(refused)
        };
        match &*arrived.remote {
            Remote::Card(card) => judge(card.leaf(), card.chain()),
            Remote::Caller(_) => match forwarded(arrived.request.headers())? {
                Some((leaf, chain)) => judge(&leaf, &chain),
                None => Ok(None),
            },
        }
    }

    /// The citizen of a request, whose front end forwards the certificate of the card that the citizen is logged in with. It is
    /// judged as an operator's is, and on no list.
    pub(super) fn citizen(&self, policy: &Policy, arrived: &Arrived) -> Result<Option<Operator>, Problem> {
        match self.operator(policy, arrived)? {
            Some(citizen) => Ok(Some(citizen.as_citizen())),
            None => Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "citizen_missing",
                "This operation needs the citizen's certificate (Client-Cert)",
            )),
        }
    }

    /// Whether a request is looked at. Citizens' cards come from the same authorities as operators', and each refusal is an
    /// event (I7): so a card whose holder is no listed operator gets one answer, and its connection ends. Whatever
    /// else comes over it, however many at a time, is no event and costs nothing; the next answer takes another login with
    /// the chip.
    pub(super) fn stays(&self, remote: &Remote) -> bool {
        let Remote::Card(card) = remote else { return true };
        // A certificate that is refused is not remembered: its signatures would be verified for every stream.
        if card.is_dismissed() {
            return false;
        }
        let (policy, now_ms) = (self.service.policy(), self.clock.now_ms());
        let operator = self.operators.validate(policy.trust(), card.leaf(), card.chain(), now_ms).ok();
        let listed = operator
            .zip(CivilDate::moment_in_italy(now_ms))
            .is_some_and(|(operator, at)| policy.operators().profile(operator.tax_code(), at.date).is_some());
        if listed { card.admit() } else { card.dismiss() }
    }
}

/// What the policy knows the other end of a connection as. A card is never a front end, whatever its certificate.
pub(super) fn caller<'p>(policy: &'p Policy, remote: &Remote) -> Option<&'p Caller> {
    match remote {
        Remote::Caller(peer) => policy.caller(&peer.fingerprint),
        Remote::Card(_) => policy.direct_caller(),
    }
}

/// The refusal of who is nobody to the policy.
pub(super) fn unknown_caller() -> Problem {
    let title = "The policy does not know this certificate";
    Problem::new(StatusCode::FORBIDDEN, "unknown_caller", title)
}

/// Refuses a certificate in a header from a caller who may not forward any: it could be anybody's.
pub(super) fn not_forged(caller: &Caller, headers: &HeaderMap) -> Result<(), Problem> {
    let forwards = caller.forwards_operators() || caller.forwards_citizens();
    if forwards || !(headers.contains_key(LEAF) || headers.contains_key(CHAIN)) {
        return Ok(());
    }
    let title = "The policy does not let this caller forward certificates of operators or citizens";
    Err(Problem::new(StatusCode::FORBIDDEN, "forged_client_cert", title))
}

fn refused(refusal: Refusal) -> Problem {
    let title = "The certificate of the operator or citizen is not accepted";
    Problem::new(StatusCode::FORBIDDEN, refusal.problem_code(), title).detail(refusal.to_string())
}

fn malformed(why: &'static str) -> Problem {
    let title = "Client-Cert is one certificate, Client-Cert-Chain a list of them (RFC 9440)";
    Problem::new(StatusCode::BAD_REQUEST, "bad_client_cert", title).detail(why)
}

/// Leaf and chain, DER.
type Forwarded = (Vec<u8>, Vec<Vec<u8>>);

/// What the two headers hold. A list may not be spread over several lines: a proxy that adds one could not be told
/// from a client that sent one.
pub(super) fn forwarded(headers: &HeaderMap) -> Result<Option<Forwarded>, Problem> {
    let leaf = single(headers, LEAF)?;
    let chain = single(headers, CHAIN)?;
    let Some(leaf) = leaf else {
        return if chain.is_some() { Err(malformed("a chain without a certificate")) } else { Ok(None) };
    };
    let chain = chain.map_or_else(|| Ok(Vec::new()), list)?;
    Ok(Some((bytes(leaf)?, chain)))
}

fn single<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let (Some(value), more) = (values.next(), values.next()) else { return Ok(None) };
    if more.is_some() {
        return Err(malformed("the header is there twice"));
    }
    value.to_str().map(|text| Some(text.trim_matches(' '))).map_err(|_| malformed("not ASCII"))
}

/// A list of byte sequences (RFC 8941): commas between, spaces and tabs around them, none at the end.
fn list(text: &str) -> Result<Vec<Vec<u8>>, Problem> {
    // One more than a chain may have is enough to refuse it.
    if text.split(',').count() > MAX_CHAIN {
        return Err(refused(Refusal::ChainTooLong));
    }
    text.split(',').map(|item| bytes(item.trim_matches([' ', '\t']))).collect()
}

/// A byte sequence without parameters: base64 between colons, padded.
fn bytes(item: &str) -> Result<Vec<u8>, Problem> {
    if item.len() > MAX_ITEM {
        return Err(refused(Refusal::TooLarge));
    }
    let inner = item.strip_prefix(':').and_then(|rest| rest.strip_suffix(':'));
    let der = inner.and_then(|text| STANDARD.decode(text).ok()).filter(|der| !der.is_empty());
    der.ok_or_else(|| malformed("not base64 between colons"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(leaf: &[&str], chain: &[&str]) -> Result<Option<Forwarded>, &'static str> {
        let mut headers = HeaderMap::new();
        for (name, values) in [(LEAF, leaf), (CHAIN, chain)] {
            for value in values {
                headers.append(name, value.parse().unwrap());
            }
        }
        forwarded(&headers).map_err(|problem| problem.code())
    }

    #[test]
    fn one_byte_sequence_and_one_list_of_them() {
        let (one, two) = (b"one".to_vec(), b"two".to_vec());
        assert_eq!(read(&[], &[]), Ok(None));
        assert_eq!(read(&[":b25l:"], &[]), Ok(Some((one.clone(), vec![]))));
        let both = Ok(Some((one, vec![two.clone(), two])));
        assert_eq!(read(&[":b25l:"], &[":dHdv:, :dHdv:"]), both);
        assert_eq!(read(&[":b25l:"], &[":dHdv:\t,:dHdv:"]), both);
    }

    #[test]
    fn everything_else_is_refused() {
        let long = format!(":{}:", "A".repeat(30_000));
        for leaf in [
            "",
            "b25l",
            ":b25l",
            "b25l:",
            "::",
            ":b25l:;a=1",
            ":b25l:, :dHdv:",
            ":b25:",
            ":b2 5l:",
            "?1",
            "\"x\"",
        ] {
            assert_eq!(read(&[leaf], &[]), Err("bad_client_cert"), "{leaf}");
        }
        for chain in ["", ",", ":dHdv:,", ",:dHdv:", ":dHdv: :dHdv:", "(:dHdv:)", ":dHdv:;a"] {
            assert_eq!(read(&[":b25l:"], &[chain]), Err("bad_client_cert"), "{chain}");
        }
        assert_eq!(read(&[":b25l:", ":b25l:"], &[]), Err("bad_client_cert"), "twice");
        assert_eq!(read(&[":b25l:"], &[":dHdv:", ":dHdv:"]), Err("bad_client_cert"), "twice");
        assert_eq!(read(&[], &[":dHdv:"]), Err("bad_client_cert"), "nobody's chain");
        assert_eq!(read(&[&long], &[]), Err("operator_too_large"));
        assert_eq!(read(&[":b25l:"], &[&long]), Err("operator_too_large"));
        assert_eq!(read(&[":b25l:"], &[&[":dHdv:"; 5].join(",")]), Err("operator_chain_too_long"));
    }
}
