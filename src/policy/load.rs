//! Reading a policy directory: everything or nothing, with file, line and reason.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use aws_lc_rs::digest::{Context, SHA256};
use serde::de::DeserializeOwned;

use super::{
    Policy,
    callers::RawCallers,
    consents::RawConsents,
    decide::{Kept, Types},
    files::{BadPolicy, File, bad, read},
    officers::RawOfficers,
    operators::RawOperators,
    parameters::RawParameters,
    rules::Rules,
    shipped::what_to_add,
    texts::Texts,
    trust::RawTrust,
};
use crate::domain::{
    officers::{FromFile, Signature},
    template::{RawTemplate, Template, TemplateId},
};

/// Where signatures lie.
const SIGNATURES: &str = "signatures/";

/// SHA-256 of a set, 64 hexadecimal digits: over size, name and bytes of each file in the order of names.
fn digest_of(files: &BTreeMap<String, File>) -> String {
    let mut context = Context::new(&SHA256);
    context.update(b"sigillo policy set v1\n");
    for (name, file) in files {
        context.update(format!("{} {name}\n", file.text.len()).as_bytes());
        context.update(file.text.as_bytes());
    }
    hex::encode(context.finish())
}

/// Takes the officers' signatures out: `signatures/NAME.sig`, one each.
fn signatures(files: &mut BTreeMap<String, File>) -> Result<Vec<FromFile>, BadPolicy> {
    let of_set = files.split_off(SIGNATURES);
    let mut signatures = Vec::new();
    for (name, file) in of_set {
        if !name.starts_with(SIGNATURES) {
            files.insert(name, file);
        } else if name.ends_with(".sig") {
            let signature = file.text.parse::<Signature>().map_err(|e| bad(&file.path, e.to_string()))?;
            signatures.push((name, signature));
        } else {
            return Err(bad(&file.path, "not a signature: their files end in .sig"));
        }
    }
    Ok(signatures)
}

/// The digest of the set that is there now, whatever it says.
pub(super) fn digest(directory: &Path) -> Result<String, BadPolicy> {
    let mut files = read(directory)?;
    drop(signatures(&mut files)?);
    Ok(digest_of(&files))
}

fn parse<T: DeserializeOwned>(file: &File) -> Result<T, BadPolicy> {
    toml::from_str(&file.text).map_err(|e| BadPolicy {
        file: file.path.clone(),
        line: e.span().map(|s| file.line_at(s.start)),
        reason: match what_to_add(&file.path, e.message()) {
            Some(add) => format!("{}: {add}", e.message()),
            None => e.message().to_owned(),
        },
    })
}

/// Whether a file holds rules, what they may look at, or what they are expected to decide.
fn is_of_rules(name: &str) -> bool {
    name.strip_prefix("rules/").is_some_and(|name| {
        matches!(name, "schema.cedarschema" | "expected.toml") || name.ends_with(".cedar")
    })
}

fn templates(files: &BTreeMap<String, File>) -> Result<BTreeMap<TemplateId, Template>, BadPolicy> {
    let mut templates = BTreeMap::new();
    for (name, file) in files {
        if matches!(
            name.as_str(),
            "authority.toml"
                | "callers.toml"
                | "consents.toml"
                | "officers.toml"
                | "operators.toml"
                | "trust.toml"
        ) || name.ends_with(".md")
            || name.starts_with("texts/")
            || is_of_rules(name)
        {
            continue;
        }
        if !(name.starts_with("templates/") && name.ends_with(".toml")) {
            return Err(bad(&file.path, "not a file of a policy set"));
        }
        let template =
            Template::try_from(parse::<RawTemplate>(file)?).map_err(|e| bad(&file.path, e.to_string()))?;
        let id = template.id().clone();
        if templates.insert(id.clone(), template).is_some() {
            return Err(bad(&file.path, format!("another file has template {id} too")));
        }
    }
    Ok(templates)
}

impl Policy {
    /// Reads and checks the set in `directory`. Templates that only tests may have are refused.
    pub fn load(directory: &Path) -> Result<Self, BadPolicy> {
        let policy = Self::load_with_test_templates(directory)?;
        if let Some(template) = policy.templates().find(|template| template.is_test_only()) {
            let reason = format!("template {} is for tests only (test_only = true)", template.id());
            return Err(bad(&directory.join("templates"), reason));
        }
        Ok(policy)
    }

    /// As [`Policy::load`], with templates whose codes fit no real card.
    pub fn load_with_test_templates(directory: &Path) -> Result<Self, BadPolicy> {
        let mut files = read(directory)?;
        let signatures = signatures(&mut files)?;
        let file = |name: &str| {
            files.get(name).ok_or_else(|| {
                bad(&directory.join(name), "missing: every set has this file; the shipped one is an example")
            })
        };
        let templates = templates(&files)?;
        let texts = Texts::take(&files)?;
        let at = file("authority.toml")?;
        let parameters = parse::<RawParameters>(at)?.validate().map_err(|e| bad(&at.path, e))?;
        if let Some(missing) = parameters.chosen().find(|id| !templates.contains_key(*id)) {
            return Err(bad(
                &at.path,
                format!("template {missing} is chosen but templates/ has no such file"),
            ));
        }
        let at = file("callers.toml")?;
        let callers = parse::<RawCallers>(at)?.validate().map_err(|e| bad(&at.path, e))?;
        let at = file("consents.toml")?;
        let consents = parse::<RawConsents>(at)?.validate().map_err(|e| bad(&at.path, e))?;
        let at = file("officers.toml")?;
        let officers = parse::<RawOfficers>(at)?.validate().map_err(|e| bad(&at.path, e))?;
        let at = file("trust.toml")?;
        let trust = parse::<RawTrust>(at)?.validate().map_err(|e| bad(&at.path, e))?;
        let at = file("operators.toml")?;
        let operators = parse::<RawOperators>(at)?.validate().map_err(|e| BadPolicy {
            file: at.path.clone(),
            line: Some(at.line_at(e.offset)),
            reason: e.reason,
        })?;
        // The rules' own messages name this file, which is missed before any rule is read.
        file("rules/schema.cedarschema")?;
        let rules = Rules::load(&files, &operators, at, &callers)?;
        Ok(Self {
            callers,
            consents,
            digest: Arc::from(digest_of(&files)),
            kept: Kept::default(),
            officers,
            operators,
            parameters,
            rules,
            signatures,
            templates,
            texts,
            trust,
            types: Types::new().map_err(|e| bad(directory, e))?,
        })
    }
}
