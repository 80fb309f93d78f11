//! `sigillo policy explain`: which rule decides.

use std::{io::Write, path::PathBuf};

use crate::{
    cli::Failure,
    clock::{Clock, SystemClock},
    domain::{
        date::{CivilDate, Moment},
        tax_code::TaxCode,
        team::Region,
    },
    policy::{Action, CardFacts, Decision, Proof, Question},
};

pub(super) const HELP: &str = "\
Examples:
  sigillo policy explain policies --operator RSSMRA80A01H501U --action verify --front-end desk
  sigillo policy explain policies --operator RSSMRA80A01H501U --action revoke --front-end desk \\
    --card-region 120 --card-state active --proof approval --at 2027-03-01T09:30

What the set alone cannot tell is not looked at: whether the operator's smart card is registered, how many requests there
were before, and whose card it is.

Exit codes: 0 allowed; 1 not allowed; 64 the set or an argument is refused.";

/// What the set alone cannot tell.
const CONDITIONS: &str =
    "if the operator acts with the registered smart card, within the limits, and not on a card of their own";

/// Arguments of `policy explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory of the set.
    directory: PathBuf,
    /// C.F. of the operator, as in operators.toml.
    #[arg(long, value_name = "C.F.")]
    operator: TaxCode,
    /// What is asked for: activate, approve, ask_approval, look_up, reprint, revoke or verify.
    #[arg(long, value_parser = super::action)]
    action: Action,
    /// Name of the caller, as in callers.toml.
    #[arg(long, value_name = "NAME")]
    front_end: String,
    /// Region of the card, three digits; every action but verify needs it.
    #[arg(long, value_name = "NNN", value_parser = super::region, requires = "card_state")]
    card_region: Option<Region>,
    /// State of the card: registered, active, held or revoked.
    #[arg(long, value_name = "STATE", value_parser = super::state, requires = "card_region")]
    card_state: Option<String>,
    /// What a revocation names: verification (of the holder's C.I.P.) or approval (by a colleague).
    #[arg(long, value_name = "PROOF", value_parser = super::proof)]
    proof: Option<Proof>,
    /// The moment in Italy, YYYY-MM-DDTHH:MM; now if not given.
    #[arg(long, value_parser = super::moment)]
    at: Option<Moment>,
    /// Writes JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, out: &mut impl Write) -> Result<(), Failure> {
    let policy = super::load(&args.directory)?;
    let now = || CivilDate::moment_in_italy(SystemClock::new().now_ms());
    let at = args.at.or_else(now).ok_or_else(|| Failure::failed("the clock is out of range"))?;
    if args.card_region.is_none() && args.action != Action::Verify {
        return Err(Failure::config("--card-region and --card-state: every action but verify needs them"));
    }
    if args.proof.is_some() && args.action != Action::Revoke {
        return Err(Failure::config("--proof: only a revocation names one"));
    }
    let calls = policy
        .caller_named(&args.front_end)
        .ok_or_else(|| Failure::config(format!("callers.toml has no caller \"{}\"", args.front_end)))?;
    let card = args.card_region.zip(args.card_state.as_deref());
    let (decision, why) = match policy.operators().profile(&args.operator, at.date) {
        _ if !calls.may(args.action) => (None, "callers.toml does not give the front end this action"),
        _ if !(calls.forwards_operators() || calls.is_direct()) => {
            (None, "callers.toml does not let the front end forward operators (forwards_operators)")
        }
        None => (None, "operators.toml does not list the operator on this day"),
        Some(operator) => {
            let decision = policy.decide(&Question {
                action: args.action,
                operator,
                front_end: &args.front_end,
                card: card.map(|(region, state)| CardFacts { region, state }),
                proof: args.proof.unwrap_or(Proof::None),
                at,
            });
            (Some(decision), "no rule allows it")
        }
    };
    let allowed = decision.as_ref().is_some_and(|decision| decision.allowed);
    let rules = decision.map(|decision: Decision| decision.rules).unwrap_or_default();
    if args.json {
        let answer = serde_json::json!({
            "allowed": allowed,
            "rules": rules,
            "reason": if rules.is_empty() { Some(why) } else { None },
        });
        super::line(out, answer)?;
    } else {
        super::line(out, if allowed { "allowed" } else { "not allowed" })?;
        for rule in policy.rules().filter(|rule| rules.contains(&rule.id)) {
            super::line(out, format_args!("by {}, {}:\n{}", rule.id, rule.place(), rule.text))?;
        }
        if rules.is_empty() {
            super::line(out, why)?;
        }
    }
    if allowed && !args.json {
        super::line(out, CONDITIONS)?;
    }
    if allowed { Ok(()) } else { Err(Failure::failed("not allowed")) }
}
