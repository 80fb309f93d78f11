//! The example is what is documented, and faults are named.

use super::*;
use crate::hsm::{Role, soft::SoftHsm};

const EXAMPLE: &str = include_str!("../../../policies/courier/courier.toml.example");

fn refused(from: &str, to: &str) -> String {
    let text = EXAMPLE.replacen(from, to, 1);
    assert_ne!(text, EXAMPLE, "{from}");
    let error = Config::parse(Path::new("/etc/c.toml"), &text).unwrap_err().to_string();
    let (_, line) = text.lines().zip(1..).find(|(l, _)| l.contains(to)).unwrap();
    error.strip_prefix(&format!("/etc/c.toml:{line}: ")).unwrap_or(&error).to_owned()
}

#[test]
fn the_example_is_accepted_and_states_the_defaults() {
    let config = Config::parse(Path::new("/etc/sigillo/courier.toml"), EXAMPLE).unwrap();
    assert_eq!(config.messages, Path::new("/etc/sigillo/messages"));
    assert_eq!(config.smtp.as_ref().unwrap().start, crate::courier::smtp::Start::Starttls);
    assert_eq!(config.limits().margin, config.smtp.as_ref().unwrap().timeout + SKEW);

    let keep = |line: &&str| {
        ![
            "at_once",
            "batch",
            "cache_mib",
            "poll_ms",
            "port",
            "reserve_mib",
            "timeout_ms",
            "tls",
            "allow_remote",
        ]
        .iter()
        .any(|k| line.strip_prefix(k).is_some_and(|rest| rest.starts_with(" =")))
    };
    let short = EXAMPLE.lines().filter(keep).collect::<Vec<_>>().join("\n");
    let defaults = Config::parse(Path::new("/etc/sigillo/courier.toml"), &short).unwrap();
    assert_eq!(format!("{defaults:?}"), format!("{config:?}"));
}

#[test]
fn faults_are_named_with_their_line() {
    assert!(refused("batch = 40", "batch = 0").starts_with("batch must be 1 to 100"));
    assert!(refused("batch = 40", "batsch = 40").starts_with("unknown field `batsch`"));
    assert!(refused("at_once = 8", "at_once = 33").starts_with("at_once must be 1 to 32"));
    assert!(refused("poll_ms = 1000", "poll_ms = 99").starts_with("poll_ms must be"));
    assert!(
        refused("directory = \"/var/lib/sigillo-courier/state\"", "directry = \"state\"")
            .starts_with("unknown field `directry`")
    );
    assert!(refused("url = \"https://", "url = \"http://").starts_with("url must be https://"));
    assert!(refused("tls = \"starttls\"", "tls = \"none\"").starts_with("unknown variant `none`"));
    assert!(refused("host = \"", "host = \"two words ").starts_with("host is neither"));
    assert!(refused("from = \"", "from = \"nobody\" #").starts_with("from is no e-mail address"));
}

#[test]
fn faults_of_the_sms_section_are_named_with_their_line() {
    for (from, to, why) in [
        ("http://127.0.0.1:13013", "http://127.0.0.1:13013?x=1#", "url must be http:// or https://"),
        ("http://127.0.0.1:13013", "http://sms.example.it:13013", "http:// is in clear: the host must be"),
        ("http://127.0.0.1:13013", "http://localhost:13013", "http:// is in clear: the host must be"),
        ("http://127.0.0.1:13013", "https://sms.example.it", "https:// needs ca_file"),
        ("http://127.0.0.1:13013", "ftp://127.0.0.1", "url must be http:// or https://"),
        ("http://127.0.0.1:13013", "http://a@127.0.0.1", "url must be http:// or https://"),
        ("# ca_file = \"tls/sms", "ca_file = \"tls/sms", "ca_file is for https:// only"),
        (
            "user = \"sigillo\"\npassword_file = \"sms",
            "user = \"città\"\npassword_file = \"sms",
            "user must be",
        ),
        ("sender = \"TS-CNS\"", "sender = \"TESSERA SANITARIA\"", "sender must be 1 to 11 ASCII"),
        ("sender = \"TS-CNS\"", "sender = \"T_S\"", "sender must be 1 to 11 ASCII"),
        ("listen = \"127.0.0.1", "listen = \"0.0.0.0", "listen is not a loopback address"),
        (
            "# url = \"http://127.0.0.1:13099\"",
            "url = \"https://courier:1\"",
            "url must be http://, host and port",
        ),
        ("key_file = \"sms", "keyfile = \"sms", "unknown field `keyfile`"),
    ] {
        let text = EXAMPLE.replacen(from, to, 1);
        assert_ne!(text, EXAMPLE, "{from}");
        let said = Config::parse(Path::new("/etc/c.toml"), &text).unwrap_err().to_string();
        assert!(said.contains(why) && said.starts_with("/etc/c.toml:"), "{to}: {said}");
    }
    let number = EXAMPLE
        .replace("\"TS-CNS\"", "\"+393331234567\"")
        .replace("allow_remote = false", "allow_remote = true");
    let number = number.replace("listen = \"127.0.0.1", "listen = \"0.0.0.0");
    Config::parse(Path::new("/etc/c.toml"), &number).unwrap();
}

