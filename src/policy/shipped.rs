//! What a set lacks, as the shipped one has it: a set from before a version that asks for more is told what to add.

use std::path::Path;

/// Files in which every key must be given, as they are shipped.
const FILES: [(&str, &str); 2] = [
    ("authority.toml", include_str!("../../policies/authority.toml")),
    ("trust.toml", include_str!("../../policies/trust.toml")),
];

/// What to do about a reason that a file is refused for; nothing where no key is missing.
pub(super) fn what_to_add(file: &Path, reason: &str) -> Option<String> {
    let key = reason.strip_prefix("missing field `")?.strip_suffix('`')?;
    let shipped = FILES.iter().find(|(name, _)| file.ends_with(name)).and_then(|(_, text)| of(text, key));
    Some(match shipped {
        Some(text) => {
            format!("add it, as decided by the security officer (policies/README.md); shipped is\n{text}")
        }
        None => "add it; policies/README.md says what it means".to_owned(),
    })
}

/// The lines of a key, or of the tables of this name; no comments.
fn of(text: &str, key: &str) -> Option<String> {
    let (line, table, inner) = (format!("{key} = "), format!("[{key}]"), format!("[{key}."));
    let mut found = Vec::new();
    let mut is_inside = false;
    for text in text.lines().filter(|text| !text.is_empty() && !text.starts_with('#')) {
        if text.starts_with('[') {
            is_inside = text == table || text.starts_with(&inner);
        }
        if is_inside || text.starts_with(&line) {
            found.push(text);
        }
    }
    (!found.is_empty()).then(|| found.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_and_tables_as_they_are_shipped() {
        let said = |file: &str, key: &str| {
            what_to_add(Path::new(file), &format!("missing field `{key}`")).unwrap_or_default()
        };
        let four_eyes = "shipped is\n[four_eyes]\nvalid_for_min = 15\nopen_per_operator = 5";
        assert!(said("set/authority.toml", "four_eyes").ends_with(four_eyes));
        assert!(said("set/authority.toml", "tick_ms").ends_with("shipped is\ntick_ms = 20"));
        let limits = said("set/authority.toml", "limits");
        for table in ["[limits.operator]\n", "[limits.office]\n", "[limits.front_end]\n", "wrong_guesses = {"]
        {
            assert!(limits.contains(table) && !limits.contains('#'), "{limits}");
        }
        assert!(said("set/trust.toml", "stale_crl_for_h").contains("shipped is\nstale_crl_for_h = 0"));
        assert!(said("set/operators.toml", "tax_code").contains("policies/README.md"));
        assert_eq!(what_to_add(Path::new("authority.toml"), "unknown field `x`"), None);
    }
}
