//! Shipped configurations and policies are what the loaders take, and what the documents say of them is so.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "clippy allows these in test functions, and not in what test functions call; an overflow fails the test"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

use sigillo::{
    clock::{Clock, SystemClock},
    courier,
    files::write_new,
    hsm::{self, Role, soft::SoftHsm},
    http::Limits,
    pki::{Ca, Validity},
    policy::Policy,
    sandbox,
    store::sled,
};
use tempfile::TempDir;
use toml::{Table, Value};

#[path = "examples/units.rs"]
mod units;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_tree(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// An installation of the shipped files, `.example` taken off.
fn installation() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for part in ["hsm-config", "policies"] {
        copy_tree(&root().join(part), &dir.path().join(part));
    }
    for part in ["hsm-config", "policies/courier"] {
        for path in files(&dir.path().join(part)) {
            if path.extension().is_some_and(|e| e == "example") {
                fs::rename(&path, path.with_extension("")).unwrap();
            }
        }
    }
    named_files(&dir.path().join("hsm-config"));
    dir
}

/// What the examples name and nobody ships: certificates, the courier's public key, a PIN.
fn named_files(dir: &Path) {
    let now_ms = SystemClock::new().now_ms();
    let validity = Validity { from_ms: now_ms - 60_000, to_ms: now_ms + 3_600_000 };
    let ca = Ca::new("Test CA", validity).unwrap();
    fs::create_dir(dir.join("tls")).unwrap();
    ca.server(&["localhost"], &[], validity).unwrap().write(&dir.join("tls"), "server").unwrap();
    fs::write(dir.join("tls/client-ca.pem"), ca.pem()).unwrap();
    static CONTACT: OnceLock<String> = OnceLock::new();
    let contact = CONTACT.get_or_init(|| SoftHsm::new(Role::Courier).unwrap().contact_public_pem().unwrap());
    fs::write(dir.join("contact.pub.pem"), contact).unwrap();
    write_new(&dir.join("authority.pin"), b"a pin", 0o600).unwrap();
}

fn files(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect()
}

fn check(installation: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sigillo"))
        .args(["serve", "--check", "--config", "hsm-config/serve.toml"])
        .current_dir(installation)
        .output()
        .unwrap()
}

/// Says what `serve --check` says of the installation with this file changed.
fn refusal(file: &str, change: impl Fn(String) -> String) -> String {
    let dir = installation();
    let path = dir.path().join(file);
    fs::write(&path, change(fs::read_to_string(&path).unwrap())).unwrap();
    let output = check(dir.path());
    assert_eq!(output.status.code(), Some(64), "{file}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn serve_takes_the_shipped_files() {
    let dir = installation();
    let (file, store) = (dir.path().join("hsm-config/serve.toml"), dir.path().join("store"));
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("\"/var/lib/sigillo/store\"", &format!("{store:?}"))).unwrap();
    let output = check(dir.path());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("no store in"), "{said}");
    // Its names are all that is looked at.
    fs::create_dir_all(store.join("blobs")).unwrap();
    for name in ["db", "conf"] {
        fs::write(store.join(name), "").unwrap();
    }
    let output = check(dir.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let digest = Policy::load(&dir.path().join("policies")).unwrap().digest().to_string();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        format!("hsm-config/serve.toml holds: policy {digest}\n")
    );
}

/// What `serve` would refuse later, `--check` refuses too: every file that is named is read.
#[test]
fn serve_looks_at_every_file_that_is_named() {
    for (file, named) in [
        ("contact.pub.pem", "contact_key"),
        ("authority.pin", "authority.pin"),
        ("tls/server.pem", "server.pem"),
        ("tls/server.key", "server.key"),
        ("tls/client-ca.pem", "client-ca.pem"),
    ] {
        let dir = installation();
        fs::remove_file(dir.path().join("hsm-config").join(file)).unwrap();
        let output = check(dir.path());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{file}: {said}");
        assert!(said.contains(named), "{said}");
    }
}

