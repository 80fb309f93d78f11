//! One run: the export is verified whole, the intent is written down, each file is made and encrypted in turn, the manifest is
//! signed, the directory is put in its place, the outcome is written down.

use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
};

use aws_lc_rs::{digest, rand};
use serde::Serialize;
use zeroize::Zeroizing;

use super::{
    Error, check, cms,
    halves::Halves,
    journal::Journal,
    manifest::{self, Manifest},
    recipient::Recipient,
    sink::Sink,
};
use crate::{
    card_export::{Reader, Start},
    domain::{
        audit::{Event, Kind, Outcome, time_text},
        encoding,
        id::RequestId,
        operations::Operations,
        template::TemplateId,
    },
    files,
    hsm::Role,
};

/// What is to be made, of what, for whom.
#[derive(Debug)]
pub struct Order {
    /// Configuration of the authority's token.
    pub authority: PathBuf,
    /// Configuration of the courier's token.
    pub courier: PathBuf,
    /// Exports of the cards.
    pub cards: PathBuf,
    /// The bureau's certificate, PEM.
    pub certificate: PathBuf,
    /// Its SHA-256, as the bureau has told it.
    pub fingerprint: [u8; 32],
    /// Log of all runs.
    pub journal: PathBuf,
    /// Directory to make.
    pub out: PathBuf,
    /// Whether to go on where memory cannot be kept out of swap.
    pub may_swap: bool,
    /// Milliseconds since 1970 UTC.
    pub now_ms: u64,
}

/// What was made.
#[derive(Debug, Serialize)]
pub struct Made {
    /// Cards.
    pub cards: u64,
    /// Lines of the requests for the export that gave no card.
    pub refused: u64,
    /// Files, the manifest not counted.
    pub files: u64,
    /// Names the run in manifest and log.
    pub request: String,
    /// SHA-256 of the bureau's certificate.
    pub recipient: String,
    /// Operations with the keys of codes.
    pub operations: String,
}

/// Operations with a key that a code may take on average, and beside that: at least half of all parts are allowed, so that
/// twice as many come up by chance in no run.
const PER_CODE: u64 = 4;
const BESIDE: u64 = 256;

/// First line of every file.
const HEADER: &[u8] = b"team_number,pin,puk\n";
/// Longest line: 20 digits, two codes of 40, two commas, a line feed.
const LINE: usize = 103;

/// What an export has, all of which holds.
struct Survey {
    start: Start,
    cards: u64,
    refused: u64,
    templates: BTreeMap<String, u64>,
    digest: [u8; 32],
}

/// Makes the files and tells of each card.
///
/// # Errors
/// [`Error`]; nothing is in the directory's place then.
pub fn make(order: &Order, mut progress: impl FnMut(u64, u64)) -> Result<Made, Error> {
    let text = files::read_public(&order.certificate, 1 << 16)?;
    let recipient = Recipient::read(&text, &order.fingerprint, order.now_ms)
        .map_err(|why| Error::Recipient { file: order.certificate.clone(), why })?;
    let mut halves = Halves::open(&order.authority, &order.courier, order.may_swap)?;
    let key = halves.audit_key(Role::Authority).to_vec();
    let survey = survey(&order.cards, &key)?;
    let (log, policy) = (&survey.start.log, &survey.start.policy);
    let mut journal = Journal::open(&order.journal, &key, log, policy)?;
    let sink = Sink::begin(&order.out)?;

    let codes = survey.cards.saturating_mul(2);
    let each = codes.saturating_mul(PER_CODE).saturating_add(BESIDE);
    let most = Operations { print: each, deliver: each, verify: 2 };
    let event = intent(order, &survey, &recipient, most)?;
    let request = event.request.to_string();
    journal.add(&event, |text| halves.sign(Role::Authority, text))?;
    halves.begin(most)?;

    let mut manifest = Manifest {
        log: log.clone(),
        policy: policy.clone(),
        time: time_text(order.now_ms),
        request: request.clone(),
        input: survey.digest,
        recipient: *recipient.fingerprint(),
        cards: survey.cards,
        templates: survey.templates,
        operations: Operations::default(),
        files: Vec::new(),
    };
    let mut done = 0_u64;
    let mut reader = open(&order.cards, &key)?;
    let bad = |why| Error::Export { file: order.cards.clone(), why };
    while let Some(export) = reader.next_export().map_err(bad)? {
        if export.cards.is_empty() {
            continue;
        }
        let cards = export.cards.len();
        let size = cards.saturating_mul(LINE).saturating_add(HEADER.len()).saturating_add(cms::PADDING);
        let mut plain = Zeroizing::new(Vec::with_capacity(size));
        plain.extend_from_slice(HEADER);
        halves.derive(&export, |card, pin, puk| {
            for (text, end) in [(card.team.as_str(), b','), (pin.expose(), b','), (puk.expose(), b'\n')] {
                plain.extend_from_slice(text.as_bytes());
                plain.push(end);
            }
            done = done.saturating_add(1);
            progress(done, survey.cards);
        })?;
        let sealed = cms::envelop(plain, &recipient).map_err(|e| Error::Refused(e.to_string()))?;
        let name = format!("cards-{:04}.p7m", manifest.files.len().saturating_add(1));
        sink.add(&name, &sealed)?;
        let cards = u64::try_from(cards).unwrap_or(u64::MAX);
        manifest.files.push(manifest::File { name, digest: sha256(&sealed), cards });
    }
    if reader.digest() != survey.digest {
        return Err(Error::Refused(format!("{}: changed while it was read", order.cards.display())));
    }
    manifest.operations = halves.used();
    let text = manifest.to_string();
    sink.add(check::MANIFEST, text.as_bytes())?;
    for (role, name) in [(Role::Authority, check::SIGNATURE), (Role::Courier, check::COURIERS_SIGNATURE)] {
        sink.add(name, &encoding::ecdsa_der(&halves.sign(role, &text)?))?;
    }
    sink.finish()?;
    let event = Event { outcome: Outcome::Done, detail: Vec::new(), ..event };
    let event = event.with("operations", halves.used().to_string());
    let event = event.with("manifest", hex::encode(sha256(text.as_bytes())));
    journal.add(&event, |text| halves.sign(Role::Authority, text))?;
    Ok(Made {
        cards: survey.cards,
        refused: survey.refused,
        files: u64::try_from(manifest.files.len()).unwrap_or(u64::MAX),
        request,
        recipient: hex::encode(recipient.fingerprint()),
        operations: halves.used().to_string(),
    })
}

