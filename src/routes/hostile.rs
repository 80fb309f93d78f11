//! What a stranger's bytes go through before an operation begins, for fuzz targets (`fuzz/`): the parsers of the requests
//! themselves, no second ones. What does not hold is said in a sentence.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper::{
    HeaderMap,
    header::{HeaderName, HeaderValue},
};
use serde::{Serialize, de::DeserializeOwned};

use super::{approvals, cards, consents, courier, history, operator, read, statistics};
use crate::{
    api::{
        applicant::Applicant,
        approvals::{AskApproval, SignApproval},
        cards::{LookUp, NewCard, Revoke},
        cip::{RenewCip, Unlock},
        codes::{Activate, ContactTo, Reprint, Verify},
        consents::{LookUpConsents, RecordConsents},
        courier::{LeaseRequest, Report},
        deliveries::{ChangeContact, Resend},
        history::ReadHistory,
        operators::{Deregister, OpenRegistration, SignRegistration},
        readers::{RequestReader, StockReaders},
        renewals::RenewSelf,
        statistics::ReadReport,
    },
    domain::hostile::read_again,
    http::Language,
};

/// Whether these bytes are this body, and what does not hold of it.
type Check = fn(&[u8]) -> Result<bool, String>;

/// The body of every operation that takes one, by its name in the description.
const BODIES: [(&str, Check); 24] = [
    ("Activate", |body| {
        each::<Activate>(body, &[], |said| {
            drop(cards::card_data(&said.tax_code, &said.team_number, &said.expires_on));
            who(&said.applicant);
            to(&said.contact);
        })
    }),
    ("AskApproval", |body| each::<AskApproval>(body, &[], |said| drop(approvals::wanted(said)))),
    ("ChangeContact", |body| each::<ChangeContact>(body, &[], |said| to(&said.contact))),
    ("Deregister", |body| each::<Deregister>(body, &[], drop)),
    ("LeaseRequest", |body| each::<LeaseRequest>(body, &[], drop)),
    ("LookUp", |body| each::<LookUp>(body, &[], drop)),
    ("LookUpConsents", |body| each::<LookUpConsents>(body, &[], drop)),
    ("NewCard", |body| each::<NewCard>(body, &[], |_| drop(cards::line(body)))),
    ("OpenRegistration", |body| each::<OpenRegistration>(body, &[], drop)),
    ("ReadHistory", |body| {
        each::<ReadHistory>(body, &["kinds"], |said| {
            drop((history::which(&said), history::query(&said).map(|query| query.text())));
        })
    }),
    ("ReadReport", |body| {
        each::<ReadReport>(body, &["by", "kinds", "outcomes"], |said| drop(statistics::query(&said)))
    }),
    ("RecordConsents", |body| {
        each::<RecordConsents>(body, &[], |said| {
            who(&said.applicant);
            drop(consents::given(&said));
        })
    }),
    ("RenewCip", |body| each::<RenewCip>(body, &[], drop)),
    ("RenewSelf", |body| each::<RenewSelf>(body, &[], drop)),
    ("Report", |body| each::<Report>(body, &[], |said| drop(courier::outcome(said)))),
    ("Reprint", |body| {
        each::<Reprint>(body, &[], |said| {
            who(&said.applicant);
            to(&said.contact);
        })
    }),
    ("RequestReader", |body| each::<RequestReader>(body, &[], drop)),
    ("Resend", |body| each::<Resend>(body, &[], drop)),
    ("Revoke", |body| each::<Revoke>(body, &[], |said| who(&said.applicant))),
    ("SignApproval", |body| each::<SignApproval>(body, &[], drop)),
    ("SignRegistration", |body| each::<SignRegistration>(body, &[], drop)),
    ("StockReaders", |body| each::<StockReaders>(body, &[], drop)),
    ("Unlock", |body| each::<Unlock>(body, &[], drop)),
    // A code is never written again.
    ("Verify", |body| Ok(read::parse::<Verify>(body, &[]).is_ok())),
];

/// Reads a body as that of every operation; answers the names of those that take it.
///
/// # Errors
/// A sentence about one that takes it, and not what a client would write of the same.
pub fn bodies(body: &[u8]) -> Result<Vec<&'static str>, String> {
    let mut taken = Vec::new();
    for (name, check) in BODIES {
        if check(body).map_err(|why| format!("{name}: {why}"))? {
            taken.push(name);
        }
    }
    Ok(taken)
}

fn each<T: Serialize + DeserializeOwned>(
    body: &[u8],
    lists: &[&str],
    values: impl FnOnce(T),
) -> Result<bool, String> {
    let Ok(said) = read::parse::<T>(body, lists) else { return Ok(false) };
    read_again(body, |body| read::parse::<T>(body, lists).map_err(|(code, _)| code.to_owned()))?;
    values(said);
    Ok(true)
}

fn who(said: &Applicant) {
    if let Ok(applicant) = read::applicant(said) {
        // Personal data: the dossier is what is made of it.
        drop(applicant.dossier());
    }
}

fn to(said: &ContactTo) {
    drop((read::contact(said), read::language(said)));
}

/// A line of a batch; answers whether it is one.
pub fn batch_line(line: &[u8]) -> bool {
    cards::line(line).is_ok()
}

/// A forwarded leaf and its chain, DER.
pub type Forwarded = (Vec<u8>, Vec<Vec<u8>>);

/// The headers that are read by hand; answers the certificates that they forward, leaf and chain.
///
/// # Errors
/// A sentence about what is taken and should not be.
pub fn headers(headers: &HeaderMap) -> Result<Option<Forwarded>, String> {
    let _language: Language = Language::preferred(headers);
    if let Ok(Some(key)) = read::idempotency_key(headers)
        && !((1..=64).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()))
    {
        return Err(format!("the idempotency key {key:?}"));
    }
    let Ok(Some((leaf, chain))) = operator::forwarded(headers) else { return Ok(None) };
    let item = |der: &Vec<u8>| format!(":{}:", STANDARD.encode(der));
    let mut again = HeaderMap::new();
    let mut put = |name, text: &str| {
        let value = HeaderValue::from_str(text).map_err(|error| error.to_string())?;
        again.insert(HeaderName::from_static(name), value);
        Ok::<_, String>(())
    };
    put(operator::LEAF, &item(&leaf))?;
    if !chain.is_empty() {
        put(operator::CHAIN, &chain.iter().map(item).collect::<Vec<_>>().join(", "))?;
    }
    match operator::forwarded(&again) {
        Ok(Some(same)) if same == (leaf, chain) => Ok(Some(same)),
        Ok(_) | Err(_) => Err("a certificate that is taken and, written anew, is not".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    /// Every body that the description has, and the examples there are taken as such.
    #[test]
    fn every_body_of_the_description_is_read() {
        let described: Value = serde_json::from_str(super::super::OPENAPI).unwrap();
        let mut names = BTreeSet::new();
        for operation in described["paths"].as_object().unwrap().values().flat_map(|path| {
            path.as_object().unwrap().values().filter(|operation| operation.get("requestBody").is_some())
        }) {
            for content in operation["requestBody"]["content"].as_object().unwrap().values() {
                let name = content["schema"]["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
                names.insert(name.to_owned());
                for example in content["examples"].as_object().unwrap().values() {
                    let taken = bodies(example["value"].to_string().as_bytes()).unwrap();
                    assert!(taken.contains(&name), "{example} is taken as {taken:?}");
                }
            }
        }
        assert_eq!(names, BODIES.map(|(name, _)| name.to_owned()).into());
    }
}