#[test]
fn serve_names_what_it_refuses() {
    let said = refusal("hsm-config/serve.toml", |text| format!("nonsense = 1\n{text}"));
    assert!(said.contains("serve.toml, line 1") && said.contains("nonsense"), "{said}");
    let said = refusal("hsm-config/serve.toml", |text| text.replace("\nlog = ", "\n# log = "));
    assert!(said.contains("serve.toml") && said.contains("`log`"), "{said}");
    let said = refusal("hsm-config/serve.toml", |text| text.replace("h2_streams = 128", "h2_streams = 0"));
    assert!(said.contains("h2_streams"), "{said}");
    let said = refusal("hsm-config/serve.toml", |text| text.replace("127.0.0.1:9464", "0.0.0.0:9464"));
    assert!(said.contains("internal.listen"), "{said}");
    for (witness, why) in [
        ("", "a file, a url, or both"),
        ("file = \"/var/lib/sigillo/store/witness\"", "it is in the store"),
        ("file = \"w\"\nkey = \"k\"", "are for a url"),
        ("url = \"https://w.it/a\"", "witness.server_ca"),
        (
            "url = \"http://w.it/a\"\nserver_ca = \"tls/client-ca.pem\"",
            "not of the form https://host:port/path",
        ),
        (
            "url = \"https://w.it\"\nserver_ca = \"tls/client-ca.pem\"",
            "not of the form https://host:port/path",
        ),
        ("url = \"https://w.it/a\"\nserver_ca = \"tls/none.pem\"", "none.pem"),
        ("url = \"https://w.it/a\"\nserver_ca = \"tls/client-ca.pem\"\nkey = \"k\"", "belong together"),
        ("file = \"w\"\nother = 1", "unknown field `other`"),
    ] {
        let said = refusal("hsm-config/serve.toml", |text| format!("{text}\n[witness]\n{witness}\n"));
        assert!(said.contains(why), "{said}");
    }
    let said = refusal("hsm-config/authority.toml", |text| text.replace("\"authority\"", "\"courier\""));
    assert!(said.contains("role"), "{said}");
    let said = refusal("policies/templates/default.toml", |text| text.replace("second = 3", "second = 33"));
    assert!(said.contains("default.toml") && said.contains("pin.second"), "{said}");
}

/// The example gives every key, with its default where it has one.
#[test]
fn the_example_of_serve_shows_every_key_and_default() {
    let text = fs::read_to_string(root().join("hsm-config/serve.toml.example")).unwrap();
    let table: Table = uncommented(&text).parse().unwrap();
    let limits: Limits = table["limits"].clone().try_into().unwrap();
    assert_eq!(limits, Limits::default());
    let shown: BTreeSet<_> = table["limits"].as_table().unwrap().keys().cloned().collect();
    assert_eq!(shown, fields(&format!("{:?}", Limits::default())));
    assert_eq!(number(&table["store"]["cache_mib"]), sled::Config::CACHE_MIB);
    assert_eq!(number(&table["store"]["reserve_mib"]), sled::Config::RESERVE_MIB);

    let source = fs::read_to_string(root().join("src/cli/serve/config.rs")).unwrap();
    let keys: BTreeSet<_> = table.keys().cloned().collect();
    assert_eq!(keys, struct_fields(&source, "struct Raw {"));
    let store: BTreeSet<_> = table["store"].as_table().unwrap().keys().cloned().collect();
    assert_eq!(store, struct_fields(&source, "struct RawStore {"));
    let direct: BTreeSet<_> = table["direct"].as_table().unwrap().keys().cloned().collect();
    assert_eq!(direct, struct_fields(&source, "struct RawDirect {"));
    let operators: BTreeSet<_> = table["operators"].as_table().unwrap().keys().cloned().collect();
    assert_eq!(operators, struct_fields(&source, "struct RawOperators {"));
    let tls: BTreeSet<_> = table["tls"].as_table().unwrap().keys().cloned().collect();
    let source = fs::read_to_string(root().join("src/tls/server.rs")).unwrap();
    assert_eq!(tls, struct_fields(&source, "pub struct TlsFiles {"));
    let process: sandbox::Settings = table["process"].clone().try_into().unwrap();
    assert_eq!(process, sandbox::Settings::default());
    let shown: BTreeSet<_> = table["process"].as_table().unwrap().keys().cloned().collect();
    assert_eq!(shown, fields(&format!("{process:?}")));
    let internal: BTreeSet<_> = table["internal"].as_table().unwrap().keys().cloned().collect();
    let witness: BTreeSet<_> = table["witness"].as_table().unwrap().keys().cloned().collect();
    let source = fs::read_to_string(root().join("src/cli/serve/witness.rs")).unwrap();
    assert_eq!(witness, struct_fields(&source, "pub(super) struct RawWitness {"));
    let source = fs::read_to_string(root().join("src/http/internal.rs")).unwrap();
    assert_eq!(internal, struct_fields(&source, "pub struct InternalConfig {"));
}

