//! `operators.toml`: who may act, from which office, in which roles, and when.
//!
//! Up to 100,000 people share few profiles, so each costs little more than the C.F. A C.F. is never put in an error.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::RangeInclusive,
    sync::Arc,
};

use serde::Deserialize;
use toml::Spanned;

use crate::domain::{date::CivilDate, tax_code::TaxCode, team::Region};

/// Most operators of a set.
const MOST: usize = 100_000;

/// The file as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOperators {
    roles: Spanned<Vec<Spanned<String>>>,
    #[serde(default)]
    office: Vec<RawOffice>,
    #[serde(default)]
    operator: Vec<RawOperator>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOffice {
    name: Spanned<String>,
    regions: Spanned<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOperator {
    tax_code: Spanned<String>,
    office: Spanned<String>,
    roles: Spanned<Vec<String>>,
    regions: Option<Spanned<Vec<String>>>,
    valid_from: Spanned<String>,
    valid_to: Spanned<String>,
}

/// What is wrong, and how many bytes of the file come before it.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) offset: usize,
    pub(super) reason: String,
}

fn fault<T>(at: &Spanned<T>, reason: impl Into<String>) -> Fault {
    Fault { offset: at.span().start, reason: reason.into() }
}

/// What rules look at in an operator. Shared by all who have the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Profile {
    /// Where they work.
    pub office: String,
    /// What they are, 1 or more.
    pub roles: BTreeSet<String>,
    /// Whose cards they serve, 1 or more.
    pub regions: BTreeSet<Region>,
}

#[derive(Debug)]
struct Person {
    profile: Arc<Profile>,
    valid: RangeInclusive<CivilDate>,
}

/// The directory of operators.
#[derive(Debug)]
pub struct Operators {
    roles: BTreeMap<String, usize>,
    offices: BTreeMap<String, BTreeSet<Region>>,
    people: HashMap<TaxCode, Person>,
}

impl Operators {
    /// The profile of an operator who is listed and valid on `today`.
    pub fn profile(&self, tax_code: &TaxCode, today: CivilDate) -> Option<&Arc<Profile>> {
        self.people.get(tax_code).filter(|person| person.valid.contains(&today)).map(|person| &person.profile)
    }

    /// How many are listed.
    pub fn len(&self) -> usize {
        self.people.len()
    }

    /// Whether nobody is listed.
    pub fn is_empty(&self) -> bool {
        self.people.is_empty()
    }

    /// Everybody, as `policy diff` compares them: C.F., profile, first and last day.
    pub fn iter(&self) -> impl Iterator<Item = (&TaxCode, &Profile, &RangeInclusive<CivilDate>)> {
        self.people.iter().map(|(code, person)| (code, &*person.profile, &person.valid))
    }

    /// Whether there is such a role.
    pub fn has_role(&self, name: &str) -> bool {
        self.roles.contains_key(name)
    }

    /// The regions of an office.
    pub fn regions_of(&self, office: &str) -> Option<&BTreeSet<Region>> {
        self.offices.get(office)
    }

    /// Whether some office works for the region.
    pub fn has_region(&self, region: &str) -> bool {
        Region::KNOWN.iter().any(|(known, _)| known.to_string() == region)
            || self.offices.values().flatten().any(|known| known.to_string() == region)
    }

    /// Every role, with its place in the file.
    pub(super) fn roles(&self) -> impl Iterator<Item = (&str, usize)> {
        self.roles.iter().map(|(name, offset)| (name.as_str(), *offset))
    }
}

fn is_name(text: &str, more: u8) -> bool {
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == more;
    (1..=40).contains(&text.len()) && text.bytes().all(good)
}

fn regions(list: &Spanned<Vec<String>>) -> Result<BTreeSet<Region>, Fault> {
    let mut found = BTreeSet::new();
    for text in list.get_ref() {
        let region = text
            .parse::<Region>()
            .map_err(|_| fault(list, format!("region \"{text}\" is not three digits")))?;
        if region.name().is_none() {
            return Err(fault(list, format!("there is no region \"{text}\"")));
        }
        if !found.insert(region) {
            return Err(fault(list, format!("region \"{text}\" is given twice")));
        }
    }
    if found.is_empty() { Err(fault(list, "at least one region")) } else { Ok(found) }
}

