//! Reading a policy directory: everything or nothing, with file, line and reason.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use aws_lc_rs::digest::{Context, SHA256};
use serde::de::DeserializeOwned;

use super::{
    Policy,
    callers::RawCallers,
    decide::{Kept, Types},
    officers::RawOfficers,
    operators::RawOperators,
    parameters::RawParameters,
    rules::Rules,
    trust::RawTrust,
};
use crate::domain::{
    officers::Signature,
    template::{RawTemplate, Template, TemplateId},
};

/// Why a policy set was refused.
#[derive(Debug, thiserror::Error)]
#[error("policy {}{}: {reason}", file.display(), line.map(|n| format!(", line {n}")).unwrap_or_default())]
pub struct BadPolicy {
    /// The file or directory at fault.
    pub file: PathBuf,
    /// Its line, from 1, where one is at fault.
    pub line: Option<usize>,
    /// What is wrong with it.
    pub reason: String,
}

fn bad(file: &Path, reason: impl Into<String>) -> BadPolicy {
    BadPolicy { file: file.into(), line: None, reason: reason.into() }
}

/// Where signatures lie.
const SIGNATURES: &str = "signatures/";

/// A file of a set.
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

impl File {
    /// The line, from 1, that holds the byte at `offset`.
    pub(super) fn line_at(&self, offset: usize) -> usize {
        self.text.bytes().take(offset).filter(|b| *b == b'\n').count().saturating_add(1)
    }
}

/// Lies in a directory while its set is being replaced.
pub const MARKER: &str = ".activating";

/// The names of a set's files: everything in the directory but the courier's own.
pub(super) fn names(directory: &Path) -> Result<Vec<String>, BadPolicy> {
    let mut found = Vec::new();
    let mut open = vec![(directory.to_owned(), String::new())];
    while let Some((at, prefix)) = open.pop() {
        let entries = fs::read_dir(&at).map_err(|e| bad(&at, e.to_string()))?;
        for entry in entries {
            let path = entry.map_err(|e| bad(&at, e.to_string()))?.path();
            let Some(name) = path.file_name().and_then(|n| n.to_str()) else {
                return Err(bad(&path, "the name is not UTF-8"));
            };
            let name = format!("{prefix}{name}");
            if !path.is_dir() {
                found.push(name);
            } else if name != "courier" {
                open.push((path, format!("{name}/")));
            }
        }
    }
    Ok(found)
}

/// The files of a set by name.
fn read(directory: &Path) -> Result<BTreeMap<String, File>, BadPolicy> {
    let mut found = BTreeMap::new();
    for name in names(directory)? {
        let path = directory.join(&name);
        if name == MARKER {
            return Err(bad(directory, "an activation broke off: run `sigillo policy activate` again"));
        }
        let text = fs::read_to_string(&path).map_err(|e| bad(&path, e.to_string()))?;
        found.insert(name, File { path, text });
    }
    Ok(found)
}

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
fn signatures(files: &mut BTreeMap<String, File>) -> Result<Vec<Signature>, BadPolicy> {
    let of_set = files.split_off(SIGNATURES);
    let mut signatures = Vec::new();
    for (name, file) in of_set {
        if !name.starts_with(SIGNATURES) {
            files.insert(name, file);
        } else if name.ends_with(".sig") {
            let signature = file.text.parse::<Signature>();
            signatures.push(signature.map_err(|e| bad(&file.path, e.to_string()))?);
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
        reason: e.message().to_owned(),
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
            "authority.toml" | "callers.toml" | "officers.toml" | "operators.toml" | "trust.toml"
        ) || name.ends_with(".md")
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
        let file = |name: &str| files.get(name).ok_or_else(|| bad(&directory.join(name), "missing"));
        let templates = templates(&files)?;
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
            digest: Arc::from(digest_of(&files)),
            kept: Kept::default(),
            officers,
            operators,
            parameters,
            rules,
            signatures,
            templates,
            trust,
            types: Types::new().map_err(|e| bad(directory, e))?,
        })
    }
}
