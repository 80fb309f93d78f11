//! The HSM adapter and `sigillo hsm` on real tokens, a pair of its own for each test; `hsm/kind.rs` says of what kind.
//!
//! A module reads its configuration once per process, so everything that needs a token runs in a child: the program
//! itself, or this test binary again (`hsm/inside.rs`).

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "clippy allows these in test functions, and not in what test functions call"
)]

#[path = "hsm/inside.rs"]
mod inside;
#[path = "hsm/kind.rs"]
mod kind;
#[path = "hsm/lab.rs"]
mod lab;
#[path = "support/p11_kit.rs"]
mod p11_kit;

use kind::{Kind, kind};
use lab::{Lab, Ran};
use serde_json::Value;

fn key<'a>(status: &'a Value, name: &str) -> &'a Value {
    status["keys"].as_array().unwrap().iter().find(|key| key["name"] == name).unwrap()
}

#[test]
fn ceremony_makes_two_tokens_that_share_the_verify_key_only() {
    let lab = Lab::with_keys();
    let authority = lab.status("authority").ok();
    let courier = lab.status("courier").ok();
    let (authority, courier) = (authority.json(), courier.json());
    assert_eq!(authority["token"]["label"], "sigillo-authority");
    let names = |status: &Value| -> Vec<String> {
        status["keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| key["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&authority), ["audit", "index", "print", "verify"]);
    assert_eq!(names(&courier), ["audit", "contact", "deliver", "judge", "transport", "verify"]);
    for (status, replicated) in [(&authority, "verify"), (&courier, "verify")] {
        for key in status["keys"].as_array().unwrap() {
            let class = if key["name"] == replicated { "replicated" } else { "strict" };
            assert_eq!(key["class"], class, "{key}");
            assert_eq!((&key["sensitive"], &key["extractable"]), (&Value::Bool(true), &Value::Bool(false)));
            assert_eq!(key["uses"].as_array().unwrap().len(), 1, "{key}");
            assert_eq!(key["problems"], Value::Array(Vec::new()));
        }
    }
    // The check value shows that the key came over whole; the MAC of a message shows it beyond doubt.
    assert_eq!(key(&authority, "verify")["kcv"], key(&courier, "verify")["kcv"]);
    assert_ne!(key(&authority, "print")["kcv"], key(&courier, "deliver")["kcv"]);
    assert_ne!(key(&authority, "print")["kcv"], key(&authority, "index")["kcv"]);
    let mac = |role| lab.inside(role, "verify_mac").ok().line("mac ");
    assert_eq!(mac("authority"), mac("courier"));
}

#[test]
fn status_for_people_names_every_key() {
    let lab = Lab::with_keys();
    let shown = lab.run(&["hsm", "status", "--config", "courier.toml"]).ok().out;
    for words in
        ["token \"sigillo-courier\"", "deliver    strict", "verify     replicated", "CKM_RSA_PKCS_OAEP"]
    {
        assert!(shown.contains(words), "{shown}");
    }
}

#[test]
fn second_init_and_second_receive_change_nothing() {
    let lab = Lab::with_keys();
    let before = lab.status("authority").ok().out;
    let again = ["hsm", "init", "--config", "authority.toml", "--out", "other", "--transport-key"];
    let refused = lab.run(&[&again[..], &["courier/transport.pub.pem"]].concat()).failed(1);
    assert!(
        refused.err.contains("already has key \"audit\", \"index\", \"print\", \"verify\""),
        "{}",
        refused.err
    );
    assert_eq!(lab.status("authority").ok().out, before);
    assert!(!lab.path("other/verify.wrapped").exists());
    let refused = lab.receive("authority/verify.wrapped").failed(1);
    assert!(refused.err.contains("already has key \"verify\""), "{}", refused.err);
    // Files are not overwritten either, and are looked at before the token is.
    let refused = lab.run(&["hsm", "init", "--config", "courier.toml", "--out", "courier"]).failed(1);
    assert!(refused.err.contains("courier/audit.pub.pem: is already there"), "{}", refused.err);
}

