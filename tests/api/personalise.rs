//! Chips' codes, made offline with both tokens: whole, for the bureau alone, and the ones that citizens get.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
};

use tempfile::TempDir;

use crate::fixture::{
    Card, Installation, arrived, eventually,
    process::{Process, Ran, SIGILLO},
    relay::Mail,
};

/// How many cards, and for how many of them the citizen's way is gone too: more by these variables.
fn sizes() -> (usize, usize) {
    let read = |name, shipped| {
        std::env::var_os(name).map_or(shipped, |text| text.to_str().unwrap().parse().unwrap())
    };
    (read("SIGILLO_BUREAU_CARDS", 300), read("SIGILLO_BUREAU_SAMPLE", 5))
}

fn openssl(arguments: &[&str], at: &Path) -> Output {
    let output = Command::new("openssl").args(arguments).current_dir(at).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// A bureau with a certificate of its own. Its private key is nowhere near the installation.
struct Bureau(TempDir);

impl Bureau {
    fn new() -> Self {
        let bureau = Self(tempfile::tempdir().unwrap());
        bureau.certificate("bureau", &["-newkey", "rsa:3072"], &["-days", "30"], "critical,keyEncipherment");
        bureau
    }

    fn at(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    /// Makes `NAME.pem` and `NAME.key`.
    fn certificate(&self, name: &str, key: &[&str], days: &[&str], usage: &str) {
        let (pem, private, usage) =
            (format!("{name}.pem"), format!("{name}.key"), format!("keyUsage={usage}"));
        let fixed = ["req", "-x509", "-nodes", "-subj", "/O=Card bureau/CN=Chips", "-out", &pem, "-keyout"];
        openssl(&[&fixed, &[&private, "-addext", &usage][..], key, days].concat(), self.0.path());
    }

    fn sha256(&self, name: &str) -> String {
        let said = openssl(
            &["x509", "-noout", "-fingerprint", "-sha256", "-in", &format!("{name}.pem")],
            self.0.path(),
        );
        let said = String::from_utf8(said.stdout).unwrap();
        said.trim().split_once('=').unwrap().1.to_owned()
    }

    /// What is in an encrypted file.
    fn open(&self, file: &Path) -> String {
        let file = file.to_str().unwrap();
        let opened = openssl(
            &[
                "cms",
                "-decrypt",
                "-inform",
                "DER",
                "-in",
                file,
                "-recip",
                "bureau.pem",
                "-inkey",
                "bureau.key",
            ],
            self.0.path(),
        );
        String::from_utf8(opened.stdout).unwrap()
    }
}

/// PIN and PUK by TEAM number.
fn codes(csv: &str) -> BTreeMap<String, (String, String)> {
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("team_number,pin,puk"));
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            let [team, pin, puk] = fields[..] else { panic!("a line of three fields") };
            (team.to_owned(), (pin.to_owned(), puk.to_owned()))
        })
        .collect()
}

/// Writes the batch of these cards and exports it.
fn export(home: &Installation, cards: &[Card]) {
    let lines: Vec<String> = cards.iter().map(|card| card.printed().to_string()).collect();
    fs::write(home.path("batch.ndjson"), lines.join("\n")).unwrap();
    let out = ["--out", "batch.cards", "batch.ndjson"];
    let said = home.sigillo_as("personalisation", &["cards", "export"], &out).ended(0).out;
    assert!(said.contains(&format!("{} cards in batch.cards", cards.len())), "{said}");
}

