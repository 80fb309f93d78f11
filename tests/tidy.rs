//! Rules about the source itself: layers, sizes, unsafe code, features, what examples and members may do.
#![expect(clippy::unwrap_used, reason = "a failed test panics")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files under `directory` with this ending, without what is built.
fn files(directory: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root().join(directory)];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                open.push(path);
            } else if name.ends_with(ending) {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "no {ending} in {directory}");
    found
}

/// The source without comments and without the tests at a file's end.
fn shipped(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    text[..end].lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned()
}

/// `layer` may not name any of `banned`.
fn may_not_name(layer: &[&str], banned: &[&str]) {
    for file in files("src", ".rs") {
        let name = relative(&file);
        let inside = |of: &str| name == format!("src/{of}.rs") || name.starts_with(&format!("src/{of}/"));
        if !layer.iter().any(|of| inside(of)) || name.ends_with("/tests.rs") {
            continue;
        }
        let text = shipped(&file);
        for word in banned {
            assert!(!text.contains(word), "{name} names {word}");
        }
    }
}

const OUTER: [&str; 7] = [
    "crate::cli",
    "crate::routes",
    "crate::http",
    "crate::courier",
    "crate::client",
    "crate::metrics",
    "crate::api",
];

#[test]
fn the_domain_is_pure() {
    let io = [
        "std::fs",
        "std::net",
        "std::env",
        "std::process",
        "std::thread",
        "tokio",
        "hyper",
        "rustls",
        "cryptoki",
        "sled",
        "prometheus",
        "crate::clock",
        "crate::hsm",
        "crate::store",
        "crate::policy",
        "crate::service",
        "SystemTime",
        "Instant",
    ];
    may_not_name(&["domain"], &[&io[..], &OUTER[..]].concat());
}

#[test]
fn ports_and_adapters_know_nothing_above_them() {
    may_not_name(
        &["hsm", "store", "clock", "secret"],
        &[&["crate::policy", "crate::service"][..], &OUTER[..]].concat(),
    );
    may_not_name(
        &["card"],
        &[&["crate::policy", "crate::service", "crate::store", "crate::hsm"][..], &OUTER[..]].concat(),
    );
    may_not_name(&["hsm"], &["crate::store"]);
    may_not_name(&["store"], &["crate::hsm", "tokio::net", "hyper", "rustls"]);
    may_not_name(&["policy", "seal"], &[&["crate::service", "crate::store"][..], &OUTER[..]].concat());
}

#[test]
fn the_service_knows_no_transport() {
    may_not_name(
        &["service"],
        &[&OUTER[..], &["hyper", "rustls", "cryptoki", "sled::", "std::fs", "std::net"][..]].concat(),
    );
}

#[test]
fn transport_does_not_reach_past_the_service() {
    may_not_name(
        &["routes", "http", "client"],
        &["cryptoki", "crate::cli", "sled", "crate::store", "crate::courier"],
    );
    may_not_name(
        &["courier"],
        &["crate::service", "store::sled", "crate::policy", "crate::cli", "MacKey::Print"],
    );
}

/// I1: the authority's code never names the courier's key, and the other way round.
#[test]
fn neither_half_names_the_others_key() {
    may_not_name(&["service", "routes"], &["MacKey::Deliver", "Part::Second, code", "open_contact"]);
    may_not_name(&["courier"], &["MacKey::Print", "MacKey::Index", "Part::First"]);
    // Where both parts come together nobody goes who runs online.
    may_not_name(&["courier", "http", "routes", "service"], &["crate::personalise"]);
}

#[test]
fn files_are_short() {
    let mut sizes = Vec::new();
    for directory in ["src", "tests", "bench/src", "fuzz", "vcard/src"] {
        for file in files(directory, ".rs") {
            let lines = fs::read_to_string(&file).unwrap().lines().count();
            assert!(lines <= 500, "{} has {lines} lines", relative(&file));
            if directory == "src" {
                sizes.push(lines);
            }
        }
    }
    sizes.sort_unstable();
    let median = sizes[sizes.len() / 2];
    assert!(median <= 160, "the median file has {median} lines");
}

