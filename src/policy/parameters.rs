//! `authority.toml`: limits, periods, reasons and which template a region gets.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::Deserialize;

use super::{
    applicants::RawApplicants,
    limits::{Limits, RawLimits},
    readers::{RawReaders, ReaderRules},
};
use crate::domain::{
    applicant, audit::Kind, card::Reason, contact::Channel, message::MessageLanguage, reprints::Reprints,
    team::Region, template::TemplateId, unlocks::Often,
};

/// The file as written. A missing key is an error: every number here is a security decision.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawParameters {
    sequence: u64,
    applicants: RawApplicants,
    cip_renewal: RawReasons,
    verification: RawVerification,
    idempotency: RawIdempotency,
    delivery: RawDelivery,
    four_eyes: RawFourEyes,
    guess: RawGuess,
    history: RawHistory,
    limits: RawLimits,
    reports: RawReports,
    readers: RawReaders,
    reprint: RawReprint,
    revocation: RawRevocation,
    templates: RawChoice,
    unlock: RawUnlock,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUnlock {
    reasons: Vec<String>,
    most: u8,
    in_days: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawVerification {
    tick_ms: u64,
    accepted_for_s: u64,
    decoys: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawIdempotency {
    keep_h: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDelivery {
    channels: Vec<String>,
    lease_s: u64,
    attempts: u32,
    back_off_first_s: u64,
    back_off_most_s: u64,
    expires_h: u64,
    keep_contact_h: u64,
    contact_reasons: Vec<String>,
    languages: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFourEyes {
    valid_for_min: u64,
    open_per_operator: u8,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGuess {
    warn_above_ppm: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHistory {
    kinds: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawReports {
    smallest: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawReprint {
    reasons: Vec<String>,
    most: u8,
    per_days: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawReasons {
    reasons: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRevocation {
    reasons: Vec<String>,
    keep_salt_days: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawChoice {
    default: String,
    #[serde(default)]
    region: BTreeMap<String, String>,
}

/// How a C.I.P. is verified.
#[derive(Clone, Copy, Debug)]
pub struct VerificationRules {
    /// Answers leave on a multiple of this, counted from the request's arrival.
    pub tick: Duration,
    /// How long an accepted verification may be used, milliseconds.
    pub accepted_for_ms: u64,
    /// Counters that stand in for unknown cards.
    pub decoys: u32,
}

/// How approvals are asked for.
#[derive(Clone, Copy, Debug)]
pub struct ApprovalRules {
    /// From the request for it to its end, milliseconds.
    pub valid_for_ms: u64,
    /// Most that one operator may have asked for and not used, in that time.
    pub open_per_operator: u8,
}

/// How second parts are delivered.
#[derive(Clone, Copy, Debug)]
pub struct DeliveryRules {
    /// How long the courier holds a delivery, milliseconds.
    pub lease_ms: u64,
    /// Attempts before it is given up.
    pub attempts: u32,
    /// Wait after the first failed attempt, milliseconds; doubled after each.
    pub back_off_first_ms: u64,
    /// The longest wait between attempts, milliseconds.
    pub back_off_most_ms: u64,
    /// From when it was queued to when it is given up, milliseconds.
    pub expires_ms: u64,
    /// How long the contact is kept after the end, for a resend, milliseconds; 0 for not at all.
    pub keep_contact_ms: u64,
}

/// How often the codes of one card are handed out again.
#[derive(Clone, Copy, Debug)]
pub struct ReprintRules {
    /// So many at most.
    pub most: usize,
    /// In so many milliseconds.
    pub per_ms: u64,
}

impl DeliveryRules {
    /// Milliseconds to wait after the attempt with this number (from 1) failed.
    pub fn back_off_ms(&self, attempt: u32) -> u64 {
        let doublings = attempt.saturating_sub(1).min(32);
        self.back_off_first_ms.saturating_mul(1_u64 << doublings).min(self.back_off_most_ms)
    }
}

/// The validated parameters.
#[derive(Debug)]
pub struct Parameters {
    /// Number of the set: it grows with every change and never goes back.
    pub sequence: u64,
    /// Who may ask at the counter, and with which document.
    pub applicants: applicant::Rules,
    /// How long is kept who asked, milliseconds.
    pub applicants_keep_ms: u64,
    /// How a C.I.P. is verified.
    pub verification: VerificationRules,
    /// How approvals are asked for.
    pub approvals: ApprovalRules,
    /// How second parts are delivered.
    pub delivery: DeliveryRules,
    /// How often may be asked.
    pub limits: Limits,
    /// How offices hand card readers over.
    pub readers: ReaderRules,
    /// How often the codes of one card are handed out again.
    pub reprints: ReprintRules,
    /// Chance of a guess, in millions, above which `sigillo policy check` warns.
    pub warn_above_ppm: u32,
    /// How long an idempotency key is remembered, milliseconds.
    pub idempotency_keep_ms: u64,
    /// Least count that a report tells of more than the operator's own office.
    pub smallest_count: u64,
    /// How long the salt of a revoked card is kept, milliseconds.
    pub keep_salt_ms: u64,
    /// How often the C.I.P. of one card may be unlocked.
    pub unlocks: Often,
    channels: Vec<Channel>,
    history_kinds: BTreeSet<String>,
    cip_renewal_reasons: Vec<String>,
    contact_reasons: Vec<String>,
    languages: Vec<MessageLanguage>,
    reprint_reasons: Vec<String>,
    revocation_reasons: Vec<String>,
    unlock_reasons: Vec<String>,
    default_template: TemplateId,
    templates: BTreeMap<Region, TemplateId>,
}

impl Parameters {
    /// The template that a region's new cards get.
    pub fn template_of(&self, region: &Region) -> &TemplateId {
        self.templates.get(region).unwrap_or(&self.default_template)
    }

    /// The template of regions that have none of their own.
    pub const fn default_template(&self) -> &TemplateId {
        &self.default_template
    }

    /// Every template that new cards may get.
    pub fn chosen(&self) -> impl Iterator<Item = &TemplateId> {
        std::iter::once(&self.default_template).chain(self.templates.values())
    }

    /// Whether operators see events of this kind in a card's history.
    pub fn is_shown_in_history(&self, kind: &str) -> bool {
        self.history_kinds.contains(kind)
    }

    /// Whether second parts may travel this way.
    pub fn is_channel(&self, channel: Channel) -> bool {
        self.channels.contains(&channel)
    }

    /// Whether a new C.I.P. may be asked for with this reason.
    pub fn is_cip_renewal_reason(&self, reason: &str) -> bool {
        self.cip_renewal_reasons.iter().any(|known| known == reason)
    }

    /// Whether another contact may be asked for with this reason.
    pub fn is_contact_reason(&self, reason: &str) -> bool {
        self.contact_reasons.iter().any(|known| known == reason)
    }

    /// Whether messages may be in this language.
    pub fn is_language(&self, language: MessageLanguage) -> bool {
        self.languages.contains(&language)
    }

    /// Whether a reprint may be asked for with this reason.
    pub fn is_reprint_reason(&self, reason: &str) -> bool {
        self.reprint_reasons.iter().any(|known| known == reason)
    }

    /// Whether a revocation may be asked for with this reason.
    pub fn is_revocation_reason(&self, reason: &str) -> bool {
        self.revocation_reasons.iter().any(|known| known == reason)
    }

    /// Whether an unlock may be asked for with this reason.
    pub fn is_unlock_reason(&self, reason: &str) -> bool {
        self.unlock_reasons.iter().any(|known| known == reason)
    }
}

/// Milliseconds of a day.
pub(super) const DAY_MS: u64 = 86_400_000;

pub(super) fn within(name: &str, value: u64, low: u64, high: u64) -> Result<u64, String> {
    if (low..=high).contains(&value) {
        Ok(value)
    } else {
        Err(format!("{name} = {value}: must be {low} to {high}"))
    }
}

/// The channels of a list, each of them known and named once.
fn channels(list: &[String]) -> Result<Vec<Channel>, String> {
    let mut known = Vec::with_capacity(list.len());
    for text in list {
        let channel = text.parse().map_err(|_| format!("delivery.channels: there is no \"{text}\""))?;
        if known.contains(&channel) {
            return Err(format!("delivery.channels: \"{text}\" is given twice"));
        }
        known.push(channel);
    }
    if known.is_empty() { Err("delivery.channels: at least one channel".to_owned()) } else { Ok(known) }
}

/// Kinds of event, each of them known and named once.
fn kinds(list: Vec<String>) -> Result<BTreeSet<String>, String> {
    let mut known = BTreeSet::new();
    for text in list {
        if Kind::from_text(&text).is_none() {
            return Err(format!("history.kinds: there is no \"{text}\""));
        }
        if let Some(twice) = known.replace(text) {
            return Err(format!("history.kinds: \"{twice}\" is given twice"));
        }
    }
    Ok(known)
}

/// The languages of a list, each of them known and named once.
fn languages(list: &[String]) -> Result<Vec<MessageLanguage>, String> {
    let mut known = Vec::with_capacity(list.len());
    for text in list {
        let language =
            text.parse().map_err(|e| format!("delivery.languages: there is no \"{text}\": {e}"))?;
        if known.contains(&language) {
            return Err(format!("delivery.languages: \"{text}\" is given twice"));
        }
        known.push(language);
    }
    if known.is_empty() { Err("delivery.languages: at least one language".to_owned()) } else { Ok(known) }
}

fn reasons(name: &str, list: Vec<String>) -> Result<Vec<String>, String> {
    if list.is_empty() {
        return Err(format!("{name}: at least one reason"));
    }
    words(name, &list).map(|()| list)
}

/// Refuses a word that is not of the form of reasons and kinds.
pub(super) fn words(name: &str, list: &[String]) -> Result<(), String> {
    let good = |b: u8| b.is_ascii_lowercase() || b == b'_';
    match list.iter().find(|r| r.is_empty() || r.len() > 40 || !r.bytes().all(good)) {
        Some(bad) => Err(format!("{name}: \"{bad}\" is not 1 to 40 of a-z and _")),
        None => Ok(()),
    }
}

/// The region of these three digits, which there must be.
pub(super) fn known_region(name: &str, text: &str) -> Result<Region, String> {
    let region = text.parse::<Region>().map_err(|e| format!("{name}: {e}"))?;
    match region.name() {
        Some(_) => Ok(region),
        None => Err(format!("{name}: no such region; there are {}", Region::codes())),
    }
}

/// Reasons that an operator may give: of the domain's, without those that only the authority itself has.
fn revocation_reasons(list: Vec<String>) -> Result<Vec<String>, String> {
    let list = reasons("revocation.reasons", list)?;
    let known = |text: &String| {
        text.parse().is_ok_and(|reason| !matches!(reason, Reason::Renewed | Reason::Replaced))
    };
    match list.iter().find(|text| !known(text)) {
        Some(bad) => Err(format!("revocation.reasons: an operator cannot give \"{bad}\"")),
        None => Ok(list),
    }
}

impl RawParameters {
    /// Checks every number; the error is a sentence without the file's name.
    pub(super) fn validate(self) -> Result<Parameters, String> {
        let Self {
            sequence,
            applicants,
            cip_renewal,
            verification: v,
            idempotency,
            delivery: d,
            four_eyes,
            guess,
            history,
            limits,
            reports,
            readers,
            reprint,
            revocation,
            templates,
            unlock,
        } = self;
        let id = |text: &str| text.parse::<TemplateId>().map_err(|e| format!("template \"{text}\": {e}"));
        let mut by_region = BTreeMap::new();
        for (region, template) in &templates.region {
            by_region.insert(known_region(&format!("templates.region.{region}"), region)?, id(template)?);
        }
        let decoys = within("verification.decoys", v.decoys.into(), 16, 1_048_576)?;
        let open = within("four_eyes.open_per_operator", four_eyes.open_per_operator.into(), 1, 100)?;
        let warn_above = within("guess.warn_above_ppm", guess.warn_above_ppm.into(), 1, 1_000_000)?;
        let most = u64::try_from(Reprints::MOST).unwrap_or(1);
        let most = within("reprint.most", reprint.most.into(), 1, most)?;
        let keep_days = within("applicants.keep_days", applicants.keep_days, 1, 36_500)?;
        Ok(Parameters {
            applicants: applicants.validate()?,
            applicants_keep_ms: keep_days.saturating_mul(DAY_MS),
            reprints: ReprintRules {
                most: usize::try_from(most).unwrap_or(1),
                per_ms: within("reprint.per_days", reprint.per_days, 1, 366)?.saturating_mul(DAY_MS),
            },
            limits: limits.validate()?,
            readers: readers.validate()?,
            warn_above_ppm: u32::try_from(warn_above).unwrap_or(1),
            sequence: within("sequence", sequence, 1, u64::MAX)?,
            verification: VerificationRules {
                tick: Duration::from_millis(within("verification.tick_ms", v.tick_ms, 1, 1000)?),
                accepted_for_ms: within("verification.accepted_for_s", v.accepted_for_s, 10, 3600)?
                    .saturating_mul(1000),
                decoys: u32::try_from(decoys).unwrap_or(u32::MAX),
            },
            approvals: ApprovalRules {
                valid_for_ms: within("four_eyes.valid_for_min", four_eyes.valid_for_min, 1, 60)?
                    .saturating_mul(60_000),
                open_per_operator: u8::try_from(open).unwrap_or(1),
            },
            delivery: DeliveryRules {
                lease_ms: within("delivery.lease_s", d.lease_s, 5, 3600)?.saturating_mul(1000),
                attempts: u32::try_from(within("delivery.attempts", d.attempts.into(), 1, 100)?).unwrap_or(1),
                back_off_first_ms: within("delivery.back_off_first_s", d.back_off_first_s, 1, 3600)?
                    .saturating_mul(1000),
                back_off_most_ms: within(
                    "delivery.back_off_most_s",
                    d.back_off_most_s,
                    d.back_off_first_s,
                    86_400,
                )?
                .saturating_mul(1000),
                expires_ms: within("delivery.expires_h", d.expires_h, 1, 2160)?.saturating_mul(3_600_000),
                keep_contact_ms: within("delivery.keep_contact_h", d.keep_contact_h, 0, 720)?
                    .saturating_mul(3_600_000),
            },
            contact_reasons: reasons("delivery.contact_reasons", d.contact_reasons)?,
            idempotency_keep_ms: within("idempotency.keep_h", idempotency.keep_h, 1, 720)?
                .saturating_mul(3_600_000),
            smallest_count: within("reports.smallest", reports.smallest, 1, 1000)?,
            keep_salt_ms: within("revocation.keep_salt_days", revocation.keep_salt_days, 0, 3650)?
                .saturating_mul(86_400_000),
            unlocks: Often {
                most: u8::try_from(within("unlock.most", unlock.most.into(), 1, 20)?).unwrap_or(1),
                within_ms: within("unlock.in_days", unlock.in_days, 1, 365)?.saturating_mul(86_400_000),
            },
            unlock_reasons: reasons("unlock.reasons", unlock.reasons)?,
            channels: channels(&d.channels)?,
            history_kinds: kinds(history.kinds)?,
            cip_renewal_reasons: reasons("cip_renewal.reasons", cip_renewal.reasons)?,
            languages: languages(&d.languages)?,
            reprint_reasons: reasons("reprint.reasons", reprint.reasons)?,
            revocation_reasons: revocation_reasons(revocation.reasons)?,
            default_template: id(&templates.default)?,
            templates: by_region,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_off_doubles_up_to_its_most() {
        let rules = DeliveryRules {
            lease_ms: 0,
            attempts: 9,
            back_off_first_ms: 30,
            back_off_most_ms: 100,
            expires_ms: 0,
            keep_contact_ms: 0,
        };
        let waits: Vec<_> = (1..=4).map(|n| rules.back_off_ms(n)).collect();
        assert_eq!(waits, [30, 60, 100, 100]);
        assert_eq!(rules.back_off_ms(u32::MAX), 100);
    }
}