fn intent(order: &Order, survey: &Survey, to: &Recipient, most: Operations) -> Result<Event, Error> {
    let mut request = [0; 16];
    rand::fill(&mut request).map_err(|_| Error::Refused("the system gives no random bytes".into()))?;
    Ok(Event {
        at_ms: order.now_ms,
        kind: Kind::CardsPersonalised,
        outcome: Outcome::Intent,
        caller: "personalise".into(),
        request: RequestId::new(request),
        policy: survey.start.policy.clone(),
        card: None,
        with_ticket: false,
        detail: vec![
            ("cards", survey.cards.to_string()),
            ("input", hex::encode(survey.digest)),
            ("recipient", hex::encode(to.fingerprint())),
            ("most", most.to_string()),
        ],
    })
}

fn open(path: &Path, key: &[u8]) -> Result<Reader<BufReader<File>>, Error> {
    let file = File::open(path).map_err(Error::io(path))?;
    Ok(Reader::new(BufReader::new(file), key))
}

/// Reads the exports through: all hold, are of one log and set, and no card comes twice.
fn survey(path: &Path, key: &[u8]) -> Result<Survey, Error> {
    let refused = |why: String| Error::Refused(format!("{}: {why}", path.display()));
    let mut reader = open(path, key)?;
    let mut begun: Option<Start> = None;
    let mut seen = HashSet::new();
    let mut known: BTreeMap<TemplateId, [u8; 32]> = BTreeMap::new();
    let (mut cards, mut lines, mut templates) = (0_u64, 0_u64, BTreeMap::new());
    while let Some(export) =
        reader.next_export().map_err(|why| Error::Export { file: path.to_owned(), why })?
    {
        if let Some(first) = &begun
            && (first.log != export.start.log || first.policy != export.start.policy)
        {
            return Err(refused("its exports are of two logs or two policy sets: export again".into()));
        }
        for (id, template) in &export.templates {
            if known.insert(id.clone(), template.digest()).is_some_and(|other| other != template.digest()) {
                return Err(refused(format!("two templates have the id {id}")));
            }
        }
        for card in &export.cards {
            if !seen.insert(card.id) {
                return Err(refused(format!("card {} is in it twice: no chip is made twice", card.id)));
            }
            let count: &mut u64 = templates.entry(card.template.to_string()).or_default();
            *count = count.saturating_add(1);
            cards = cards.saturating_add(1);
        }
        lines = lines.saturating_add(u64::try_from(export.refused.len()).unwrap_or(u64::MAX));
        begun.get_or_insert(export.start);
    }
    let start = begun.filter(|_| cards > 0).ok_or_else(|| refused("there is no card in it".into()))?;
    Ok(Survey { start, cards, refused: lines, templates, digest: reader.digest() })
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}
