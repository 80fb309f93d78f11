//! What a decision by the rules costs, with 100,000 operators and 200 rules, beside cryptography of the same run.
#![expect(clippy::print_stdout, reason = "the figures are what this program is for")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair},
};
use clap::Parser;
use sigillo::{
    clock::{Clock, SystemClock},
    domain::{
        date::{CivilDate, Moment},
        fictional,
        tax_code::TaxCode,
        team::Region,
    },
    policy::{Action, CardFacts, OPERATORS_ACTIONS, Policy, Proof, act},
};

/// Cost of a decision with a large policy set.
#[derive(Debug, Parser)]
#[command(after_help = "\
Example:
  cargo run --release -p sigillo-bench --bin decisions -- --policies policies

The set is the shipped one with so many operators and rules more, spread evenly over the actions. `decided`: a permit and
its decision on a card, nothing remembered. `remembered`: a permit for a verification, as in every request but the
first of a minute.")]
struct Arguments {
    /// The shipped policy set.
    #[arg(long, default_value = "policies")]
    policies: PathBuf,
    /// Directory for the large set; must not exist, and is removed at the end.
    #[arg(long, default_value = "bench-policies")]
    at: PathBuf,
    /// Operators.
    #[arg(long, default_value_t = 100_000)]
    operators: usize,
    /// Rules.
    #[arg(long, default_value_t = 200)]
    rules: usize,
    /// How often each of the things measured is done.
    #[arg(long, default_value_t = 20_000)]
    rounds: u32,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.at.exists() {
        println!("{} is there already", arguments.at.display());
        return ExitCode::FAILURE;
    }
    let result = run(&arguments);
    let removed = fs::remove_dir_all(&arguments.at).map_err(|e| e.to_string());
    match result.and(removed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("no figures: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Copies a directory but the courier's own files.
fn copy(from: &Path, to: &Path) -> Result<(), std::io::Error> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if !entry.file_type()?.is_dir() {
            fs::copy(entry.path(), target)?;
        } else if entry.file_name() != "courier" {
            copy(&entry.path(), &target)?;
        }
    }
    Ok(())
}

/// Different C.F.s of nobody.
fn people(count: usize) -> Vec<TaxCode> {
    let region: Vec<Region> = Region::KNOWN.iter().map(|(region, _)| *region).take(1).collect();
    let drawn = u64::try_from(count).unwrap_or(u64::MAX).saturating_mul(2);
    let mut known = BTreeSet::new();
    let codes = fictional::cards(7, drawn, &region).map(|card| card.tax_code);
    codes.filter(|code| known.insert(code.clone())).take(count).collect()
}

/// Writes the large set.
fn write(arguments: &Arguments, who: &[TaxCode]) -> Result<(), std::io::Error> {
    copy(&arguments.policies, &arguments.at)?;
    let file = arguments.at.join("operators.toml");
    let mut text = fs::read_to_string(&file)?;
    for code in who {
        text += &format!(
            "[[operator]]\ntax_code = \"{}\"\noffice = \"example-office\"\nroles = [\"counter_operator\"]\n\
             valid_from = \"2020-01-01\"\nvalid_to = \"2099-12-31\"\n",
            code.as_str()
        );
    }
    fs::write(&file, text)?;
    let shipped = 3;
    let mut rules = String::new();
    for (n, action) in (shipped..arguments.rules).zip(OPERATORS_ACTIONS.iter().cycle()) {
        // A role whose shipped rule for the action has a condition, or that has none: else the set is refused.
        let always = matches!(action, Action::LookUp | Action::StockReaders);
        let role = if always { "counter_operator" } else { "supervisor" };
        rules += &format!(
            "@id(\"bench_{n}\") permit (principal in Role::\"{role}\", action == Action::\"{}\", resource)\n\
             when {{ context.minute > {n} && principal.regions.contains(Region::\"010\") }};\n",
            action.text()
        );
    }
    fs::write(arguments.at.join("rules/bench.cedar"), rules)
}

/// Microseconds for each of `rounds`.
fn each(
    clock: &SystemClock,
    rounds: u32,
    mut act: impl FnMut(usize) -> Result<(), String>,
) -> Result<f64, String> {
    let before = clock.uptime();
    for n in 0..rounds {
        act(usize::try_from(n).unwrap_or(0))?;
    }
    Ok(micros(clock.uptime().saturating_sub(before)) / f64::from(rounds.max(1)))
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let clock = SystemClock::new();
    let who = people(arguments.operators);
    write(arguments, &who).map_err(|e| e.to_string())?;
    let before = clock.uptime();
    let policy = Arc::new(Policy::load(&arguments.at).map_err(|e| e.to_string())?);
    let loading = clock.uptime().saturating_sub(before);
    println!(
        "load           {:.2} s, {} operators, {} rules",
        loading.as_secs_f64(),
        who.len(),
        policy.rules().count()
    );

    let at: Moment = CivilDate::moment_in_italy(clock.now_ms()).ok_or("the clock is out of range")?;
    let desk = policy.caller_named("desk").ok_or("callers.toml has no desk")?;
    let card = CardFacts { region: "120".parse().map_err(|_| "region")?, state: "active" };
    let operator = |n: usize| who.get(n.checked_rem(who.len()).unwrap_or(0));
    let decided = each(&clock, arguments.rounds, |n| {
        let permit = policy.permit::<act::Reprint>(desk, operator(n), at).map_err(|e| e.to_string())?;
        permit.on_card(card, Proof::None).map(drop).map_err(|e| e.to_string())
    })?;
    let remembered = each(&clock, arguments.rounds, |n| {
        let few = n.checked_rem(100).unwrap_or(0);
        policy.permit::<act::Verify>(desk, operator(few), at).map(drop).map_err(|e| e.to_string())
    })?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);
    let mac = each(&clock, arguments.rounds, |n| {
        std::hint::black_box(hmac::sign(&key, &n.to_be_bytes()));
        Ok(())
    })?;
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(|e| e.to_string())?;
    let signature = each(&clock, arguments.rounds, |n| {
        std::hint::black_box(pair.sign(&random, &n.to_be_bytes()).map_err(|e| e.to_string())?);
        Ok(())
    })?;
    for (name, cost) in [
        ("decided", decided),
        ("remembered", remembered),
        ("HMAC-SHA-256", mac),
        ("P-256 signature", signature),
    ] {
        println!("{name:15} {cost:8.2} us, {:.2} of a signature", cost / signature);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_large_set_is_one_that_is_accepted() {
        let at = std::env::temp_dir().join(format!("sigillo-decisions-{}", std::process::id()));
        let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies");
        // As many rules as there are actions, and some.
        let arguments = Arguments { policies, at: at.clone(), operators: 3, rules: 60, rounds: 1 };
        write(&arguments, &people(arguments.operators)).unwrap();
        let policy = Policy::load(&at);
        fs::remove_dir_all(&at).unwrap();
        assert!(policy.unwrap().rules().count() > 60);
    }
}