fn day(text: &Spanned<String>) -> Result<CivilDate, Fault> {
    text.get_ref().parse().map_err(|e: crate::domain::date::BadDate| fault(text, e.to_string()))
}

impl RawOperators {
    /// Checks names, codes, dates and references.
    pub(super) fn validate(self) -> Result<Operators, Fault> {
        let mut roles = BTreeMap::new();
        for role in self.roles.get_ref() {
            let name = role.get_ref();
            if !is_name(name, b'_') {
                return Err(fault(role, format!("role \"{name}\": a name is 1 to 40 of a-z, 0-9 and _")));
            }
            if roles.insert(name.clone(), role.span().start).is_some() {
                return Err(fault(role, format!("role \"{name}\" is given twice")));
            }
        }
        if roles.is_empty() {
            return Err(fault(&self.roles, "at least one role"));
        }
        let mut offices = BTreeMap::new();
        for office in &self.office {
            let name = office.name.get_ref();
            if !is_name(name, b'-') {
                let why = format!("office \"{name}\": a name is 1 to 40 of a-z, 0-9 and -");
                return Err(fault(&office.name, why));
            }
            if offices.insert(name.clone(), regions(&office.regions)?).is_some() {
                return Err(fault(&office.name, format!("office \"{name}\" is given twice")));
            }
        }
        if let Some(over) = self.operator.get(MOST) {
            return Err(fault(&over.tax_code, format!("more than {MOST} operators")));
        }
        let mut operators = Operators { roles, offices, people: HashMap::with_capacity(self.operator.len()) };
        let mut profiles = BTreeMap::new();
        for raw in self.operator {
            let at = raw.tax_code.span().start;
            let (code, person) = operators.person(raw, &mut profiles)?;
            if operators.people.insert(code, person).is_some() {
                return Err(Fault { offset: at, reason: "this operator is listed before".into() });
            }
        }
        Ok(operators)
    }
}

impl Operators {
    fn person(
        &self,
        raw: RawOperator,
        profiles: &mut BTreeMap<Profile, Arc<Profile>>,
    ) -> Result<(TaxCode, Person), Fault> {
        let RawOperator { tax_code, office, roles, regions: narrowed, valid_from, valid_to } = raw;
        let code = tax_code
            .get_ref()
            .parse::<TaxCode>()
            .map_err(|e: crate::domain::tax_code::BadTaxCode| fault(&tax_code, e.to_string()))?;
        let name = office.get_ref();
        let of_office =
            self.offices.get(name).ok_or_else(|| fault(&office, format!("there is no office \"{name}\"")))?;
        let mut held = BTreeSet::new();
        for role in roles.get_ref() {
            if !self.roles.contains_key(role) {
                return Err(fault(&roles, format!("there is no role \"{role}\"")));
            }
            if !held.insert(role.clone()) {
                return Err(fault(&roles, format!("role \"{role}\" is given twice")));
            }
        }
        if held.is_empty() {
            return Err(fault(&roles, "at least one role"));
        }
        let served = match &narrowed {
            None => of_office.clone(),
            Some(list) => {
                let own = regions(list)?;
                if let Some(other) = own.difference(of_office).next() {
                    let why = format!("office \"{name}\" does not work for region \"{other}\"");
                    return Err(fault(list, why));
                }
                own
            }
        };
        let valid = day(&valid_from)?..=day(&valid_to)?;
        if valid.is_empty() {
            return Err(fault(&valid_to, "valid_to is before valid_from"));
        }
        let profile = Profile { office: office.into_inner(), roles: held, regions: served };
        let shared = profiles.entry(profile).or_insert_with_key(|profile| Arc::new(profile.clone()));
        Ok((code, Person { profile: Arc::clone(shared), valid }))
    }
}
