//! What a stranger's bytes go through before an operation begins, for fuzz targets (`fuzz/`): the parsers of the requests
//! themselves, no second ones. What they make of the bytes is dropped; that they come back is what counts.

use hyper::HeaderMap;
use serde::de::DeserializeOwned;

use super::{cards, operator, read};
use crate::{
    api::{
        approvals::{AskApproval, SignApproval},
        cards::{LookUp, Revoke},
        cip::{RenewCip, Unlock},
        codes::{Activate, Reprint, Verify},
        consents::{LookUpConsents, RecordConsents},
        courier::{LeaseRequest, Report},
        deliveries::{ChangeContact, Resend},
        history::ReadHistory,
        operators::{Deregister, OpenRegistration, SignRegistration},
        readers::{RequestReader, StockReaders},
        renewals::RenewSelf,
        statistics::ReadReport,
    },
    http::Language,
};

/// The body of every operation that takes one.
pub fn bodies(body: &[u8]) {
    if let Ok(said) = read::parse::<Activate>(body, &[]) {
        drop((read::applicant(&said.applicant), read::contact(&said.contact)));
    }
    if let Ok(said) = read::parse::<Reprint>(body, &[]) {
        drop((read::applicant(&said.applicant), read::contact(&said.contact)));
    }
    each::<AskApproval>(body, &[]);
    each::<ChangeContact>(body, &[]);
    each::<Deregister>(body, &[]);
    each::<LeaseRequest>(body, &[]);
    each::<LookUp>(body, &[]);
    each::<LookUpConsents>(body, &[]);
    each::<OpenRegistration>(body, &[]);
    each::<ReadHistory>(body, &["kinds"]);
    each::<ReadReport>(body, &["by", "kinds", "outcomes"]);
    each::<RecordConsents>(body, &[]);
    each::<RenewCip>(body, &[]);
    each::<RenewSelf>(body, &[]);
    each::<Report>(body, &[]);
    each::<RequestReader>(body, &[]);
    each::<Resend>(body, &[]);
    each::<Revoke>(body, &[]);
    each::<SignApproval>(body, &[]);
    each::<SignRegistration>(body, &[]);
    each::<StockReaders>(body, &[]);
    each::<Unlock>(body, &[]);
    each::<Verify>(body, &[]);
}

fn each<T: DeserializeOwned>(body: &[u8], lists: &[&str]) {
    drop(read::parse::<T>(body, lists));
}

/// A line of a batch.
pub fn batch_line(line: &[u8]) {
    drop(cards::line(line));
}

/// The headers that are read by hand.
pub fn headers(headers: &HeaderMap) {
    drop((read::idempotency_key(headers), operator::forwarded(headers)));
    let _language: Language = Language::preferred(headers);
}