#[test]
fn a_wrong_pin_is_tried_exactly_once() {
    let lab = Lab::with_keys();
    let attempts = |commands: &[&str], says: &str| {
        lab.set_pin("authority", "not-the-pin");
        for command in commands {
            let refused = lab.run(&["hsm", command, "--config", "authority.toml"]).failed(1);
            assert!(refused.err.contains(says), "{}", refused.err);
            assert!(!refused.err.contains("not-the-pin") && refused.out.is_empty());
        }
        lab.set_pin("authority", "authority-user-pin");
    };
    let once = "one attempt was made and no other will be";
    match kind() {
        Kind::P11Kit | Kind::SoftHsm => {
            let before = lab.login_counter("authority");
            attempts(&["status", "selftest"], once);
            assert_eq!(lab.login_counter("authority"), before + 2, "one attempt for each command");
        }
        // It locks at the tenth wrong PIN in a row, and the right one takes the count back.
        Kind::Kryoptic => {
            attempts(&["status"; 9], once);
            lab.status("authority").ok();
            attempts(&["status"; 9], once);
            attempts(&["selftest"], "has locked its user PIN");
            let locked = lab.status("authority").failed(1);
            assert!(locked.err.contains("its security officer must set a new one"), "{}", locked.err);
        }
    }
}

#[test]
fn bad_configuration_exits_64_with_file_line_and_reason() {
    let lab = Lab::new();
    lab.append("authority.toml", "[pool]\nworkers = 0\n");
    let refused = lab.run(&["hsm", "status", "--config", "authority.toml"]).failed(64);
    assert!(refused.err.contains("authority.toml:12: pool.workers must be 1 to 256"), "{}", refused.err);
    lab.set_mode("courier.pin", 0o644);
    let refused = lab.run(&["hsm", "init", "--config", "courier.toml", "--out", "out"]).failed(64);
    assert!(refused.err.contains("courier.pin: PIN file has mode 0644"), "{}", refused.err);
    lab.run(&["hsm", "status", "--config", "none.toml"]).failed(64);
    lab.run(&["hsm", "status"]).failed(64);
}

#[test]
fn init_says_what_is_missing() {
    let lab = Lab::new();
    let refused = lab.run(&["hsm", "init", "--config", "authority.toml", "--out", "a"]).failed(1);
    assert!(refused.err.contains("needs --transport-key"), "{}", refused.err);
    lab.replace("courier.toml", "[so_pin]\nfile = \"so.pin\"\n", "");
    let refused = lab.run(&["hsm", "init", "--config", "courier.toml", "--out", "c"]).failed(1);
    assert!(refused.err.contains("no token with label \"sigillo-courier\""), "{}", refused.err);
    assert!(refused.err.contains("give [so_pin] in"), "{}", refused.err);
    let refused = lab.status("courier").failed(1);
    assert!(refused.err.contains("has no token with label \"sigillo-courier\""), "{}", refused.err);
    lab.write("weak.pem", "-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n");
    let weak = ["hsm", "init", "--config", "authority.toml", "--out", "a", "--transport-key", "weak.pem"];
    let refused = lab.run(&weak).failed(1);
    assert!(refused.err.contains("weak.pem: not a SubjectPublicKeyInfo"), "{}", refused.err);
}

#[test]
fn init_that_stops_half_way_says_what_exists() {
    let lab = Lab::new();
    // A dangling link cannot be seen beforehand, and is not written through.
    std::fs::create_dir(lab.path("courier")).unwrap();
    std::os::unix::fs::symlink("nowhere", lab.path("courier/contact.pub.pem")).unwrap();
    let stopped = lab.run(&["hsm", "init", "--config", "courier.toml", "--out", "courier"]).failed(1);
    assert!(
        stopped.err.contains("On the token now: deliver, judge, audit, contact. Not made: transport."),
        "{}",
        stopped.err
    );
    assert!(!lab.path("courier/nowhere").exists());
    let status = lab.status("courier").failed(1).json();
    let there = |name| key(&status, name)["present"] == true;
    assert!(there("deliver") && there("judge") && there("audit") && there("contact") && !there("transport"));
}

