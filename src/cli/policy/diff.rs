//! `sigillo policy diff`: what a new set changes.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use crate::{
    cli::Failure,
    policy::{Directory, Policy, Profile},
};

pub(super) const HELP: &str = "\
Examples:
  sigillo policy diff policies policies.new

Exit codes: 0 done, whether or not something changes; 64 a set is refused.";

/// Arguments of `policy diff`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory of the set in force.
    old: PathBuf,
    /// Directory of the new set.
    new: PathBuf,
    /// Writes JSON.
    #[arg(long)]
    json: bool,
}

type Texts = BTreeMap<String, String>;

/// Keys of a TOML file with their values, lists of tables by their place.
fn flatten(prefix: &str, value: &toml::Value, into: &mut Texts) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                flatten(&format!("{prefix}.{key}"), value, into);
            }
        }
        toml::Value::Array(list) if list.iter().any(toml::Value::is_table) => {
            for (n, value) in list.iter().enumerate() {
                flatten(&format!("{prefix}[{n}]"), value, into);
            }
        }
        toml::Value::Array(_)
        | toml::Value::String(_)
        | toml::Value::Integer(_)
        | toml::Value::Float(_)
        | toml::Value::Boolean(_)
        | toml::Value::Datetime(_) => {
            into.insert(prefix.to_owned(), serde_json::to_string(value).unwrap_or_default());
        }
    }
}

/// Every key of every TOML file of the set, wherever it lies, but the operators and the table.
fn parameters(directory: &Path) -> Result<Texts, Failure> {
    let mut found = Texts::new();
    for file in Directory::names(directory).map_err(Failure::config)? {
        let name = file.to_string_lossy();
        if matches!(&*name, "operators.toml" | super::table::FILE) || !name.ends_with(".toml") {
            continue;
        }
        let text = fs::read_to_string(directory.join(&file)).map_err(Failure::config)?;
        let table: toml::Table = text.parse().map_err(Failure::config)?;
        flatten(&name, &toml::Value::Table(table), &mut found);
    }
    Ok(found)
}

fn rules(policy: &Policy) -> Texts {
    policy.rules().map(|rule| (rule.id.clone(), rule.text.clone())).collect()
}

fn operators(policy: &Policy) -> Texts {
    let all = policy.operators().iter();
    let text = all.map(|(code, Profile { office, roles, regions }, valid)| {
        let roles: Vec<_> = roles.iter().map(String::as_str).collect();
        let regions: Vec<_> = regions.iter().map(ToString::to_string).collect();
        let (roles, regions) = (roles.join(", "), regions.join(", "));
        let (first, last) = (valid.start(), valid.end());
        let said =
            format!("office {office}; roles {roles}; regions {regions}; from {first} to {last} inclusive");
        (code.as_str().to_owned(), said)
    });
    text.collect()
}

/// Key, what it was, what it is.
type Change = (String, Option<String>, Option<String>);

fn changes(old: &Texts, new: &Texts) -> Vec<Change> {
    let keys: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let change = |key: &String| (key.clone(), old.get(key).cloned(), new.get(key).cloned());
    keys.into_iter().map(change).filter(|(_, was, is)| was != is).collect()
}

pub(super) fn run(args: &Args, out: &mut impl Write) -> Result<(), Failure> {
    let (old, new) = (super::load(&args.old)?, super::load(&args.new)?);
    let mut decisions = Vec::new();
    for row in super::table::read(&args.new, &new)? {
        let (was, is) = (row.decide(&old).to_string(), row.decide(&new).to_string());
        if was != is {
            decisions.push((format!("expected.toml line {}", row.line), Some(was), Some(is)));
        }
    }
    let found = [
        ("parameters", changes(&parameters(&args.old)?, &parameters(&args.new)?)),
        ("rules", changes(&rules(&old), &rules(&new))),
        ("operators", changes(&operators(&old), &operators(&new))),
        ("decisions", decisions),
    ];
    if args.json {
        let list = |changes: &[Change]| -> Vec<_> {
            let one = |(key, was, is): &Change| serde_json::json!({"key": key, "old": was, "new": is});
            changes.iter().map(one).collect()
        };
        let all: serde_json::Map<_, _> =
            found.iter().map(|(name, changes)| ((*name).to_owned(), list(changes).into())).collect();
        return super::line(out, serde_json::Value::Object(all));
    }
    for (name, changes) in &found {
        super::line(out, format_args!("{name}: {} changed", changes.len()))?;
        for (key, was, is) in changes {
            if let Some(was) = was {
                super::line(out, format_args!("- {key}: {was}"))?;
            }
            if let Some(is) = is {
                super::line(out, format_args!("+ {key}: {is}"))?;
            }
        }
    }
    Ok(())
}