#[test]
fn one_channel_is_enough_and_none_is_refused() {
    let (head, rest) = EXAMPLE.split_once("\n[smtp]\n").unwrap();
    let (smtp, sms) = rest.split_once("\n[sms]\n").unwrap();
    let parse = |text: &str| Config::parse(Path::new("c.toml"), text);
    let mail = parse(&format!("{head}\n[smtp]\n{smtp}")).unwrap();
    assert!(mail.smtp.is_some() && mail.sms.is_none());
    let short = sms.replacen("timeout_ms = 10000", "timeout_ms = 40000", 1);
    let sms = parse(&format!("{head}\n[sms]\n{short}")).unwrap();
    assert!(sms.smtp.is_none() && sms.sms.is_some());
    assert_eq!(sms.limits().margin, Duration::from_secs(42));
    let none = parse(head).unwrap_err().to_string();
    assert_eq!(none, "c.toml:1: neither [smtp] nor [sms]: nothing could be sent");
}

#[test]
fn each_channel_has_a_text_of_each_name() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("courier.toml");
    std::fs::write(&file, EXAMPLE).unwrap();
    let messages = dir.path().join("messages");
    std::fs::create_dir(&messages).unwrap();
    let mail = "Oggetto: x\n\n{control} {pin_second}\n";
    std::fs::write(messages.join("a.txt"), mail).unwrap();
    std::fs::write(messages.join("a.sms.txt"), "{control} {pin_second}\n").unwrap();
    let config = Config::load(&file).unwrap();
    config.messages().unwrap();
    std::fs::write(messages.join("b.txt"), mail).unwrap();
    let said = config.messages().unwrap_err().to_string();
    assert!(said.ends_with("messages: the text b is not there for sms"), "{said}");
    std::fs::write(&file, EXAMPLE.split_once("\n[sms]\n").unwrap().0).unwrap();
    Config::load(&file).unwrap().messages().unwrap();
}

#[test]
fn a_password_for_all_to_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("courier.toml");
    std::fs::write(&file, EXAMPLE.replace("smtp.password", "password")).unwrap();
    let password = dir.path().join("password");
    let config = Config::load(&file).unwrap();
    for (mode, text, why) in [
        (0o644, "segreta", "0644"),
        (0o400, "", "not a password on one line"),
        (0o400, "due\nrighe", "not a password on one line"),
    ] {
        std::fs::write(&password, text).unwrap();
        std::fs::set_permissions(&password, std::fs::Permissions::from_mode(mode)).unwrap();
        let clock = Arc::new(crate::clock::ManualClock::new(0));
        let error = config.mail(None, clock).err().unwrap().to_string();
        assert!(error.contains("password") && error.contains(why), "{error}");
        std::fs::remove_file(&password).unwrap();
    }
}

#[test]
fn the_authoritys_audit_key_is_a_p256_key_that_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config::parse(&dir.path().join("courier.toml"), EXAMPLE).unwrap();
    let file = dir.path().join("authority-audit.pub.pem");
    let said = || config.audit_keys().unwrap_err().to_string();
    assert!(said().contains("authority-audit.pub.pem"));
    std::fs::write(&file, "no key").unwrap();
    assert!(said().contains("no public key in PEM form"), "{}", said());
    let token = SoftHsm::new(Role::Courier).unwrap();
    std::fs::write(&file, token.contact_public_pem().unwrap()).unwrap();
    assert!(said().contains("not a P-256 key"), "{}", said());
    let former = SoftHsm::new(Role::Courier).unwrap();
    let pem = |token: &SoftHsm| pem::encode(&pem::Pem::new("PUBLIC KEY", token.audit_public_key()));
    std::fs::write(&file, pem(&token)).unwrap();
    assert_eq!(config.audit_keys().unwrap(), [token.audit_public_key()]);
    std::fs::write(&file, pem(&token) + &pem(&former)).unwrap();
    assert_eq!(config.audit_keys().unwrap(), [token.audit_public_key(), former.audit_public_key()]);
    std::fs::write(&file, pem(&token) + &token.contact_public_pem().unwrap()).unwrap();
    assert!(said().contains("not a P-256 key"), "{}", said());
    assert!(refused("audit_key = ", "# audit_key = ").contains("missing field `audit_key`"));
}