/// The arguments of a run for this bureau; `changes` replace values of options.
fn arguments(bureau: &Bureau, changes: &[(&str, &str)]) -> Vec<String> {
    let (pem, sha256) = (bureau.at("bureau.pem"), bureau.sha256("bureau"));
    let mut all = vec!["personalise".to_owned(), "make".into(), "--may-swap".into()];
    for (option, value) in [
        ("--authority", "authority/hsm.toml"),
        ("--courier", "courier/hsm.toml"),
        ("--cards", "batch.cards"),
        ("--certificate", &pem),
        ("--certificate-sha256", &sha256),
        ("--journal", "runs.ndjson"),
        ("--out", "chips"),
    ] {
        let value = changes.iter().find(|(name, _)| *name == option).map_or(value, |(_, value)| *value);
        all.extend([option.to_owned(), value.to_owned()]);
    }
    all
}

fn make(home: &Installation, bureau: &Bureau, changes: &[(&str, &str)]) -> Ran {
    let arguments = arguments(bureau, changes);
    home.sigillo(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Whether a PIN is followed by the PUK of the same card, with at most eight bytes between them.
fn has_codes(bytes: &[u8], codes: &BTreeMap<String, (String, String)>) -> bool {
    let mut of_pin: HashMap<&[u8], Vec<&[u8]>> = HashMap::new();
    for (pin, puk) in codes.values() {
        of_pin.entry(pin.as_bytes()).or_default().push(puk.as_bytes());
    }
    (0..bytes.len().saturating_sub(12)).any(|at| {
        let puks = of_pin.get(&bytes[at..at + 5]).into_iter().flatten();
        let rest = &bytes[at + 5..bytes.len().min(at + 21)];
        puks.into_iter().any(|puk| rest.windows(8).any(|window| window == *puk))
    })
}

/// Every file of a directory and below.
fn files(directory: &Path) -> Vec<PathBuf> {
    let (mut found, mut open) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.is_file() {
                found.push(path); // no sockets
            }
        }
    }
    found
}

const KEYS: [&str; 4] =
    ["--public-key", "authority/public/audit.pub.pem", "--courier-key", "courier/public/audit.pub.pem"];

