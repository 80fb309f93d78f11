//! Whether an operator may do something: one function for requests, `explain`, `test` and `diff`.
//!
//! Entities are built for each request from the operator's profile; there is no set of all operators to search.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision as Cedar, Entities, Entity, EntityId, EntityTypeName,
    EntityUid, Request, RestrictedExpression as Value,
};

use super::{Action, Policy, operators::Profile};
use crate::domain::{card::State, date::Moment, id::ApprovalId, tax_code::TaxCode, team::Region};

/// Decisions on verifications that are kept; they are forgotten with each minute.
const KEPT: usize = 4096;

/// What rules may look at in a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CardFacts<'a> {
    /// Who issued it.
    pub region: Region,
    /// `registered`, `active`, `held` or `revoked`.
    pub state: &'a str,
}

impl CardFacts<'static> {
    /// Of a card's region and state.
    pub const fn new(region: Region, state: &State) -> Self {
        Self { region, state: state.text() }
    }
}

/// What a request names beside the card ([`Action::proofs`]). Rules decide as if it held, and nothing is done unless it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Nothing.
    None,
    /// An accepted verification of the holder's C.I.P., for a revocation.
    Verification,
    /// A colleague's approval.
    Approval,
}

/// What a request for a history or a report asks for. Rules decide on it as on a card.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asks {
    /// Who acted, by the operators' names in events.
    pub operators: bool,
    /// Of a report: more than what the operator's own office did.
    pub all_offices: bool,
}

impl Proof {
    /// What a request that may name an approval names.
    pub const fn of(approval: Option<&ApprovalId>) -> Self {
        if approval.is_some() { Self::Approval } else { Self::None }
    }
}

/// A question to the rules.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// What is asked for.
    pub action: Action,
    /// Who asks.
    pub operator: &'a Profile,
    /// The caller's name.
    pub front_end: &'a str,
    /// The card; ignored for what is not about one ([`Action::is_on_a_card`]).
    pub card: Option<CardFacts<'a>>,
    /// What stands for the action; looked at where it may name an approval.
    pub proof: Proof,
    /// Looked at for histories and reports only.
    pub asks: Asks,
    /// When, in Italy.
    pub at: Moment,
}

/// The answer of the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it is allowed.
    pub allowed: bool,
    /// Ids of the rules that decided, in order; none where nothing allows it.
    pub rules: Vec<String>,
    /// What could not be evaluated, with the reason: nothing is allowed then, and no rule has decided.
    pub failed: Option<String>,
}

impl Decision {
    /// What `rules` decide.
    pub const fn by(allowed: bool, rules: Vec<String>) -> Self {
        Self { allowed, rules, failed: None }
    }

    /// The rules as a refusal or an event names them.
    pub fn named(&self) -> String {
        if self.rules.is_empty() { "no rule".into() } else { self.rules.join(",") }
    }

    /// Why it is not allowed, for people; nothing where it is.
    pub fn why_not(&self) -> Option<String> {
        match self {
            Self { allowed: true, .. } => None,
            Self { failed: Some(why), .. } => Some(why.clone()),
            Self { rules, .. } if rules.is_empty() => Some("no rule allows it".into()),
            Self { .. } => Some(format!("forbidden by {}", self.rules.join(", "))),
        }
    }

    pub(super) const fn nothing_allows() -> Self {
        Self::by(false, Vec::new())
    }

    fn failed(why: String) -> Self {
        Self { failed: Some(why), ..Self::nothing_allows() }
    }
}

/// What was decided and on whose word, for people.
impl std::fmt::Display for Decision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.why_not() {
            None => write!(f, "allowed by {}", self.named()),
            Some(why) => write!(f, "not allowed: {why}"),
        }
    }
}

/// Types of the schema.
#[derive(Debug)]
pub(super) struct Types([EntityTypeName; 10]);

#[derive(Clone, Copy)]
enum Type {
    Action,
    Card,
    FrontEnd,
    Office,
    Operator,
    Presented,
    Region,
    Report,
    Role,
    State,
}

impl Type {
    const ALL: [&'static str; 10] = [
        "Action",
        "Card",
        "FrontEnd",
        "Office",
        "Operator",
        "Presented",
        "Region",
        "Report",
        "Role",
        "State",
    ];
}

impl Types {
    pub(super) fn new() -> Result<Self, String> {
        let parse = |name: &&str| name.parse::<EntityTypeName>().map_err(|e| e.to_string());
        let parsed = Type::ALL.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        parsed.try_into().map(Self).map_err(|_| "ten types".to_owned())
    }

    fn uid(&self, of: Type, name: &str) -> EntityUid {
        let [action, card, front_end, office, operator, presented, region, report, role, state] = &self.0;
        let name_of_type = match of {
            Type::Action => action,
            Type::Card => card,
            Type::FrontEnd => front_end,
            Type::Office => office,
            Type::Operator => operator,
            Type::Presented => presented,
            Type::Region => region,
            Type::Report => report,
            Type::Role => role,
            Type::State => state,
        };
        EntityUid::from_type_name_and_id(name_of_type.clone(), EntityId::new(name))
    }

