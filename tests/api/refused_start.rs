//! What must not start, does not, and says why: exit 64 for what is to be corrected in a file, 1 for the rest.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::fixture::{Installation, process::Ran};

fn serve(home: &Installation) -> Ran {
    home.sigillo(&["serve", "--config", home.path("authority/serve.toml").to_str().unwrap()])
}

#[track_caller]
fn says(ran: &Ran, parts: &[&str]) {
    let last = ran.err.lines().last().unwrap_or_default();
    for part in parts {
        assert!(last.contains(part), "{part:?} is missing in {:?}", ran.err);
    }
}

/// SoftHSM writes its token object at each wrong PIN; its first eight bytes count that.
fn written(home: &Installation) -> u64 {
    let token = fs::read_dir(home.path("authority/tokens")).unwrap().next().unwrap().unwrap().path();
    u64::from_be_bytes(fs::read(token.join("token.object")).unwrap()[..8].try_into().unwrap())
}

#[test]
fn a_wrong_token_pin_is_tried_once() {
    let home = Installation::new();
    let right = fs::read_to_string(home.path("authority/pin")).unwrap();
    let wrong = "f".repeat(32);
    fs::write(home.path("authority/pin"), &wrong).unwrap();
    let before = written(&home);
    let ran = serve(&home).ended(1);
    says(&ran, &["demo-authority", "refused the login", "one attempt was made and no other will be"]);
    assert!(!ran.err.contains(&wrong) && !ran.err.contains(&right), "{}", ran.err);
    assert_eq!(written(&home), before + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_serve_on_the_same_store_is_refused() {
    let home = Installation::shared().await;
    let ran = serve(&home).ended(1);
    says(&ran, &[home.path("authority/store").to_str().unwrap(), "already open"]);
    let card = home.cards(1).await.remove(0);
    assert_eq!(card.look_up(&home.api("desk")).await["state"], "registered");
}

#[test]
fn a_missing_store_is_never_begun_anew() {
    let home = Installation::new();
    let store = home.path("authority/store");
    fs::remove_dir_all(&store).unwrap();
    says(&serve(&home).ended(1), &["no store in", store.to_str().unwrap()]);
    assert!(!store.exists());
    fs::create_dir(&store).unwrap();
    says(&serve(&home).ended(1), &["no store in", store.to_str().unwrap()]);
    // To make one is a command of its own. Beside a token that remembers a log it makes none, and says what to do.
    fs::remove_dir(&store).unwrap();
    let init = |home: &Installation| home.sigillo(&["init", "--config", "authority/serve.toml"]);
    let refused = init(&home).ended(1);
    says(&refused, &["the token remembers log \"demo\" up to event", "sigillo restore", "sigillo recover"]);
    assert!(!store.exists());
    // A token that cannot be asked is said.
    fs::rename(home.path("authority/pin"), home.path("elsewhere")).unwrap();
    let made = init(&home).ended(0);
    assert!(made.err.contains("whether token and witnesses remember a log is not known"), "{}", made.err);
    fs::rename(home.path("elsewhere"), home.path("authority/pin")).unwrap();
    says(&serve(&home).ended(1), &["its log ends at event 0"]);
    // It does not touch one that is there.
    says(&init(&home).ended(1), &["is there already"]);

    let new = Installation::unserved();
    fs::remove_dir_all(new.path("authority/store")).unwrap();
    let witness = new.path("witness");
    fs::create_dir(&witness).unwrap();
    let file = new.path("authority/serve.toml");
    let table = format!("\n[witness]\nfile = {:?}\n", witness.join("checkpoint"));
    fs::write(&file, fs::read_to_string(&file).unwrap() + &table).unwrap();
    init(&new).ended(0);
    assert!(new.path("authority/store").exists());
}

/// What `serve` would fail at when it starts, `--check` says before, and changes nothing.
#[test]
fn a_check_looks_at_store_and_witness() {
    let home = Installation::new();
    let store = home.path("authority/store");
    let check = || home.sigillo(&["serve", "--config", "authority/serve.toml", "--check"]);
    let holds = "authority/serve.toml holds: policy ";
    let whole = check().ended(0);
    assert!(whole.out.starts_with(holds) && !whole.err.contains("crl"), "{}", whole.err);
    // It would start, and refuse every operator.
    let (lists, away) = (home.path("authority/crls"), home.path("authority/no-crls"));
    fs::rename(&lists, &away).unwrap();
    says(&check().ended(0), &["demo.crl", "crl_missing"]);
    fs::rename(&away, &lists).unwrap();
    fs::rename(&store, home.path("elsewhere")).unwrap();
    let said = check().ended(1);
    says(&said, &["`serve` would not start here", "no store in", "sigillo init"]);
    assert!(said.out.starts_with(holds), "what holds is still said");
    assert!(!store.exists());
    fs::write(&store, "no directory").unwrap();
    says(&check().ended(1), &["no store in"]);
    fs::remove_file(&store).unwrap();
    fs::rename(home.path("elsewhere"), &store).unwrap();
    home.edit("authority/serve.toml", "[store]\n", "[store]\nreserve_mib = 1000000000\n");
    says(&check().ended(1), &["MiB free, less than 1000000000 MiB"]);
    home.edit("authority/serve.toml", "[store]\nreserve_mib = 1000000000\n", "[store]\n");

    // What the user who asks may not write; root only without its right to write everywhere.
    let mode = |path: &str, mode: u32| {
        fs::set_permissions(home.path(path), fs::Permissions::from_mode(mode)).unwrap();
    };
    for (path, bad, good) in [
        ("authority/store", 0o500, 0o700),
        ("authority/store/db", 0o400, 0o600),
        ("authority/store/blobs", 0o500, 0o700),
    ] {
        mode(path, bad);
        let said = home.sigillo_without_rights(&["serve", "--config", "authority/serve.toml", "--check"]);
        let said = (said.status.code(), String::from_utf8(said.stderr).unwrap());
        mode(path, good);
        let named = format!("{path}: Permission denied");
        assert!(said.0 == Some(1) && said.1.contains(&named), "{path}: {said:?}");
    }

    let file = home.path("authority/serve.toml");
    let table = format!("\n[witness]\nfile = {:?}\n", home.path("witness/checkpoint"));
    fs::write(&file, fs::read_to_string(&file).unwrap() + &table).unwrap();
    says(&check().ended(1), &["witness.file: ", "/witness: No such file"]);
    fs::create_dir(home.path("witness")).unwrap();
    check().ended(0);
    fs::create_dir(home.path("witness/checkpoint")).unwrap();
    says(&check().ended(1), &["witness/checkpoint: it is no plain file"]);
    fs::remove_dir(home.path("witness/checkpoint")).unwrap();
    assert_eq!(fs::read_dir(home.path("witness")).unwrap().count(), 0, "nothing is written");
    mode("witness", 0o500);
    let said = home.sigillo_without_rights(&["serve", "--config", "authority/serve.toml", "--check"]);
    mode("witness", 0o700);
    let said = String::from_utf8(said.stderr).unwrap();
    assert!(said.contains("/witness: Permission denied"), "{said}");
    fs::remove_dir(home.path("witness")).unwrap();
    fs::write(home.path("witness"), "no directory").unwrap();
    says(&check().ended(1), &["/witness: it is no directory"]);
}

#[test]
fn a_courier_that_has_forgotten_everything_does_not_start() {
    let home = Installation::new();
    let state = home.path("courier/state");
    let courier = || home.sigillo(&["courier", "--once", "--config", "courier/courier.toml"]);
    fs::remove_dir_all(&state).unwrap();
    says(&courier().ended(1), &["no store in", "courier/state"]);
    assert!(!state.exists());
    home.sigillo(&["init", "--courier", "courier/courier.toml"]).ended(0);
    says(&home.sigillo(&["init", "--courier", "courier/courier.toml"]).ended(1), &["is there already"]);
    // A store there now, and nobody to lease from: another complaint.
    assert!(!courier().ended(1).err.contains("no store in"));
}

#[test]
fn a_disk_without_the_reserve_is_refused() {
    let home = Installation::new();
    home.edit("authority/serve.toml", "[store]\n", "[store]\nreserve_mib = 1000000000\n");
    says(&serve(&home).ended(1), &["MiB free, less than 1000000000 MiB"]);
}

#[test]
fn a_bad_configuration_is_refused_with_file_line_and_reason() {
    for (file, from, to, parts) in [
        (
            "serve.toml",
            "log = \"demo\"\n",
            "log = \"demo\"\ncolour = 1\n",
            &["serve.toml, line 2", "unknown field `colour`"][..],
        ),
        ("serve.toml", "log = \"demo\"\n", "log = 7\n", &["serve.toml, line 1", "expected a string"]),
        ("serve.toml", "log = \"demo\"\n", "log = \"Demo!\"\n", &["serve.toml", "name of the audit log"]),
        ("serve.toml", "log = \"demo\"\n", "", &["serve.toml", "missing field `log`"]),
        ("serve.toml", "log = \"demo\"\n", "log = \"demo\n", &["serve.toml, line 1"]),
        ("serve.toml", "[store]\n", "[limits]\nbody_bytes = 0\n[store]\n", &["serve.toml", "body_bytes"]),
        ("serve.toml", "tls/server.pem", "tls/nothing.pem", &["nothing.pem", "No such file"]),
        ("serve.toml", "hsm.toml", "nothing.toml", &["nothing.toml"]),
        ("hsm.toml", "role = \"authority\"", "role = \"courier\"", &["must have the role"]),
        ("hsm.toml", "[token]\n", "[token]\ncolour = 1\n", &["hsm.toml:5: ", "unknown field `colour`"]),
        (
            "policies/authority.toml",
            "tick_ms = 20",
            "tick_ms = 0",
            &["authority.toml", "verification.tick_ms = 0: must be 1 to 1000"],
        ),
        (
            "policies/authority.toml",
            "tick_ms = 20",
            "tick_ms = \"x\"",
            &["authority.toml, line 10", "invalid type"],
        ),
        (
            "policies/authority.toml",
            "default = \"IT/1\"",
            "default = \"IT/9\"",
            &["authority.toml", "template IT/9"],
        ),
        ("policies/callers.toml", "\"register\"", "\"everything\"", &["callers.toml, line 21", "everything"]),
        (
            "policies/callers.toml",
            "[\"courier\"]",
            "[\"courier\", \"activate\"]",
            &["callers.toml", "split knowledge"],
        ),
        ("policies/templates/default.toml", "first = 2", "first = 9", &["default.toml", "pin"]),
    ] {
        let home = Installation::new();
        home.edit(&format!("authority/{file}"), from, to);
        for check in [true, false] {
            if check && to.contains("nothing.pem") {
                continue; // certificates are read when they are used
            }
            let arguments = ["serve", "--config", "authority/serve.toml", "--check"];
            let ran = home.sigillo(&arguments[..if check { 4 } else { 3 }]).ended(64);
            says(&ran, parts);
        }
    }
    let home = Installation::new();
    home.sigillo(&["serve", "--config", "authority/serve.toml", "--check"]).ended(0);
    fs::remove_file(home.path("authority/policies/callers.toml")).unwrap();
    says(&serve(&home).ended(64), &["callers.toml", "missing"]);
    says(&home.sigillo(&["serve", "--config", "nothing.toml"]).ended(64), &["nothing.toml", "No such file"]);
    home.sigillo(&["serve"]).ended(64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_in_use_cannot_be_changed() {
    let mut home = Installation::serving().await;
    home.cards(1).await;
    home.serve.as_mut().unwrap().terminate();
    assert_eq!(home.serve.as_mut().unwrap().wait().await, Some(0));
    for template in ["trento", "default", "piemonte"] {
        let file = format!("authority/policies/templates/{template}.toml");
        home.edit(&file, "in_a_row = 5", "in_a_row = 50");
    }
    says(&serve(&home).ended(1), &["is in use by cards and was changed"]);
    for template in ["trento", "default", "piemonte"] {
        let file = format!("authority/policies/templates/{template}.toml");
        home.edit(&file, "in_a_row = 50", "in_a_row = 5");
    }
    home.start().await;
}
