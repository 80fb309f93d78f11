//! Strangers in numbers against one installation, and what a scanner says of its TLS. What each limit does alone is in
//! `tests/transport/limits.rs`.

use std::{fs, process::Command, sync::Arc};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};

use crate::fixture::{Installation, eventually};

const HELLOS: usize = 10_000;
/// At one time: fewer than there are places for strangers, so that nobody is turned away unheard.
const AT_ONCE: usize = 16;
/// Kibibytes that the process may have grown by; what the hellos of a run hold together is far more.
const GROWTH_KIB: u64 = 64 << 10;

/// The n-th of many beginnings that are no TLS handshake.
fn garbage(n: usize) -> Vec<u8> {
    let seed = u64::try_from(n).unwrap().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let noise = |length: usize| -> Vec<u8> {
        let mut state = seed | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        (0..length).map(|_| next()).collect()
    };
    match n % 6 {
        0 => noise(1 + n % 900),
        1 => b"GET / HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(),
        // A hello that says it is longer than it is, and ends.
        2 => [&[22, 3, 1, 64, 0, 1, 0, 63, 252, 3, 3][..], &noise(200)].concat(),
        // A record longer than a record may be.
        3 => [&[22, 3, 1, 255, 255][..], &noise(16_000)].concat(),
        // A hello whose inside is noise.
        4 => [&[22, 3, 1, 0, 104, 1, 0, 0, 100, 3, 3][..], &noise(98)].concat(),
        _ => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
    }
}

fn resident_kib(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn open_files(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

async fn failed_handshakes(home: &Installation) -> usize {
    let metrics = home.internal("/metrics").await.1;
    let lines = metrics.lines().filter(|line| line.starts_with("sigillo_handshakes_failed_total{"));
    lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<usize>().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_garbage_hellos_leave_healthy_clients_served_and_memory_bounded() {
    let home = Installation::delivering().await;
    let (desk, address) = (Arc::new(home.api("desk")), home.listen_address());
    let active = home.activated(&desk).await;
    let cip = active.cip(&home).await;
    let pid = home.serve.as_ref().unwrap().pid();
    let (mut hellos, mut sent) = (JoinSet::new(), 0);
    let (mut kib, mut files, mut served) = (0, 0, 0);
    while sent < HELLOS {
        for n in sent..sent + AT_ONCE {
            hellos.spawn(async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                // It may be gone before all is said.
                drop(stream.write_all(&garbage(n)).await);
                drop(stream.shutdown().await);
                let mut answer = Vec::new();
                drop(stream.read_to_end(&mut answer).await);
                assert!(answer.len() < 1024, "an alert at most, not {} bytes", answer.len());
            });
        }
        sent += AT_ONCE;
        if sent % (AT_ONCE * 25) == 0 {
            assert_eq!(active.card.verify(&desk, &cip).await.0, "accepted", "in the midst of them");
            served += 1;
        }
        while let Some(ended) = hellos.join_next().await {
            ended.unwrap();
        }
        if sent == AT_ONCE * 25 {
            (kib, files) = (resident_kib(pid), open_files(pid));
        }
    }
    assert!(sent >= HELLOS && served >= 25);
    eventually("every handshake to be counted", async || {
        (failed_handshakes(&home).await >= sent).then_some(())
    })
    .await;
    eventually("their places to be free", async || (open_files(pid) <= files).then_some(())).await;
    let now = resident_kib(pid);
    println!(
        "{sent} hellos, {served} codes verified meanwhile, resident {kib} KiB before and {now} KiB after"
    );
    assert!(now < kib + GROWTH_KIB, "{kib} KiB grew to {now} KiB");
    // One who is new comes in as well.
    assert_eq!(active.card.verify(&home.api("desk"), &cip).await.0, "accepted");
}

/// sslscan, of OpenSSL and so of another making than ours, finds two versions, ciphers with forward secrecy and nothing
/// else. It has a front end's certificate: without one no handshake of TLS 1.2 comes to its end.
#[tokio::test(flavor = "multi_thread")]
async fn a_scanner_finds_nothing() {
    let home = Installation::serving().await;
    let address = home.listen_address();
    let file = |option: &str, name: &str| format!("--{option}={}", home.path(name).display());
    let identity = [file("certs", "clients/desk.pem"), file("pk", "clients/desk.key")];
    let scan = move || {
        Command::new("sslscan")
            .args(["--no-colour", "--xml=-", "--timeout=60"])
            .args(identity)
            .arg(address.to_string())
            .output()
            .expect("sslscan is installed: make deps")
    };
    let output = tokio::task::spawn_blocking(scan).await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let xml = String::from_utf8(output.stdout).unwrap();
    let tags = |name: &str| -> Vec<String> {
        let start = format!("<{name} ");
        xml.lines().filter(|line| line.trim_start().starts_with(&start)).map(str::to_owned).collect()
    };
    let enabled: Vec<_> = tags("protocol").into_iter().filter(|tag| tag.contains("enabled=\"1\"")).collect();
    let seen: Vec<_> = ["version=\"1.2\"", "version=\"1.3\""]
        .into_iter()
        .filter(|version| enabled.iter().any(|tag| tag.contains("type=\"tls\"") && tag.contains(version)))
        .collect();
    assert_eq!((seen.len(), enabled.len()), (2, 2), "{xml}");
    let ciphers = tags("cipher");
    for version in ["TLSv1.2", "TLSv1.3"] {
        let of = ciphers.iter().filter(|cipher| cipher.contains(version)).count();
        assert!(of >= 3, "{version}: {xml}");
    }
    for cipher in &ciphers {
        let (_, name) = cipher.split_once("cipher=\"").unwrap();
        assert!(name.starts_with("TLS_") || name.starts_with("ECDHE-"), "{cipher}");
        assert!(name.contains("GCM") || name.contains("CHACHA20"), "{cipher}");
        assert!(
            ["strong", "acceptable"].iter().any(|s| cipher.contains(&format!("strength=\"{s}\""))),
            "{cipher}"
        );
    }
    for (tag, bad) in [
        ("compression", "supported=\"1\""),
        ("heartbleed", "vulnerable=\"1\""),
        ("renegotiation", "supported=\"1\""),
    ] {
        for found in tags(tag) {
            assert!(!found.contains(bad), "{found}");
        }
    }
    for group in tags("group") {
        let strong = ["X25519", "secp256r1", "secp384r1", "prime256v1", "x25519", "MLKEM"];
        assert!(strong.iter().any(|name| group.contains(name)), "{group}");
    }
}