#[test]
fn a_changed_or_foreign_wrapped_key_is_not_kept() {
    let lab = Lab::with_keys();
    lab.inside("courier", "destroy_verify").ok();
    let good = lab.read("authority/verify.wrapped");
    let missing = |ran: Ran, says: &str| {
        let err = ran.failed(1).err;
        assert!(err.contains(says), "{err}");
        let status = lab.status("courier").failed(1).json();
        assert_eq!(key(&status, "verify")["present"], false, "{status}");
    };
    let line = |start: &str| good.lines().find(|line| line.starts_with(start)).unwrap().to_owned();
    let kcv = line("kcv: ");
    let other = if kcv == "kcv: 000000" { "kcv: 000001" } else { "kcv: 000000" };
    lab.write("kcv.wrapped", &good.replace(&kcv, other));
    missing(lab.receive("kcv.wrapped"), "it was destroyed");
    let blob = line("wrapped: ");
    let turned: String = blob.strip_prefix("wrapped: ").unwrap().chars().rev().collect();
    lab.write("blob.wrapped", &good.replace(&blob, &format!("wrapped: {turned}")));
    missing(lab.receive("blob.wrapped"), "unwrapping key \"verify\"");
    lab.write(
        "foreign.wrapped",
        &good.replace(&line("transport: "), &format!("transport: {}", "00".repeat(32))),
    );
    missing(lab.receive("foreign.wrapped"), "was wrapped to transport key 0000");
    lab.receive("authority/verify.wrapped").ok();
    lab.status("courier").ok();
}

#[test]
fn a_missing_key_refuses_the_start() {
    let lab = Lab::with_keys();
    lab.inside("authority", "destroy_print").ok();
    let refused = lab.run(&["hsm", "selftest", "--config", "authority.toml"]).failed(1);
    assert!(refused.err.contains("key \"print\" is not on the token"), "{}", refused.err);
    assert!(lab.inside("authority", "open").failed(1).err.contains("WrongKey"));
}

#[test]
fn keys_of_the_other_half_refuse_the_start() {
    let lab = Lab::with_keys();
    lab.inside("authority", "make_deliver").ok();
    let refused = lab.run(&["hsm", "selftest", "--config", "authority.toml"]).failed(1);
    assert!(refused.err.contains("key \"deliver\" must not be on the authority token"), "{}", refused.err);
    lab.inside("courier", "make_print").ok();
    let status = lab.status("courier").failed(1).json();
    assert_eq!(
        key(&status, "print")["problems"][0],
        "key \"print\" must not be on the courier token (split knowledge)"
    );
}

#[test]
fn a_key_with_wrong_attributes_refuses_the_start() {
    let lab = Lab::with_keys();
    for (edit, says) in [
        ("index_extractable", "key \"index\" is extractable"),
        ("index_imported", "key \"index\" is not strict"),
        ("index_two_uses", "key \"index\" may be used to [sign, derive] and must be used to sign only"),
        ("index_not_sensitive", "key \"index\" is not sensitive"),
        ("index_aes", "key \"index\" is not of type"),
        ("index_twice", "2 keys are called \"index\""),
    ] {
        lab.inside("authority", edit).ok();
        let refused = lab.run(&["hsm", "selftest", "--config", "authority.toml"]).failed(1);
        assert!(refused.err.contains(says), "{edit}: {}", refused.err);
    }
}

#[test]
fn self_test_passes_on_both_tokens() {
    let lab = Lab::with_keys();
    for (role, checks) in [("authority", 6), ("courier", 7)] {
        let config = format!("{role}.toml");
        let report = lab.run(&["hsm", "selftest", "--config", &config, "--json"]).ok().json();
        let outcomes: Vec<&str> = report["checks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|check| check["outcome"].as_str().unwrap())
            .collect();
        assert_eq!(outcomes.len(), checks);
        // What C_Verify thinks of cut tags is a note; the rest must pass, the known answer too.
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == "passed").count(), checks - 1, "{report}");
    }
}

#[test]
fn pool_works_on_the_authority_token() {
    Lab::with_keys().inside("authority", "pool_authority").ok();
}

#[test]
fn pool_works_on_the_courier_token() {
    Lab::with_keys().inside("courier", "pool_courier").ok();
}

#[test]
fn keys_of_another_version_are_not_taken_for_ours() {
    let lab = Lab::new();
    for role in ["authority", "courier"] {
        lab.append(&format!("{role}.toml"), "[keys]\nversion = 2\n");
    }
    lab.ceremony();
    lab.status("courier").ok();
    lab.replace("courier.toml", "version = 2", "version = 1");
    let refused = lab.status("courier").failed(1).json();
    assert_eq!(key(&refused, "deliver")["present"], false);
}