    /// Asked anew each time, out of the question's own data.
    fn request(&self, question: &Question<'_>) -> Result<(Request, Entities), String> {
        let Question { action, operator, front_end, card, proof, asks, at } = *question;
        let said = |e: &dyn std::fmt::Display| e.to_string();
        let office = self.uid(Type::Office, &operator.office);
        let regions = operator.regions.iter();
        let regions = regions.map(|r| Value::new_entity_uid(self.uid(Type::Region, &r.to_string())));
        let attributes = HashMap::from([
            ("office".to_owned(), Value::new_entity_uid(office.clone())),
            ("regions".to_owned(), Value::new_set(regions)),
        ]);
        let mut parents: HashSet<_> = operator.roles.iter().map(|r| self.uid(Type::Role, r)).collect();
        parents.insert(office.clone());
        // One operator and one card are in a question: they need no names of their own.
        let who = self.uid(Type::Operator, "");
        let mut entities = vec![Entity::new(who.clone(), attributes, parents).map_err(|e| said(&e))?];
        let resource = match card {
            Some(card) if action.is_on_a_card() => {
                let uid = self.uid(Type::Card, "");
                let state = self.uid(Type::State, card.state);
                let region = self.uid(Type::Region, &card.region.to_string());
                let attributes = HashMap::from([
                    ("region".to_owned(), Value::new_entity_uid(region)),
                    ("state".to_owned(), Value::new_entity_uid(state)),
                ]);
                entities.push(Entity::new(uid.clone(), attributes, HashSet::new()).map_err(|e| said(&e))?);
                uid
            }
            Some(_) | None if action == Action::ReadReports => self.uid(Type::Report, ""),
            Some(_) | None if action == Action::StockReaders => office,
            Some(_) | None => self.uid(Type::Presented, ""),
        };
        let (year, month, day) = at.date.numbers();
        let date = i64::from(year)
            .saturating_mul(10_000)
            .saturating_add(i64::from(month).saturating_mul(100))
            .saturating_add(i64::from(day));
        let mut context = vec![
            ("front_end".to_owned(), Value::new_entity_uid(self.uid(Type::FrontEnd, front_end))),
            ("minute".to_owned(), Value::new_long(at.minute)),
            ("weekday".to_owned(), Value::new_long(at.weekday)),
            ("date".to_owned(), Value::new_long(date)),
        ];
        for (name, of) in [("approved", Proof::Approval), ("verified", Proof::Verification)] {
            if action.proofs().contains(&of) {
                context.push((name.to_owned(), Value::new_bool(proof == of)));
            }
        }
        if matches!(action, Action::ReadHistory | Action::ReadReports) {
            context.push(("operators".to_owned(), Value::new_bool(asks.operators)));
        }
        if action == Action::ReadReports {
            context.push(("all_offices".to_owned(), Value::new_bool(asks.all_offices)));
        }
        let context = Context::from_pairs(context).map_err(|e| said(&e))?;
        let action = self.uid(Type::Action, action.text());
        let request = Request::new(who, action, resource, context, None).map_err(|e| said(&e))?;
        Ok((request, Entities::from_entities(entities, None).map_err(|e| said(&e))?))
    }
}

/// Verifications decided in one minute, by operator and front end.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<Minute>);

#[derive(Debug, Default)]
struct Minute {
    at: Option<Moment>,
    decided: HashMap<(TaxCode, Arc<str>), Arc<Decision>>,
}

impl Policy {
    /// Decides. What cannot be decided is not allowed (I7).
    pub fn decide(&self, question: &Question<'_>) -> Decision {
        let Some(of_action) = self.rules.of(question.action) else { return Decision::nothing_allows() };
        if question.card.is_none() && question.action.is_on_a_card() {
            return Decision::nothing_allows();
        }
        let (request, entities) = match self.types.request(question) {
            Ok(asked) => asked,
            Err(e) => {
                tracing::error!(e, "a question to the rules could not be put");
                return Decision::failed(format!("the question could not be put to the rules: {e}"));
            }
        };
        let response = Authorizer::new().is_authorized(&request, &of_action.set, &entities);
        let mut rules: Vec<_> = response.diagnostics().reason().map(ToString::to_string).collect();
        rules.sort();
        if let Some(e) = response.diagnostics().errors().next() {
            // A rule that fails, such as by an overflow, must not let through what it would have forbidden.
            tracing::warn!(%e, "a rule failed");
            let AuthorizationError::PolicyEvaluationError(failed) = e;
            let (rule, why) = (failed.policy_id(), failed.inner());
            return Decision::failed(format!("rule {rule} could not be evaluated: {why}"));
        }
        Decision::by(response.decision() == Cedar::Allow, rules)
    }

    /// [`Policy::decide`] for a verification, once a minute for each operator and front end.
    pub(super) fn decide_verification(
        &self,
        who: &TaxCode,
        front_end: &Arc<str>,
        question: &Question<'_>,
    ) -> Arc<Decision> {
        let key = (who.clone(), Arc::clone(front_end));
        let mut kept = self.kept.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.at != Some(question.at) || kept.decided.len() >= KEPT {
            kept.at = Some(question.at);
            kept.decided.clear();
        }
        if let Some(decision) = kept.decided.get(&key) {
            return Arc::clone(decision);
        }
        drop(kept);
        let decision = Arc::new(self.decide(question));
        let mut kept = self.kept.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.at == Some(question.at) {
            kept.decided.insert(key, Arc::clone(&decision));
        }
        decision
    }
}
