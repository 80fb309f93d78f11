//! The policy set: who may call what, which template a region gets, limits and periods.
//!
//! Read from a directory, strict, all or nothing: a set that cannot be read whole is refused with file, line and
//! reason, and the one in force stays. Its SHA-256 is in every audit event. Decisions are values ([`Permit`]) that
//! only this module can make.

mod allowed;
mod applicants;
mod callers;
mod consents;
mod decide;
mod directory;
mod files;
mod limits;
mod load;
mod officers;
mod operators;
mod parameters;
mod permit;
mod readers;
mod rules;
mod shipped;
mod texts;
mod trust;

use std::{collections::BTreeMap, sync::Arc};

pub use allowed::Allowed;
pub use callers::Caller;
pub use decide::{Asks, CardFacts, Decision, Proof, Question};
pub use directory::Directory;
pub use files::{BadPolicy, MARKER};
pub use limits::{Limits, Scope};
pub(crate) use officers::officer_key;
pub use operators::{Operators, Profile};
pub use parameters::{ApprovalRules, DeliveryRules, Parameters, ReprintRules, VerificationRules};
pub use permit::{Act, Action, CardPermit, Permit, Refused, ReportPermit, act};
pub use readers::ReaderRules;
pub use rules::{OPERATORS_ACTIONS, Rule};
pub use texts::{Field, FieldKind, Function, Shelf, Text, Texts};

use crate::{
    auth::cns::Trust,
    domain::{
        consent::{Consent, ConsentKind},
        in_force::Candidate,
        officers::{FromFile, Officers},
        team::Region,
        template::{Template, TemplateId},
    },
};

/// A policy set in force.
#[derive(Debug)]
pub struct Policy {
    callers: Vec<Caller>,
    consents: Vec<Consent>,
    digest: Arc<str>,
    kept: decide::Kept,
    officers: Officers,
    operators: Operators,
    parameters: Parameters,
    rules: rules::Rules,
    signatures: Vec<FromFile>,
    templates: BTreeMap<TemplateId, Template>,
    texts: Texts,
    trust: Arc<Trust>,
    types: decide::Types,
}

impl Policy {
    /// SHA-256 of the set, 64 hexadecimal digits.
    pub const fn digest(&self) -> &Arc<str> {
        &self.digest
    }

    /// The set as it wants to come into force, with the officers' signatures that came with it: no part of its digest, and
    /// not checked here.
    pub fn candidate(&self) -> Candidate<'_> {
        Candidate {
            sequence: self.parameters.sequence,
            policy: &self.digest,
            officers: &self.officers,
            signatures: &self.signatures,
        }
    }

    /// Every consent that people are or were asked for, by kind.
    pub fn consents(&self) -> impl Iterator<Item = &Consent> {
        self.consents.iter()
    }

    /// The consent of this kind.
    pub fn consent(&self, kind: &ConsentKind) -> Option<&Consent> {
        self.consents.iter().find(|consent| consent.kind == *kind)
    }

    /// The security officers.
    pub const fn officers(&self) -> &Officers {
        &self.officers
    }

    /// The operators.
    pub const fn operators(&self) -> &Operators {
        &self.operators
    }

    /// Every rule, in the order of files and lines.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    /// Limits and periods.
    pub const fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Whose cards are operators' cards.
    pub const fn trust(&self) -> &Arc<Trust> {
        &self.trust
    }

    /// Every template of the set.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        self.templates.values()
    }

    /// Forms and guide.
    pub const fn texts(&self) -> &Texts {
        &self.texts
    }

    /// The template that a card of this region gets when it is registered.
    pub fn template_for(&self, region: &Region) -> &Template {
        self.templates.get(self.parameters.template_of(region)).unwrap_or_else(|| self.default_template())
    }

    /// The template of regions that have none of their own.
    pub fn default_template(&self) -> &Template {
        #[expect(clippy::expect_used, reason = "`Policy::load` checks that every chosen template is there")]
        self.templates.get(self.parameters.default_template()).expect("checked at load")
    }

    /// Every caller.
    pub fn callers(&self) -> impl Iterator<Item = &Caller> {
        self.callers.iter()
    }

    /// The caller with this name.
    pub fn caller_named(&self, name: &str) -> Option<&Caller> {
        self.callers.iter().find(|caller| **caller.name() == *name)
    }

    /// What operators are who connect with their own cards; nothing if none may.
    pub fn direct_caller(&self) -> Option<&Caller> {
        self.callers.iter().find(|caller| caller.is_direct())
    }

    /// The caller with this client certificate (SHA-256 of its DER encoding).
    pub fn caller(&self, fingerprint: &[u8; 32]) -> Option<&Caller> {
        self.callers.iter().find(|caller| caller.is(fingerprint))
    }
}