#[tokio::test(flavor = "multi_thread")]
async fn codes_open_with_the_bureaus_key_alone_and_are_the_ones_that_citizens_get() {
    let (count, sample) = sizes();
    let mut home = Installation::new();
    home.lift_courier_limits();
    home.start().await;
    home.start_courier();
    let bureau = Bureau::new();
    let mut cards = Vec::new();
    while cards.len() < count {
        cards.extend(home.cards((count - cards.len()).min(5000)).await);
    }
    export(&home, &cards);
    let ran = make(&home, &bureau, &[]).ended(0);
    assert!(ran.out.contains(&format!("{count} cards in {} files", count.div_ceil(10_000))), "{}", ran.out);

    let mut made = BTreeMap::new();
    for n in 1..=count.div_ceil(10_000) {
        made.extend(codes(&bureau.open(&home.path(&format!("chips/cards-{n:04}.p7m")))));
    }
    assert_eq!(made.len(), count);
    for card in &cards {
        let (pin, puk) = &made[&card.team_number];
        assert_eq!((pin.len(), puk.len()), (5, 8));
    }

    // On the citizens' way: first parts from the authority on paper, second parts from the courier by mail.
    let desk = Arc::new(home.api("desk"));
    let sampled: Vec<Card> = cards.iter().step_by(count / sample).take(sample).cloned().collect();
    let mut activated = Vec::new();
    for some in sampled.chunks(250) {
        activated.extend(home.all_activated(&desk, some).await);
        arrived(&home, activated.len(), Installation::mail_count).await;
    }
    let mails: HashMap<String, Mail> =
        home.all_mails().into_iter().map(|mail| (mail.after("X-Rcpt-To"), mail)).collect();
    for active in &activated {
        let second = active.second_parts_in(&mails[&active.address]);
        let whole = |code: &str| format!("{}{}", active.first_parts[code], second[code]);
        let number = &active.card.team_number;
        assert_eq!(made[number], (whole("PIN"), whole("PUK")), "{number}");
    }

    // Nothing in clear: no card's two codes near each other, whatever is between them.
    let whole = made.values().map(|(pin, puk)| format!("{pin},{puk}")).collect::<Vec<_>>().join("\n");
    assert!(has_codes(whole.as_bytes(), &made), "they would be found");
    for file in files(home.directory()) {
        assert!(!has_codes(&fs::read(&file).unwrap(), &made), "{} has a card's codes", file.display());
    }

    // The bureau's look at it, with this program and without.
    let check = |more: &[&str]| home.sigillo(&[&["personalise", "check"], &KEYS[..], more].concat());
    assert!(check(&["chips"]).ended(0).out.contains(&format!("cards {count}\n")));
    let by_hand = ["-signature", "chips/manifest.sig", "chips/manifest.txt"];
    openssl(&[&["dgst", "-sha256", "-verify", KEYS[1]], &by_hand[..]].concat(), home.directory());
    let by_hand = ["-signature", "chips/manifest.courier.sig", "chips/manifest.txt"];
    openssl(&[&["dgst", "-sha256", "-verify", KEYS[3]], &by_hand[..]].concat(), home.directory());
    let manifest = fs::read_to_string(home.path("chips/manifest.txt")).unwrap();
    assert!(cards.iter().take(50).all(|card| !manifest.contains(&card.team_number)), "{manifest}");

    // Every use of a key is accounted for.
    home.sigillo(&["audit", "verify", KEYS[0], KEYS[1], "runs.ndjson"]).ended(0);
    let counted = home.sigillo(&["audit", "operations", "--json", "runs.ndjson"]).ended(0).out;
    let counted: serde_json::Value = serde_json::from_str(&counted).unwrap();
    let total = &counted["total"];
    assert_eq!((&total["least"], &total["unfinished"]), (&total["most"], &0.into()), "{counted}");
    let least = |key: &str| total["least"][key].as_u64().unwrap();
    let twice = u64::try_from(2 * count).unwrap();
    assert!(least("print") >= twice && least("deliver") >= twice, "{counted}");
    assert_eq!(least("verify"), 2);

    // What was changed on the way to the bureau is found.
    let file = home.path("chips/cards-0001.p7m");
    let good = fs::read(&file).unwrap();
    let mut bad = good.clone();
    let last = bad.len() - 1;
    bad[last] ^= 1;
    fs::write(&file, bad).unwrap();
    assert!(check(&["chips"]).ended(1).err.contains("cards-0001.p7m: changed"));
    fs::write(&file, &good).unwrap();
    fs::write(home.path("chips/cards-0009.p7m"), &good).unwrap();
    assert!(check(&["chips"]).ended(1).err.contains("the manifest does not name this file"));
    fs::remove_file(home.path("chips/cards-0009.p7m")).unwrap();
    fs::write(home.path("chips/manifest.txt"), manifest.replacen("cards ", "cards 1", 1)).unwrap();
    assert!(check(&["chips"]).ended(1).err.contains("manifest.sig: the signature over manifest.txt"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_as_it_must_be_makes_nothing_and_says_why() {
    let home = Installation::serving().await;
    let bureau = Bureau::new();
    let rsa = ["-newkey", "rsa:2048"];
    bureau.certificate("weak", &["-newkey", "rsa:1024"], &["-days", "30"], "keyEncipherment");
    bureau.certificate("signing", &rsa, &["-days", "30"], "digitalSignature");
    bureau.certificate(
        "curve",
        &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
        &["-days", "30"],
        "keyEncipherment",
    );
    expired(&bureau);
    export(&home, &home.cards(3).await);
    let exported = fs::read_to_string(home.path("batch.cards")).unwrap();
    for (name, text) in [
        ("changed.cards", exported.replacen("\"pin\":1", "\"pin\":2", 1)),
        ("twice.cards", exported.repeat(2)),
        ("cut.cards", exported[..exported.len() - 200].to_owned()),
        ("none.cards", String::new()),
    ] {
        fs::write(home.path(name), text).unwrap();
    }
    let with_wrong_pin = |role: &str| {
        let config = fs::read_to_string(home.path(&format!("{role}/hsm.toml"))).unwrap();
        let name = format!("{role}/wrong.toml");
        fs::write(home.path(&name), config.replacen("file = \"pin\"", "file = \"wrong-pin\"", 1)).unwrap();
        fs::copy(home.path(&format!("{role}/pin")), home.path(&format!("{role}/wrong-pin"))).unwrap();
        fs::write(home.path(&format!("{role}/wrong-pin")), "0000000000000000\n").unwrap();
        name
    };
    let (wrong_authority, wrong_courier) = (with_wrong_pin("authority"), with_wrong_pin("courier"));
    other_installation(&home);

    let pem = |name: &str| (bureau.at(&format!("{name}.pem")), bureau.sha256(name));
    let refused = |changes: &[(&str, &str)], code: i32, says: &str| {
        let ran = make(&home, &bureau, changes).ended(code);
        assert!(ran.err.contains(says), "{changes:?}: {}", ran.err);
        assert!(ran.out.is_empty() && !home.path("chips").exists(), "{changes:?}");
        assert!(!home.path("chips.writing").exists(), "{changes:?}");
    };
    for (name, says) in [
        ("weak", "its RSA key has 1024 bits, 2048 are the least"),
        ("signing", "no keyEncipherment"),
        ("curve", "its key is not RSA"),
        ("expired", "the certificate expired"),
    ] {
        let (pem, sha256) = pem(name);
        refused(&[("--certificate", &pem), ("--certificate-sha256", &sha256)], 1, says);
    }
    let (_, other) = pem("weak");
    refused(&[("--certificate-sha256", &other)], 1, "not the one given");
    refused(&[("--certificate", "batch.cards")], 1, "not a certificate in PEM");
    let swapped = [("--authority", "courier/hsm.toml"), ("--courier", "authority/hsm.toml")];
    refused(
        &swapped,
        64,
        "courier/hsm.toml: it is of the courier's token, and the authority's is wanted here",
    );
    let twice = [("--courier", "authority/hsm.toml")];
    refused(&twice, 64, "authority/hsm.toml: it is of the authority's token, and the courier's is wanted");
    refused(&[("--authority", &wrong_authority)], 1, "refused the login");
    refused(&[("--courier", &wrong_courier)], 1, "refused the login");
    refused(&[("--courier", "nothing.toml")], 64, "nothing.toml: cannot be read");
    refused(&[("--cards", "changed.cards")], 1, "is not of this authority's audit key");
    refused(&[("--cards", "twice.cards")], 1, "is in it twice: no chip is made twice");
    refused(&[("--cards", "cut.cards")], 1, "cut off");
    refused(&[("--cards", "none.cards")], 1, "there is no card in it");
    assert_eq!(fs::read_to_string(home.path("runs.ndjson")).unwrap_or_default(), "", "no run has begun");
    let others = [("--courier", "other/courier.toml")];
    refused(&others, 1, "the two tokens are of different installations");
    fs::write(home.path("bad-runs.ndjson"), "{\"checkpoint\":\"x\"}\n").unwrap();
    refused(&[("--journal", "bad-runs.ndjson")], 1, "bad-runs.ndjson: not a checkpoint");

    make(&home, &bureau, &[]).ended(0);
    let again = make(&home, &bureau, &[]).ended(1).err;
    assert!(again.contains("chips is there already"), "{again}");
    let weakly = bureau.at("weak.key");
    let opened = Command::new("openssl")
        .args(["cms", "-decrypt", "-inform", "DER", "-in", "chips/cards-0001.p7m", "-inkey", &weakly])
        .current_dir(home.directory())
        .output()
        .unwrap();
    assert!(!opened.status.success(), "nobody else's key opens it");
}

/// A certificate whose time is over: by an authority of its own, which can say when.
fn expired(bureau: &Bureau) {
    let config = "[ca]\ndefault_ca=d\n[d]\ndatabase=index\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\n\
                  policy=p\nx509_extensions=x\n[p]\ncommonName=supplied\n[x]\nkeyUsage=keyEncipherment\n";
    for (name, text) in [("index", ""), ("serial", "01\n"), ("ca.cnf", config)] {
        fs::write(bureau.at(name), text).unwrap();
    }
    let at = bureau.0.path();
    openssl(
        &[
            "req",
            "-new",
            "-nodes",
            "-newkey",
            "rsa:2048",
            "-subj",
            "/CN=Old",
            "-keyout",
            "expired.key",
            "-out",
            "old.csr",
        ],
        at,
    );
    let dates = ["-startdate", "20200101000000Z", "-enddate", "20210101000000Z"];
    let files = ["-selfsign", "-keyfile", "expired.key", "-in", "old.csr", "-out", "expired.pem", "-notext"];
    openssl(&[&["ca", "-batch", "-config", "ca.cnf"], &dates[..], &files[..]].concat(), at);
}

/// Two tokens of another installation, with a verify key of their own.
fn other_installation(home: &Installation) {
    for role in ["authority", "courier"] {
        let tokens = home.path(&format!("other/tokens-{role}"));
        fs::create_dir_all(&tokens).unwrap();
        let conf = format!("directories.tokendir = {}\nobjectstore.backend = file\n", tokens.display());
        fs::write(home.path(&format!("other/{role}.conf")), conf).unwrap();
        let config = home.on_files(role).replace("softhsm2.conf", &format!("{role}.conf"));
        fs::write(home.path(&format!("other/{role}.toml")), config).unwrap();
    }
    for name in ["pin", "so-pin"] {
        fs::copy(home.path(&format!("courier/{name}")), home.path(&format!("other/{name}"))).unwrap();
    }
    let init = |role: &str, more: &[&str]| {
        let (config, out) = (format!("other/{role}.toml"), format!("other/public-{role}"));
        home.sigillo(&[&["hsm", "init", "--config", &config, "--out", &out], more].concat()).ended(0);
    };
    init("courier", &[]);
    init("authority", &["--transport-key", "other/public-courier/transport.pub.pem"]);
    let wrapped = "other/public-authority/verify.wrapped";
    home.sigillo(&["hsm", "receive", "--config", "other/courier.toml", "--wrapped", wrapped]).ended(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_killed_leaves_no_files_and_its_intent_stays() {
    let home = Installation::serving().await;
    let bureau = Bureau::new();
    export(&home, &home.cards(3000).await);
    let mut command = Command::new(SIGILLO);
    command.args(arguments(&bureau, &[])).current_dir(home.directory());
    let mut running = Process::launch(home.path("logs/make"), command);
    // The intent is durable, and the keys are at work.
    let journal = home.path("runs.ndjson");
    eventually("an intent", async || {
        fs::read_to_string(&journal).is_ok_and(|text| text.lines().count() == 2).then_some(())
    })
    .await;
    running.kill();
    assert!(!home.path("chips").exists());
    let unfinished = |n: u64| {
        home.sigillo(&["audit", "verify", KEYS[0], KEYS[1], "runs.ndjson"]).ended(0);
        let counted = home.sigillo(&["audit", "operations", "--json", "runs.ndjson"]).ended(0).out;
        let counted: serde_json::Value = serde_json::from_str(&counted).unwrap();
        assert_eq!(counted["total"]["unfinished"], n, "{counted}");
    };
    unfinished(1);
    // Given again, it makes everything.
    make(&home, &bureau, &[]).ended(0);
    unfinished(1);
    assert_eq!(codes(&bureau.open(&home.path("chips/cards-0001.p7m"))).len(), 3000);
    assert!(!home.path("chips.writing").exists());
}
