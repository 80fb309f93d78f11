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
    policy::{Action, Asks, CardFacts, Decision, Proof, Question},
};

pub(super) const HELP: &str = "\
Examples:
  sigillo policy explain policies --operator RSSMRA80A01H501U --action verify --front-end desk
  sigillo policy explain policies --operator RSSMRA80A01H501U --action read_reports --front-end desk --all-offices
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
    /// What is asked for: activate, approve, ask_approval, change_contact, look_up, read_consents, read_history, read_reports,
    /// record_consents, renew_cip, reprint, request_reader, resend_delivery, revoke, stock_readers, unlock or verify.
    #[arg(long, value_parser = super::action)]
    action: Action,
    /// Name of the caller, as in callers.toml.
    #[arg(long, value_name = "NAME")]
    front_end: String,
    /// Region of the card, three digits; every action but read_reports, stock_readers and verify needs it.
    #[arg(long, value_name = "NNN", value_parser = super::region, requires = "card_state")]
    card_region: Option<Region>,
    /// State of the card: registered, active, held or revoked.
    #[arg(long, value_name = "STATE", value_parser = super::state, requires = "card_region")]
    card_state: Option<String>,
    /// What the request names: approval (by a colleague) or, for a revocation, verification (of the holder's C.I.P.).
    #[arg(long, value_name = "PROOF", value_parser = super::proof)]
    proof: Option<Proof>,
    /// A history or a report that shows who acted.
    #[arg(long)]
    operators: bool,
    /// A report on more than the operator's own office.
    #[arg(long)]
    all_offices: bool,
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
    if args.card_region.is_none() && args.action.is_on_a_card() {
        return Err(Failure::config(
            "--card-region and --card-state: every action but read_reports, stock_readers and verify needs them",
        ));
    }
    let asks = Asks { operators: args.operators, all_offices: args.all_offices };
    super::check_asks(args.action, asks)
        .map_err(|e| Failure::config(format!("--operators, --all-offices: {e}")))?;
    if args.proof.is_some_and(|proof| !args.action.proofs().contains(&proof)) {
        return Err(Failure::config(format!("--proof: no such proof is named for {}", args.action.text())));
    }
    let calls = policy
        .caller_named(&args.front_end)
        .ok_or_else(|| Failure::config(format!("callers.toml has no caller \"{}\"", args.front_end)))?;
    let card = args.card_region.zip(args.card_state.as_deref());
    // Before any rule is asked.
    let unasked = |why: &str| Decision { failed: Some(why.to_owned()), ..Decision::by(false, Vec::new()) };
    let decision = match policy.operators().profile(&args.operator, at.date) {
        _ if !calls.may(args.action) => unasked("callers.toml does not give the front end this action"),
        _ if !(calls.forwards_operators() || calls.is_direct()) => {
            unasked("callers.toml does not let the front end forward operators (forwards_operators)")
        }
        None => unasked("operators.toml does not list the operator on this day"),
        Some(operator) => policy.decide(&Question {
            action: args.action,
            operator,
            front_end: &args.front_end,
            card: card.map(|(region, state)| CardFacts { region, state }),
            proof: args.proof.unwrap_or(Proof::None),
            asks,
            at,
        }),
    };
    let (allowed, rules) = (decision.allowed, &decision.rules);
    if args.json {
        super::line(
            out,
            serde_json::json!({ "allowed": allowed, "rules": rules, "reason": decision.why_not() }),
        )?;
    } else {
        super::line(out, &decision)?;
        for rule in policy.rules().filter(|rule| rules.contains(&rule.id)) {
            super::line(out, format_args!("{}, {}:\n{}", rule.id, rule.place(), rule.text))?;
        }
    }
    if allowed && !args.json {
        super::line(out, CONDITIONS)?;
    }
    if allowed { Ok(()) } else { Err(Failure::failed("not allowed")) }
}