/// The example with what it shows as comments in force.
fn uncommented(text: &str) -> String {
    let mut whole = text.to_owned();
    for section in ["[direct]", "[witness]"] {
        let (before, rest) = whole.split_once(&format!("# {section}")).unwrap();
        let (inner, after) = rest.split_once("\n\n").unwrap();
        whole = format!("{before}{section}{}\n\n{after}", inner.replace("\n# ", "\n"));
    }
    whole
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .fold(String::new(), |text, line| text + line + "\n")
}

fn number(value: &Value) -> u64 {
    value.as_integer().unwrap().try_into().unwrap()
}

/// Names in the derived `Debug` of a struct of numbers.
fn fields(debug: &str) -> BTreeSet<String> {
    let inner = debug.split_once('{').unwrap().1;
    inner.split(',').filter_map(|field| Some(field.split_once(':')?.0.trim().to_owned())).collect()
}

/// Names of a struct's fields in the source.
fn struct_fields(source: &str, head: &str) -> BTreeSet<String> {
    let body = source.split_once(head).unwrap().1.split_once("\n}").unwrap().0;
    let lines = body.lines().map(str::trim).filter(|l| !l.starts_with("//") && !l.starts_with('#'));
    lines.filter_map(|l| Some(l.trim_start_matches("pub ").split_once(':')?.0.to_owned())).collect()
}

#[test]
fn tokens_take_the_shipped_files() {
    for (name, role) in [("authority", Role::Authority), ("courier", Role::Courier)] {
        let file = root().join(format!("hsm-config/{name}.toml.example"));
        let config = hsm::config::Config::load(&file).unwrap();
        assert_eq!(config.role, role);
        let missing = config.missing_environment().unwrap();
        let (variable, softhsm) = missing.first().unwrap();
        assert_eq!(variable, "SOFTHSM2_CONF");
        let softhsm = fs::read_to_string(format!("{softhsm}.example")).unwrap();
        assert!(softhsm.contains("directories.tokendir = /"), "{softhsm}");
    }
}

/// Profiles of other tokens name modules, variables and keys that the loader takes, for either role.
#[test]
fn profiles_of_other_tokens_are_taken() {
    let address = "unix:path=/run/sigillo/authority.socket";
    let conf = root().join("hsm-config/kryoptic.conf");
    for (name, module, variable, value) in [
        ("kryoptic", "libkryoptic_pkcs11.so", "KRYOPTIC_CONF", conf.to_str().unwrap()),
        ("p11-kit", "p11-kit-client.so", "P11_KIT_SERVER_ADDRESS", address),
    ] {
        let file = root().join(format!("hsm-config/{name}.toml.example"));
        let config = hsm::config::Config::load(&file).unwrap();
        assert_eq!((config.role, config.module.ends_with(module)), (Role::Authority, true));
        assert_eq!(config.missing_environment().unwrap(), [(variable.to_owned(), value.to_owned())]);
        assert_eq!(config.token.slot, None);
        let courier = fs::read_to_string(&file).unwrap().replace("authority", "courier");
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("courier.toml");
        fs::write(&file, courier.replace("# [so_pin]", "[so_pin]").replace("# file =", "file =")).unwrap();
        assert_eq!(hsm::config::Config::load(&file).unwrap().role, Role::Courier);
    }
    let slots: Table = fs::read_to_string(format!("{}.example", conf.display())).unwrap().parse().unwrap();
    let path = slots["slots"][0]["dbargs"].as_str().unwrap();
    assert!(Path::new(path).is_absolute());
}

#[test]
fn the_courier_takes_the_shipped_files() {
    let file = root().join("policies/courier/courier.toml.example");
    let config = courier::config::Config::load(&file).unwrap();
    config.judge(&config.messages().unwrap()).unwrap();
    assert!(root().join("policies/courier").join(&config.hsm).with_extension("toml.example").is_file());
}

