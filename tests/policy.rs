//! Policy sets: the shipped one is accepted, and each kind of mistake is refused with file, line and reason.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed test panics"
)]

#[path = "policy/broken.rs"]
mod broken;
#[path = "policy/commands.rs"]
mod commands;
#[path = "policy/hostile.rs"]
mod hostile;
#[path = "policy/rules.rs"]
mod rules;
#[path = "policy/texts.rs"]
mod texts;

use std::{
    fs,
    path::{Path, PathBuf},
};

use sigillo::{
    domain::{team::Region, template::CodeName},
    policy::Policy,
};

/// A copy of the shipped set.
fn copy() -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    let mut open = vec![(Path::new(env!("CARGO_MANIFEST_DIR")).join("policies"), to.path().to_owned())];
    while let Some((from, to)) = open.pop() {
        fs::create_dir_all(&to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            let copy = to.join(path.file_name().unwrap());
            if path.is_dir() {
                open.push((path, copy));
            } else {
                fs::copy(path, copy).unwrap();
            }
        }
    }
    to
}

fn edit(set: &Path, file: &str, from: &str, to: &str) -> PathBuf {
    let path = set.join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} has no {from:?}");
    fs::write(&path, text.replacen(from, to, 1)).unwrap();
    path
}

#[test]
fn the_shipped_set_is_accepted_and_its_regions_get_their_templates() {
    let policy = Policy::load(copy().path()).unwrap();
    let template = |region: &str| policy.template_for(&region.parse::<Region>().unwrap());
    for (region, id, has_cip) in [
        ("030", "IT-030/1", false),
        ("010", "IT-010/1", true),
        ("042", "IT-042/1", true),
        ("120", "IT/1", true),
    ] {
        assert_eq!(template(region).id().to_string(), id);
        assert_eq!(template(region).shape(CodeName::Cip).is_some(), has_cip, "{region}");
    }
    assert_eq!(policy.default_template().id().to_string(), "IT/1");
}

#[test]
fn the_digest_is_of_every_file_but_the_couriers() {
    let set = copy();
    let digest = |set: &Path| Policy::load(set).unwrap().digest().to_string();
    let before = digest(set.path());
    assert_eq!(before.len(), 64);
    edit(set.path(), "courier/messages/activation.txt", "Gentile", "Gentilissima");
    assert_eq!(digest(set.path()), before, "the courier's files are its own policy");
    edit(set.path(), "templates/trento.toml", "# Trento", "# Provincia di Trento");
    let after = digest(set.path());
    assert_ne!(after, before, "a comment is read by people who sign");
    fs::rename(set.path().join("templates/trento.toml"), set.path().join("templates/tn.toml")).unwrap();
    assert_ne!(digest(set.path()), after, "names count");
}

