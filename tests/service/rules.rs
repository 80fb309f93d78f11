//! A policy directory: the shipped one with a second counter, fewer decoys and templates that tests need.

#[path = "../support/limits.rs"]
pub(crate) mod limits;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use sigillo::{
    domain::{fictional, in_force::Signing, team::Region},
    policy::{Directory, Policy},
};
use tempfile::TempDir;

use crate::people::OPERATOR;

/// Fingerprints of the shipped callers, and of a second counter.
pub(crate) const BUREAU: [u8; 32] = [0x11; 32];
pub(crate) const DESK: [u8; 32] = [0x22; 32];
pub(crate) const COURIER: [u8; 32] = [0x33; 32];
pub(crate) const AUDITOR: [u8; 32] = [0x44; 32];
pub(crate) const OTHER_DESK: [u8; 32] = [0x55; 32];
pub(crate) const PORTAL: [u8; 32] = [0x88; 32];

/// A region of the shipped default template: C.I.P. of 4 and 4 digits, five tries.
pub(crate) const LAZIO: &str = "120";
/// Has a template without a C.I.P.
pub(crate) const LOMBARDIA: &str = "030";
/// Here: a whole C.I.P. on paper, nothing of it sent.
pub(crate) const MARCHE: &str = "110";
/// Here: three tries in a row, seven in a card's life.
pub(crate) const SICILIA: &str = "190";
/// Here: parts of 20 digits, so that none of them occurs anywhere by chance.
pub(crate) const SARDEGNA: &str = "200";

const OTHER_CALLER: &str = r#"
[[caller]]
name = "other-desk"
certificate_sha256 = "5555555555555555555555555555555555555555555555555555555555555555"
actions = [
    "register_operator", "look_up", "activate", "record_consents", "read_consents", "reprint", "verify", "revoke",
    "request_reader", "stock_readers", "unlock", "renew_cip", "ask_approval",
    "approve", "read_delivery", "resend_delivery", "change_contact",
    "read_history", "read_reports",
]
"#;

const CHOICE: &str = r#"
"110" = "PAPER/1"
"190" = "SHORT/1"
"200" = "LONG/1"
"#;

/// A directory with a policy set, gone with the value.
pub(crate) struct Rules {
    at: TempDir,
    /// Whether officers have to sign.
    pub(crate) signing: Signing,
}

impl Rules {
    pub(crate) fn new() -> Self {
        let rules = Self { at: tempfile::tempdir().unwrap(), signing: Signing::Waived };
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
        fs::create_dir(rules.at.path().join("templates")).unwrap();
        for name in [
            "authority.toml",
            "callers.toml",
            "consents.toml",
            "officers.toml",
            "operators.toml",
            "trust.toml",
        ] {
            fs::copy(shipped.join(name), rules.path(name)).unwrap();
        }
        for entry in fs::read_dir(shipped.join("templates")).unwrap() {
            let from = entry.unwrap().path();
            fs::copy(&from, rules.at.path().join("templates").join(from.file_name().unwrap())).unwrap();
        }
        fs::create_dir(rules.path("rules")).unwrap();
        for name in ["rules/operators.cedar", "rules/schema.cedarschema"] {
            fs::copy(shipped.join(name), rules.path(name)).unwrap();
        }
        rules.append("operators.toml", &operators());
        let parameters = fs::read_to_string(rules.path("authority.toml")).unwrap();
        fs::write(rules.path("authority.toml"), limits::generous(&parameters)).unwrap();
        rules.edit("authority.toml", "decoys = 4096", "decoys = 32");
        rules.append("authority.toml", CHOICE);
        rules.append("callers.toml", OTHER_CALLER);
        rules.template("paper", &template("PAPER/1", false, [(2, 3), (2, 6), (6, 0)], (5, 100)));
        rules.template("short", &template("SHORT/1", false, [(2, 3), (2, 6), (4, 4)], (3, 7)));
        rules.template("long", &template("LONG/1", true, [(20, 20); 3], (5, 100)));
        rules
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.at.path().join(name)
    }

    pub(crate) fn directory(&self) -> Directory {
        Directory::new(self.at.path().to_owned(), true)
    }

    pub(crate) fn load(&self) -> Arc<Policy> {
        Arc::new(Policy::load_with_test_templates(self.at.path()).unwrap())
    }

    /// Replaces a text that is there once.
    pub(crate) fn edit(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(name)).unwrap();
        assert_eq!(text.matches(from).count(), 1, "{name}: {from}");
        fs::write(self.path(name), text.replace(from, to)).unwrap();
        self.next();
    }

    pub(crate) fn append(&self, name: &str, text: &str) {
        let before = fs::read_to_string(self.path(name)).unwrap();
        fs::write(self.path(name), before + text).unwrap();
        self.next();
    }

    pub(crate) fn template(&self, name: &str, text: &str) {
        fs::write(self.path(&format!("templates/{name}.toml")), text).unwrap();
        self.next();
    }

    /// A changed set has the next number.
    fn next(&self) {
        let text = fs::read_to_string(self.path("authority.toml")).unwrap();
        let at = text.find("sequence = ").unwrap() + "sequence = ".len();
        let (before, rest) = text.split_at(at);
        let (number, after) = rest.split_once('\n').unwrap();
        let next = number.parse::<u64>().unwrap() + 1;
        fs::write(self.path("authority.toml"), format!("{before}{next}\n{after}")).unwrap();
    }
}

/// A supervisor who holds no card, and another one.
pub(crate) fn supervisors() -> [String; 2] {
    let codes =
        fictional::cards(13, 2, &["120".parse().unwrap()]).map(|card| card.tax_code.as_str().to_owned());
    codes.collect::<Vec<_>>().try_into().unwrap()
}

/// Who acts in tests: an office of every region, the usual operator, holders of cards, who are supervisors too, and
/// supervisors.
fn operators() -> String {
    let regions: Vec<_> = Region::KNOWN.iter().map(|(region, _)| region.to_string()).collect();
    let mut text = format!("[[office]]\nname = \"everywhere\"\nregions = {regions:?}\n");
    let lazio = "120".parse().unwrap();
    let holders = fictional::cards(11, 1000, &[lazio]).take(40).map(|card| card.tax_code.as_str().to_owned());
    let both = r#""counter_operator", "supervisor""#;
    let mut listed: BTreeMap<_, _> = holders.map(|code| (code, both)).collect();
    listed.extend(supervisors().map(|code| (code, r#""supervisor""#)));
    listed.insert(OPERATOR.to_owned(), r#""counter_operator""#);
    for (code, roles) in listed {
        text += &format!(
            "[[operator]]\ntax_code = \"{code}\"\noffice = \"everywhere\"\nroles = [{roles}]\n\
             valid_from = \"2026-01-01\"\nvalid_to = \"2099-12-31\"\n"
        );
    }
    text
}

/// A template's file: first and second digits of PIN, PUK and C.I.P.; tries in a row and in a life.
pub(crate) fn template(id: &str, test_only: bool, codes: [(u8, u8); 3], tries: (u32, u32)) -> String {
    let mut text = format!("id = \"{id}\"\ntest_only = {test_only}\n");
    for (name, (first, second)) in ["pin", "puk", "cip"].into_iter().zip(codes) {
        text += &format!("[{name}]\nfirst = {first}\nsecond = {second}\n");
    }
    text + &format!("[tries]\nin_a_row = {}\nlifetime = {}\n", tries.0, tries.1)
}