#[test]
fn every_example_is_looked_at_here() {
    let mut names: Vec<_> = ["hsm-config", "policies/courier"]
        .iter()
        .flat_map(|part| files(&root().join(part)))
        .filter(|path| path.extension().is_some_and(|e| e == "example"))
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    let known = [
        "authority.toml.example",
        "courier.toml.example",
        "courier.toml.example",
        "kannel.conf.example",
        "kryoptic.conf.example",
        "kryoptic.toml.example",
        "p11-kit.toml.example",
        "serve.toml.example",
        "softhsm2-authority.conf.example",
        "softhsm2-courier.conf.example",
    ];
    assert_eq!(names, known);
}

/// A row of the table of `authority.toml` in policies/README.md.
struct Row {
    limits: String,
    shipped: String,
}

fn documented() -> BTreeMap<String, Row> {
    let text = fs::read_to_string(root().join("policies/README.md")).unwrap();
    let section = text.split("## authority.toml").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let key = cells[1].trim_matches('`').to_owned();
        (key, Row { limits: cells[3].replace('`', ""), shipped: cells[4].replace('`', "") })
    })
    .collect()
}

/// A value as a person writes it.
fn written(value: &Value) -> String {
    serde_json::to_string(value).unwrap().replace("\",\"", "\", \"")
}

/// The keys of `authority.toml`, regions together, with their values as written.
fn shipped() -> BTreeMap<String, String> {
    let table: Table = fs::read_to_string(root().join("policies/authority.toml")).unwrap().parse().unwrap();
    let mut all = BTreeMap::new();
    for (section, keys) in &table {
        let Some(keys) = keys.as_table() else {
            all.insert(section.clone(), written(keys));
            continue;
        };
        for (key, value) in keys {
            match value.as_table() {
                Some(uses) if section == "limits" => {
                    for (of, most) in uses {
                        let windows = ["per_minute", "per_hour", "per_day"].map(|name| written(&most[name]));
                        all.insert(format!("{section}.{key}.{of}"), windows.join(", "));
                    }
                    None
                }
                Some(errand) if section == "applicants" => {
                    for (name, value) in errand {
                        all.insert(format!("{section}.{key}.{name}"), written(value));
                    }
                    None
                }
                None => all.insert(format!("{section}.{key}"), written(value)),
                Some(inner) => {
                    let values: Vec<_> = inner.values().map(written).collect();
                    all.insert(format!("{section}.{key}.\"NNN\""), values.join(", "))
                }
            };
        }
    }
    all
}

#[test]
fn the_policys_table_has_every_key_with_its_shipped_value() {
    Policy::load(&root().join("policies")).unwrap();
    let documented = documented().into_iter().map(|(key, row)| (key, row.shipped));
    assert_eq!(documented.collect::<BTreeMap<_, _>>(), shipped());
}

#[test]
fn the_policys_limits_are_those_of_the_table() {
    let shipped = shipped();
    let value = |text: &str| text.parse::<u64>().unwrap_or_else(|_| shipped[text].parse().unwrap());
    let mut tried = 0;
    for (key, row) in documented() {
        let Some((low, high)) = row.limits.split_once(" to ").filter(|_| !row.limits.contains("each")) else {
            continue;
        };
        let (low, high) = (value(low), value(high));
        let loads = |number: u64| {
            let dir = installation();
            let file = dir.path().join("policies/authority.toml");
            let name = key.rsplit('.').next().unwrap();
            let text = fs::read_to_string(&file).unwrap();
            // In its own table: others have keys of the same name.
            let table =
                key.rsplit_once('.').map_or(0, |(table, _)| text.find(&format!("\n[{table}]\n")).unwrap());
            let (before, own) = text.split_at(table);
            let line = format!("\n{name} = {}\n", shipped[&key]);
            assert!(own.contains(&line), "{line}");
            let own = own.replacen(&line, &format!("\n{name} = {number}\n"), 1);
            fs::write(&file, format!("{before}{own}")).unwrap();
            Policy::load(&dir.path().join("policies")).map_err(|e| e.to_string())
        };
        for good in [low, high] {
            loads(good).unwrap();
        }
        // Below 0 there is nothing to refuse.
        for bad in low.checked_sub(1).into_iter().chain(high.checked_add(1)) {
            let why = loads(bad).unwrap_err();
            assert!(why.contains(&key) && why.contains("authority.toml"), "{why}");
        }
        tried += 1;
    }
    assert_eq!(tried, 23);
}
