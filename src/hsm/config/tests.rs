//! Refusals name file, line and reason.

use std::os::unix::fs::PermissionsExt;

use super::*;

const GOOD: &str =
    "role = \"authority\"\nmodule = \"/lib/p11.so\"\n[token]\nlabel = \"a\"\n[pin]\nfile = \"pin\"\n";

fn refusal(text: &str) -> String {
    Config::parse(Path::new("etc/a.toml"), text).unwrap_err().to_string()
}

#[test]
fn defaults_and_relative_paths() {
    let text = format!("{GOOD}[environment]\nSOFTHSM2_CONF = \"soft.conf\"\n");
    let config = Config::parse(Path::new("/etc/sigillo/a.toml"), &text).unwrap();
    assert_eq!((config.role, config.key_version, config.workers), (Role::Authority, 1, 2));
    assert_eq!((config.limits.queue, config.limits.deadline), (1024, Duration::from_millis(2000)));
    assert_eq!(config.mac_key_type, MacKeyType::GenericSecret);
    assert_eq!(config.session_copies, SessionCopies::Auto);
    assert_eq!(
        config.missing_environment().unwrap(),
        [("SOFTHSM2_CONF".to_owned(), "/etc/sigillo/soft.conf".to_owned())]
    );
}

/// Not every value of a module's variable is a path: p11-kit's is an address.
#[test]
fn a_variable_that_is_no_path_is_taken_as_it_is() {
    let text = format!("{GOOD}[environment]\nP11_KIT_SERVER_ADDRESS = {{ text = \"unix:path=/run/x\" }}\n");
    let config = Config::parse(Path::new("/etc/sigillo/a.toml"), &text).unwrap();
    assert_eq!(
        config.missing_environment().unwrap(),
        [("P11_KIT_SERVER_ADDRESS".to_owned(), "unix:path=/run/x".to_owned())]
    );
}

#[test]
fn shipped_examples_are_accepted() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("hsm-config");
    for (name, role) in [("authority", Role::Authority), ("courier", Role::Courier)] {
        let config = Config::load(&dir.join(format!("{name}.toml.example"))).unwrap();
        assert_eq!(config.role, role);
        assert_eq!(config.token.label, Some(format!("sigillo-{name}")));
        let (variable, value) = config.missing_environment().unwrap().remove(0);
        assert_eq!(variable, "SOFTHSM2_CONF");
        assert!(Path::new(&format!("{value}.example")).is_file(), "{value}");
        // What is commented out is right as well.
        let text = std::fs::read_to_string(config.file()).unwrap();
        let text = text
            .replace("# serial =", "serial =")
            .replace("# slot =", "slot =")
            .replace("# [so_pin]", "[so_pin]");
        let text = text.replace(&format!("# file = \"{name}-so"), &format!("file = \"{name}-so"));
        assert!(Config::parse(Path::new("x"), &text).unwrap().so_pin.is_some());
    }
}

#[test]
fn refused_with_line_and_reason() {
    for (text, says) in [
        (GOOD.replace("authority", "both"), "etc/a.toml:1: unknown variant `both`"),
        (format!("{GOOD}[pool]\nworker = 2\n"), "etc/a.toml:8: unknown field `worker`"),
        (format!("{GOOD}[pool]\nworkers = 0\n"), "etc/a.toml:8: pool.workers must be 1 to 256"),
        (format!("{GOOD}[pool]\n\nqueue = 0\n"), "etc/a.toml:9: pool.queue must be"),
        (format!("{GOOD}[pool]\ndeadline_ms = 1\n"), "etc/a.toml:8: pool.deadline_ms must be"),
        (format!("{GOOD}[pool]\nprobe_ms = 1\n"), "etc/a.toml:8: pool.probe_ms must be"),
        (format!("{GOOD}[keys]\nversion = 100\n"), "etc/a.toml:8: keys.version must be 1 to 99"),
        (format!("{GOOD}[keys]\ntype = \"aes\"\n"), "etc/a.toml:8: unknown variant `aes`"),
        (format!("{GOOD}[keys]\nsession_copies = \"on\"\n"), "etc/a.toml:8: unknown variant `on`"),
        (format!("{GOOD}[environment]\nA = 1\n"), "etc/a.toml:8: a variable is a path, or { text"),
        (format!("{GOOD}[environment]\nA = {{ value = \"x\" }}\n"), "etc/a.toml:8: a variable is a path, or"),
        (GOOD.replace("label = \"a\"", ""), "etc/a.toml:3: [token] needs a label, a serial or a slot"),
        (GOOD.replace("\"a\"", "\"\""), "token label must have 1 to 32 bytes"),
        (GOOD.replace("/lib/p11.so", ""), "etc/a.toml:2: module must be the path"),
        (GOOD.replace("file = \"pin\"", ""), "etc/a.toml:5: give file or credential"),
        (format!("{GOOD}credential = \"x\"\n"), "etc/a.toml:5: give file or credential, not both"),
        (GOOD.replace("file = \"pin\"", "credential = \"../x\""), "credential must be a plain name"),
        (format!("{GOOD}[environment]\nPATHé = \"x\"\n"), "etc/a.toml:8:"),
        (format!("{GOOD}[environment]\nLD_PRELOAD = \"x\"\n"), "etc/a.toml:8: LD_ variables"),
        (GOOD.replace("[token]\nlabel = \"a\"\n", ""), "missing field `token`"),
    ] {
        let got = refusal(&text);
        assert!(got.contains(says), "{got:?} does not say {says:?}");
    }
}

#[test]
fn pin_file_rules() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.toml");
    std::fs::write(&file, GOOD).unwrap();
    let config = Config::load(&file).unwrap();
    let pin = dir.path().join("pin");
    assert!(config.pin().unwrap_err().to_string().contains("cannot be opened"));
    let write = |text: &[u8], mode: u32| {
        drop(std::fs::remove_file(&pin));
        std::fs::write(&pin, text).unwrap();
        std::fs::set_permissions(&pin, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for (text, mode, says) in [
        (&b"1234"[..], 0o644, "mode 0644; it must be 0400 or 0600"),
        (b"1234", 0o440, "mode 0440"),
        (b"", 0o400, "is empty"),
        (b"\n", 0o400, "is empty"),
        (b"12\n34\n", 0o400, "one line"),
        (b"\xff\xff", 0o400, "UTF-8"),
        (&[b'1'; 256], 0o400, "longer than 255"),
    ] {
        write(text, mode);
        let got = config.pin().unwrap_err().to_string();
        assert!(got.contains(says) && got.contains("/pin:"), "{got:?} does not say {says:?}");
    }
    for (text, mode) in [(&b"1234\n"[..], 0o400), (b"1234\r\n", 0o600), (b"1234", 0o600)] {
        write(text, mode);
        assert_eq!(config.pin().unwrap().expose(), b"1234");
    }
    write(&[b'1'; 255], 0o400);
    assert_eq!(config.pin().unwrap().expose().len(), 255);
    assert!(config.so_pin().unwrap().is_none());
}

#[test]
fn owner_of_the_pin_file_is_us_or_root() {
    // Only root can give files away.
    if rustix::process::geteuid().is_root() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.toml");
        std::fs::write(&file, GOOD).unwrap();
        let pin = dir.path().join("pin");
        std::fs::write(&pin, "1234").unwrap();
        std::fs::set_permissions(&pin, std::fs::Permissions::from_mode(0o400)).unwrap();
        std::os::unix::fs::chown(&pin, Some(12345), None).unwrap();
        let got = Config::load(&file).unwrap().pin().unwrap_err().to_string();
        assert!(got.contains("belongs neither"), "{got}");
    }
}