#[test]
fn a_token_is_found_by_label_and_serial() {
    let lab = Lab::with_keys();
    let serial = lab.status("authority").ok().json()["token"]["serial"].clone();
    lab.inside("authority", "second_token").ok();
    let refused = lab.status("authority").failed(1);
    assert!(refused.err.contains("2 tokens have label \"sigillo-authority\""), "{}", refused.err);
    let named = format!("[token]\nserial = {serial}\n");
    lab.replace("authority.toml", "[token]\n", &named);
    let slot = lab.status("authority").ok().json()["token"]["slot"].clone();
    lab.replace("authority.toml", &named, &format!("[token]\nslot = {slot}\n"));
    lab.status("authority").ok();
    lab.replace("authority.toml", "[token]\n", "[token]\nserial = \"0\"\n");
    let refused = lab.status("authority").failed(1);
    assert!(
        refused.err.contains("has no token with label \"sigillo-authority\", serial \"0\""),
        "{}",
        refused.err
    );
    lab.replace("courier.toml", "sigillo-courier", "another");
    let refused = lab.status("courier").failed(1);
    assert!(refused.err.contains("has no token with label \"another\""), "{}", refused.err);
}

/// SoftHSM makes no keys of that type, and p11-kit does not forward it; kryoptic does.
#[test]
fn keys_that_are_bound_to_their_mac_are_made_or_the_lack_is_named() {
    let lab = Lab::new();
    for role in ["authority", "courier"] {
        lab.append(&format!("{role}.toml"), "[keys]\ntype = \"sha256_hmac\"\n");
    }
    match kind() {
        Kind::P11Kit | Kind::SoftHsm => {
            let refused = lab.run(&["hsm", "init", "--config", "courier.toml", "--out", "c"]).failed(1);
            assert!(
                refused.err.contains("making key \"deliver\": GenerateKey: MechanismInvalid"),
                "{}",
                refused.err
            );
            assert!(!refused.err.contains("half way"), "{}", refused.err);
        }
        Kind::Kryoptic => {
            lab.ceremony();
            let generic = "type = \"generic_secret\"";
            for role in ["authority", "courier"] {
                lab.run(&["hsm", "selftest", "--config", &format!("{role}.toml")]).ok();
                lab.replace(&format!("{role}.toml"), "type = \"sha256_hmac\"", generic);
                let refused = lab.run(&["hsm", "selftest", "--config", &format!("{role}.toml")]).failed(1);
                assert!(refused.err.contains("key \"verify\" is not of type"), "{}", refused.err);
            }
        }
    }
}

#[test]
fn keys_are_used_through_session_copies_where_the_token_makes_them() {
    let lab = Lab::with_keys();
    let said = |what: &str| {
        let ran = lab.inside("authority", "copies").ok();
        assert_eq!(ran.line("copies "), format!("copies {what}"));
        ran.line("mac ")
    };
    let through_copies = said("3");
    lab.append("authority.toml", "[keys]\nsession_copies = \"off\"\n");
    assert_eq!(said("0"), through_copies, "the token object gives the same MAC");
    lab.replace("authority.toml", "\"off\"", "\"auto\"");
    lab.inside("authority", "index_unmodifiable").ok();
    match kind() {
        // No copy of a key that cannot be changed: its token object is used, without a word.
        Kind::P11Kit | Kind::SoftHsm => assert_ne!(said("2"), through_copies),
        Kind::Kryoptic => assert_ne!(said("3"), through_copies),
    }
}

#[test]
fn a_token_that_vanishes_is_down_until_it_is_back_and_no_other_takes_its_place() {
    let lab = Lab::with_keys();
    match kind() {
        Kind::P11Kit | Kind::SoftHsm => {
            let other = Lab::with_keys();
            std::fs::rename(other.path("tokens-authority"), lab.path("tokens-other")).unwrap();
            lab.inside("authority", "token_vanishes").ok();
        }
        // It keeps its file open, so the file can be moved; a key that is deleted is seen.
        Kind::Kryoptic => {
            lab.inside("authority", "key_vanishes").ok();
        }
    }
}

#[test]
fn environment_that_does_not_come_through_ends_the_program() {
    let lab = Lab::with_keys();
    let (variable, value) = lab.variable("authority");
    let missing = format!("{variable}={value}");
    let status = ["hsm", "status", "--config", "authority.toml"];
    let looping = lab.run_with(&status, &[("SIGILLO_ENVIRONMENT_SET", &missing)]).failed(1);
    assert!(looping.err.contains(&format!("started again for {variable}")), "{}", looping.err);
    // A child of a process with another token's variables starts itself again all the same.
    lab.run_with(&status, &[("SIGILLO_ENVIRONMENT_SET", &format!("{variable}=other"))]).ok();
}