/// The example with the message centre in the place of the gateway.
fn by_smpp() -> String {
    let (head, sms) = EXAMPLE.split_once("\n[sms]\n").unwrap();
    let (_, smpp) = sms.split_once("# [sms.smpp]\n").unwrap();
    let (smpp, _) = smpp.split_once("\n\n").unwrap();
    let lines: String = smpp.lines().map(|line| line.strip_prefix("# ").unwrap().to_owned() + "\n").collect();
    format!("{head}\n[sms]\nsender = \"TS-CNS\"\n[sms.smpp]\n{lines}")
}

#[test]
fn a_message_centre_stands_in_the_place_of_a_gateway() {
    let parse = |text: &str| Config::parse(Path::new("/etc/c.toml"), text);
    let config = parse(&by_smpp()).unwrap();
    assert!(config.http().is_none() && config.profile().connect.contains(&3550));
    assert_eq!(config.limits().margin, Duration::from_secs(12));
    let short = |line: &&str| {
        !["port = 3550", "tls = true", "enquire_s", "system_type"].iter().any(|k| line.starts_with(k))
    };
    let defaults = parse(&by_smpp().lines().filter(short).collect::<Vec<_>>().join("\n")).unwrap();
    assert_eq!(format!("{:?}", defaults.sms), format!("{:?}", config.sms));
    for (from, to, why) in [
        ("tls = true", "tls = false", "ca_file is for tls = true only"),
        ("tls = true\n# CA", "tls = false\n# CA", "ca_file is for tls = true only"),
        ("ca_file = \"tls/smsc-ca.pem\"", "", ""),
        ("system_id = \"sigillo\"", "system_id = \"longer than fifteen\"", "system_id must be at most 15"),
        ("system_id = \"sigillo\"", "system_id = \"\"", "system_id must be at most 15"),
        ("system_type = \"\"", "system_type = \"città\"", "system_type must be at most 12"),
        ("enquire_s = 30", "enquire_s = 0", "enquire_s must be 1 to 600"),
        ("[sms.smpp]", "user = \"x\"\n[sms.smpp]", "[sms.smpp] stands in the place of"),
        ("[sms.smpp]", "url = \"http://127.0.0.1\"\n[sms.smpp]", "[sms.smpp] stands in the place of"),
        ("host = \"smsc.example.it\"", "host = \"two words\"", "host is neither"),
    ] {
        let text = by_smpp();
        let (before, smpp) = text.split_once("[sms]").unwrap();
        assert!(smpp.contains(from), "{from}");
        let said = parse(&format!("{before}[sms]{}", smpp.replacen(from, to, 1)));
        match said {
            Ok(_) => assert_eq!(why, "", "{to}"),
            Err(said) => assert!(!why.is_empty() && said.to_string().contains(why), "{to}: {said}"),
        }
    }
    // In clear on this machine alone.
    let clear = by_smpp().replace("tls = true", "tls = false").replace("ca_file = \"tls/smsc-ca.pem\"", "");
    for (host, is_taken) in
        [("127.0.0.1", true), ("::1", true), ("localhost", false), ("smsc.example.it", false)]
    {
        let parsed = parse(&clear.replace("smsc.example.it", host));
        assert_eq!(parsed.is_ok(), is_taken, "{host}");
        assert!(is_taken || parsed.unwrap_err().to_string().contains("tls = false is in clear"), "{host}");
    }
    let neither = parse(by_smpp().split_once("[sms.smpp]").unwrap().0).unwrap_err().to_string();
    assert!(neither.ends_with("[sms] needs url, user and password_file, or [sms.smpp]"), "{neither}");
}

#[test]
fn a_directory_of_bounces_must_be_there_and_its_key_be_private() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("courier.toml");
    std::fs::write(&file, EXAMPLE.replace("/var/mail/sigillo-rimbalzi", "rimbalzi")).unwrap();
    let config = Config::load(&file).unwrap();
    let key = dir.path().join("smtp-bounces.key");
    std::fs::write(&key, "5a".repeat(32)).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let said = || config.bounces().unwrap_err().to_string();
    assert!(said().contains("smtp-bounces.key") && said().contains("0644"), "{}", said());
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o400)).unwrap();
    assert!(said().ends_with("rimbalzi/new: not a directory: a Maildir has one of this name"), "{}", said());
    std::fs::create_dir_all(dir.path().join("rimbalzi/new")).unwrap();
    assert!(config.bounces().unwrap().is_some());
    assert!(
        refused("address = \"rimbalzi@", "address = \"\" # ").starts_with("address is no e-mail address")
    );
}