#[test]
fn each_mistake_is_refused_with_its_file_and_reason() {
    let print = "1".repeat(64);
    for (file, from, to, line, reason) in [
        ("authority.toml", "tick_ms = 20", "tick = 20", true, "unknown field"),
        ("authority.toml", "tick_ms = 20", "", true, "missing field `tick_ms`: add it"),
        (
            "authority.toml",
            "open_per_operator = 5",
            "",
            true,
            "missing field `open_per_operator`: add it, as decided by the security officer (policies/README.md); shipped \
             is\nopen_per_operator = 5",
        ),
        (
            "authority.toml",
            "tick_ms = 20",
            "tick_ms = 0",
            false,
            "verification.tick_ms = 0: must be 1 to 1000",
        ),
        ("authority.toml", "tick_ms = 20", "tick_ms = \"20\"", true, "invalid type"),
        ("authority.toml", "decoys = 4096", "decoys = 2", false, "verification.decoys = 2"),
        ("authority.toml", "accepted_for_s = 300", "accepted_for_s = 86400", false, "accepted_for_s"),
        ("authority.toml", "keep_h = 24", "keep_h = 0", false, "idempotency.keep_h"),
        ("authority.toml", "attempts = 8", "attempts = 0", false, "delivery.attempts"),
        ("authority.toml", "back_off_most_s = 3600", "back_off_most_s = 3", false, "must be 30 to 86400"),
        ("authority.toml", "\"email\", \"sms\"", "\"email\", \"fax\"", false, "there is no \"fax\""),
        ("authority.toml", "\"email\", \"sms\"", "\"sms\", \"sms\"", false, "\"sms\" is given twice"),
        ("authority.toml", "[\"email\", \"sms\"]", "[]", false, "delivery.channels: at least one channel"),
        ("authority.toml", "channels = [\"email\", \"sms\"]", "", true, "missing field `channels`"),
        ("authority.toml", "keep_days = 2192", "keep_days = 0", false, "applicants.keep_days"),
        (
            "authority.toml",
            "documents_for_life = [\"pension_book\"",
            "documents_for_life = [\"pension\"",
            false,
            "\"pension\" is not in applicants.documents",
        ),
        ("authority.toml", "\"passport\"", "\"Passport\"", false, "is not 1 to 40 of a-z and _"),
        (
            "authority.toml",
            "proxies = [\"curator\", \"guardian\", \"parental_authority\"]",
            "proxies = [\"uncle\"]",
            false,
            "applicants.consents.proxies: \"uncle\" must be",
        ),
        (
            "authority.toml",
            "no_parents_in = [\"042\"]\n\n[applicants.cip_renewal]",
            "no_parents_in = [\"043\"]\n\n[applicants.cip_renewal]",
            false,
            "applicants.activation.no_parents_in: no such region",
        ),
        ("authority.toml", "most = 3", "most = 21", false, "reprint.most = 21: must be 1 to 20"),
        ("authority.toml", "per_days = 30", "", true, "missing field `per_days`: add it"),
        ("authority.toml", "\"lost_paper\"", "\"Lost paper\"", false, "is not 1 to 40 of a-z and _"),
        ("authority.toml", "\"stolen\"", "\"renewed\"", false, "an operator cannot give \"renewed\""),
        ("authority.toml", "\"stolen\"", "\"bored\"", false, "an operator cannot give \"bored\""),
        ("authority.toml", "default = \"IT/1\"", "default = \"IT/2\"", false, "template IT/2 is chosen"),
        ("authority.toml", "\"042\" =", "\"42\" =", false, "templates.region.42"),
        (
            "authority.toml",
            "\"042\" =",
            "\"420\" =",
            false,
            "templates.region.420: no such region; there are 010, ",
        ),
        ("authority.toml", "[templates]", "[templates", true, ""),
        ("authority.toml", "[limits.office]", "[limits.offices]", true, "unknown field"),
        ("authority.toml", "wrong_guesses = {", "wrong = {", true, "unknown field"),
        (
            "authority.toml",
            "{ per_minute = 5, per_hour = 15, per_day = 40 }",
            "{ per_minute = 0, per_hour = 15, per_day = 40 }",
            false,
            "limits.operator.wrong_guesses.per_minute = 0",
        ),
        (
            "authority.toml",
            "{ per_minute = 5, per_hour = 15, per_day = 40 }",
            "{ per_minute = 5, per_hour = 15, per_day = 14 }",
            false,
            "limits.operator.wrong_guesses.per_day = 14: must be 15",
        ),
        (
            "authority.toml",
            "{ per_minute = 10, per_hour = 60, per_day = 300 }",
            "{ per_minute = 10, per_hour = 600, per_day = 600 }",
            false,
            "one operator could lock out the office",
        ),
        (
            "authority.toml",
            "{ per_minute = 6000,",
            "{ per_minute = 300,",
            false,
            "limits.front_end.look_ups.per_minute is not above limits.office.look_ups.per_minute",
        ),
        ("callers.toml", &print, "1111", false, "64 hexadecimal digits"),
        ("callers.toml", "name = \"desk\"", "name = \"bureau\"", false, "two callers are named \"bureau\""),
        (
            "callers.toml",
            "actions = [\"courier\"]",
            "actions = [\"courier\", \"activate\"]",
            false,
            "split knowledge",
        ),
        ("callers.toml", "\"read_audit\"]", "\"everything\"]", true, "unknown variant"),
        ("trust.toml", "[\"1.3.76.16.2.1\"]", "[]", false, "certificates.policies: at least one"),
        ("trust.toml", "1.3.76.16.2.1", "CNS", false, "not an object identifier"),
        ("trust.toml", "1.3.76.16.2.1", "1.3.076.16.2.1", false, "not an object identifier"),
        ("trust.toml", "stale_crl_for_h = 0", "", true, "missing field `stale_crl_for_h`"),
        ("trust.toml", "stale_crl_for_h = 0", "stale_crl_for_h = 169", false, "must be 0 to 168"),
        ("trust.toml", "crl_max_age_h = 168", "crl_max_age_h = 0", false, "must be 1 to 2160"),
        ("trust.toml", "remember = 100000", "remember = 1000001", false, "must be 0 to 1000000"),
        ("trust.toml", "remember = 100000", "remember = 100000\nocsp = true", true, "unknown field"),
        ("templates/trento.toml", "id = \"IT-042/1\"", "id = \"IT-010/1\"", false, "IT-010/1"),
        ("templates/trento.toml", "second = 3", "second = 9", false, "pin"),
        ("templates/trento.toml", "lifetime = 100", "lifetime = 101", false, "lifetime"),
        ("templates/trento.toml", "in_a_row = 5", "", true, "missing field `in_a_row`"),
        ("templates/trento.toml", "[cip]", "[cup]", true, "unknown field"),
        ("authority.toml", "[\"free\", \"sale\"]", "[\"gift\"]", false, "readers.kinds: \"gift\" must be"),
        ("authority.toml", "[\"free\", \"sale\"]", "[\"sale\", \"sale\"]", false, "a kind is given twice"),
        ("authority.toml", "price_cents = 1000", "price_cents = 100001", false, "readers.price_cents"),
        (
            "authority.toml",
            "per_days = 2192",
            "per_days = 0",
            false,
            "readers.per_days = 0: must be 1 to 36500",
        ),
        ("authority.toml", "household = false", "", true, "missing field `household`: add it"),
        ("consents.toml", "version = 1", "version = 2", false, "count from 1"),
        ("consents.toml", "asked_from = \"2015-11-26\"", "asked = 1", true, "unknown field"),
        ("callers.toml", "forwards_citizens = true", "", false, "takes forwards_citizens = true"),
    ] {
        let set = copy();
        let path = edit(set.path(), file, from, to);
        let said = Policy::load(set.path()).unwrap_err().to_string();
        assert!(said.contains(reason), "{said:?} should say {reason:?}");
        assert!(
            said.contains(path.parent().unwrap().to_str().unwrap()),
            "{said:?} should name {}",
            path.display()
        );
        assert_eq!(said.contains(", line "), line, "{said:?}");
    }
}

#[test]
fn missing_and_foreign_files_are_refused() {
    for file in ["authority.toml", "callers.toml", "consents.toml", "trust.toml", "templates/trento.toml"] {
        let set = copy();
        fs::remove_file(set.path().join(file)).unwrap();
        Policy::load(set.path()).unwrap_err();
    }
    let set = copy();
    fs::write(set.path().join("templates/notes.txt"), "x").unwrap();
    assert!(Policy::load(set.path()).unwrap_err().to_string().contains("not a file of a policy set"));
    let set = copy();
    fs::write(set.path().join("authority.toml"), [0xff, 0xfe]).unwrap();
    Policy::load(set.path()).unwrap_err();
}

#[test]
fn templates_for_tests_need_to_be_asked_for() {
    let set = copy();
    edit(set.path(), "templates/trento.toml", "id = \"IT-042/1\"", "id = \"IT-042/1\"\ntest_only = true");
    let said = Policy::load(set.path()).unwrap_err().to_string();
    assert!(said.contains("IT-042/1 is for tests only"), "{said}");
    Policy::load_with_test_templates(set.path()).unwrap();
}