#[test]
fn unsafe_code_is_in_one_file() {
    for directory in ["src", "tests", "bench/src", "fuzz", "vcard/src"] {
        for file in files(directory, ".rs") {
            let name = relative(&file);
            let text = fs::read_to_string(&file).unwrap();
            let word = concat!("unsafe", " {");
            let found = text.matches(word).count();
            let allowed = usize::from(name == "src/store/durable.rs");
            assert!(found <= allowed, "{name} has {found} blocks of unsafe code");
        }
    }
}

#[test]
fn every_member_has_the_lints_and_none_the_faults() {
    for member in ["", "bench/", "tests/proofs/", "vcard/"] {
        let path = root().join(member).join("Cargo.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("[lints]\nworkspace = true"), "{}", path.display());
        let shipped = text.split("[dev-dependencies]").next().unwrap();
        assert!(!shipped.contains("\"testing\""), "{} enables the fault ports", path.display());
        for line in
            shipped.lines().skip_while(|l| *l != "[dependencies]").skip(1).take_while(|l| !l.starts_with('['))
        {
            assert!(line.is_empty() || line.contains(" # "), "{}: no reason for {line}", path.display());
        }
    }
}

/// What the shipped program is made of, down to this depth.
fn shipped_tree(depth: &str) -> String {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "-e", "normal,build", "--prefix", "none"])
        .args(["--depth", depth, "-p", "sigillo"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    String::from_utf8(tree.stdout).unwrap()
}

/// Nor does the virtual card know the program: it could agree with it by mistake.
#[test]
fn the_virtual_card_is_in_no_shipped_program() {
    let tree = shipped_tree("100");
    assert!(tree.contains("sled v") && !tree.contains("vcard"), "{tree}");
    let manifest = fs::read_to_string(root().join("vcard/Cargo.toml")).unwrap();
    assert!(!manifest.contains("sigillo ="), "{manifest}");
}

/// The mission's libraries are in the shipped tree.
#[test]
fn the_named_libraries_are_used() {
    let tree = shipped_tree("1");
    for name in [
        "cryptoki",
        "rustls",
        "x509-parser",
        "rcgen",
        "hyper",
        "sled",
        "pcsc",
        "zeroize",
        "subtle",
        "prometheus",
    ] {
        assert!(tree.lines().any(|line| line.starts_with(&format!("{name} v"))), "{name} is not in\n{tree}");
    }
}

/// Secrets cannot be printed, copied or compared by accident.
#[test]
fn secrets_stay_secrets() {
    let text = shipped(&root().join("src/secret.rs"));
    for derived in ["Clone", "Copy", "PartialEq", "Serialize", "Display", "Hash"] {
        assert!(!text.contains(derived), "src/secret.rs has {derived}");
    }
}

#[test]
fn nothing_of_a_machine_is_in_the_project() {
    for ending in [".rs", ".toml", ".md", ".sh", ".py", ".json", ".example", ".yml"] {
        let mut all = Vec::new();
        for directory in ["src", "tests", "bench", "fuzz", "vcard", "policies", "hsm-config"] {
            let mut open = vec![root().join(directory)];
            while let Some(at) = open.pop() {
                for entry in fs::read_dir(&at).unwrap() {
                    let path = entry.unwrap().path();
                    if path.is_dir() {
                        open.push(path);
                    } else if path.to_str().unwrap().ends_with(ending) {
                        all.push(path);
                    }
                }
            }
        }
        for path in all {
            let text = fs::read_to_string(&path).unwrap();
            for word in [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("../sha", "red")] {
                assert!(!text.contains(word), "{} names {word}", relative(&path));
            }
        }
    }
}
