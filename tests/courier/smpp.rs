//! SMPP against a message centre of another make: Debian's Net::SMPP (`tests/support/smsc.pl`).

use std::{fs, os::unix::fs::PermissionsExt, sync::Arc, time::Duration};

use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use sigillo::{
    api::courier::ReportStatus,
    clock::{Clock, SystemClock},
    courier::{
        Gateway, Gateways, Mail, Outcome, Setback, TextGateway,
        config::Config,
        message::Messages,
        sms::{SmppGateway, smpp},
    },
    domain::{
        contact::{Channel, Contact},
        id::{DeliveryId, LeaseId},
    },
    pki::{Ca, Validity},
    store::{self, Store, memory::Memory},
};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

use crate::{
    fakes::{Event, LIMITS, World, world_of},
    smsc::Centre,
};

/// A configuration for this port, in a directory of its own; `changes` are made to it.
fn configuration(port: u16, changes: &[(&str, &str)]) -> (TempDir, Config) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [("right", "segreto\n"), ("wrong", "sbaglio\n")] {
        let file = dir.path().join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
    }
    let mut text = format!(
        r#"
        hsm = "unused.toml"
        messages = "unused"
        policy = "unused"
        [state]
        directory = "unused"
        [authority]
        url = "https://localhost:1"
        server_ca = "unused"
        certificate = "unused"
        key = "unused"
        audit_key = "unused"
        [sms]
        sender = "TS-CNS"
        timeout_ms = 60000
        [sms.smpp]
        host = "127.0.0.1"
        port = {port}
        tls = false
        system_id = "sigillo"
        password_file = "right"
        "#
    );
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    let file = dir.path().join("courier.toml");
    fs::write(&file, text).unwrap();
    let config = Config::load(&file).unwrap();
    (dir, config)
}

/// A courier that is connected to a centre.
struct Post {
    w: World<SmppGateway>,
    store: Store,
    stop: watch::Sender<bool>,
    link: JoinHandle<()>,
    _dir: TempDir,
}

impl Post {
    async fn open(centre: &Centre) -> Self {
        let post = Self::open_at(centre.port, &[], &Memory::new());
        post.is_bound().await;
        post
    }

    /// `memory` is what a courier from before has left.
    fn open_at(port: u16, changes: &[(&str, &str)], memory: &Memory) -> Self {
        let (dir, config) = configuration(port, changes);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let (engine, reader) = memory.open().unwrap();
        let store = Store::start(engine, reader, store::Limits::default());
        let account = config.smpp().unwrap().unwrap();
        let (gateway, link) = smpp::open(account, store.clone(), Arc::clone(&clock));
        let w = world_of(gateway, clock);
        let (stop, stopped) = watch::channel(false);
        let link = tokio::spawn(link.serve(Arc::new(w.script.authority()), LIMITS, stopped));
        Self { w, store, stop, link, _dir: dir }
    }

    async fn is_bound(&self) {
        eventually("bound", || self.w.courier.gateway().ready(Channel::Sms).is_ok()).await;
    }

    async fn deliver(&self, number: u8, to: &str) -> (Outcome, String) {
        let mut lease = self.w.lease(number, to);
        lease.until_ms = u64::MAX;
        let outcome = self.w.deliver(&lease).await;
        match self.w.script.events().pop() {
            Some(Event::Reported { reason, .. }) => (outcome, reason.unwrap_or_default()),
            other => panic!("{other:?}"),
        }
    }

    /// What was reported under this lease, with the reason; the first report (`prepared`) left out.
    fn reported(&self, number: u8) -> Vec<(ReportStatus, String)> {
        let of = LeaseId::new([number + 100; 16]);
        let status = |event| match event {
            Event::Reported { lease, status, reason, .. } if lease == of => {
                Some((status, reason.unwrap_or_default()))
            }
            Event::Reported { .. } | Event::Sent { .. } => None,
        };
        self.w.script.events().into_iter().filter_map(status).skip(1).collect()
    }

    async fn close(self) {
        self.stop.send_replace(true);
        self.link.await.unwrap();
        self.store.close().await;
    }
}

/// Waits for what must come. The bound is generous: only what never comes reaches it.
async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..1200 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never came: {what}");
}

const SENT: (ReportStatus, String) = (ReportStatus::Sent, String::new());
const DELIVERED: (ReportStatus, String) = (ReportStatus::Delivered, String::new());

#[tokio::test]
async fn a_message_arrives_whole_and_its_receipt_comes() {
    let centre = Centre::start();
    let post = Post::open(&centre).await;
    assert_eq!(post.deliver(1, "+393330001000").await, (Outcome::Sent, String::new()));
    let [message] = &centre.noted("messages")[..] else { panic!("one message") };
    // Alphanumeric sender; no header; the default alphabet; every end of it is asked for.
    assert_eq!(message[1..6], ["TS-CNS", "393330001000", "0", "0", "1"]);
    let part =
        async |code: &str, generation, count| post.w.part(code.parse().unwrap(), generation, count, 0).await;
    let expected = include_str!("../../policies/courier/messages/activation.sms.txt")
        .trim_end()
        .replace('\n', " ")
        .replace("{control}", "246810")
        .replace("{pin_second}", &part("PIN", 1, 3).await)
        .replace("{puk_second}", &part("PUK", 2, 6).await)
        .replace("{cip_second}", &part("CIP", 3, 4).await);
    // The shipped text has no character whose place in the alphabet is another than in ASCII.
    assert_eq!(String::from_utf8(hex::decode(&message[6]).unwrap()).unwrap(), expected);
    assert_eq!(post.reported(1), [SENT]);
    centre.brings_receipts();
    eventually("a receipt", || post.reported(1) == [SENT, DELIVERED]).await;
    eventually("an answer to it", || centre.noted("done").len() == 1).await;
    post.close().await;
}

#[tokio::test]
async fn long_texts_and_letters_of_other_alphabets_go_in_parts() {
    let centre = Centre::start();
    let post = Post::open(&centre).await;
    let texts = tempfile::tempdir().unwrap();
    let body = format!("{{control}} {{pin_second}} perché {}", "à".repeat(160));
    fs::write(texts.path().join("prova.sms.txt"), &body).unwrap();
    let messages = Messages::load(texts.path()).unwrap();
    let parts = [("PIN".parse().unwrap(), sigillo::secret::Digits::parse("123".to_owned()).unwrap())];
    let text = messages.render("prova", Channel::Sms, "000000", &parts).unwrap();
    let to = Contact::parse(Channel::Sms, "+393330001000").unwrap();
    let mail =
        Mail { delivery: DeliveryId::new([7; 16]), lease: LeaseId::new([2; 16]), to: &to, text: &text };
    // Twice: a part that comes twice is the same part.
    for _ in 0..2 {
        post.w.courier.gateway().send(&mail).await.unwrap();
    }
    let sent = centre.noted("messages");
    let words: Vec<_> = sent.iter().map(|message| &message[3..6]).collect();
    assert_eq!(words, [["64", "0", "2"], ["64", "0", "1"], ["64", "0", "2"], ["64", "0", "1"]]);
    assert_eq!((&sent[0][6], &sent[1][6]), (&sent[2][6], &sent[3][6]));
    let octets: Vec<_> = sent.iter().map(|message| hex::decode(&message[6]).unwrap()).collect();
    assert_eq!((&octets[0][..6], &octets[1][..6]), (&[5, 0, 3, 7, 2, 1][..], &[5, 0, 3, 7, 2, 2][..]));
    let whole = [&octets[0][6..], &octets[1][6..]].concat();
    let expected = [&b"000000 123 perch\x05 "[..], &[0x7f; 160]].concat();
    assert_eq!(whole, expected);
    post.close().await;
}

#[tokio::test]
async fn refusals_concern_the_number_the_centre_or_nobody_knows() {
    let centre = Centre::start();
    let post = Post::open_at(centre.port, &[("timeout_ms = 60000", "timeout_ms = 2000")], &Memory::new());
    post.is_bound().await;
    for (number, to, outcome, reason) in [
        (1, "+393330001011", Outcome::Failed, "SMS centre: SMPP status 0x0b"),
        // Too fast: later, and no fault of this message.
        (2, "+393330001058", Outcome::Trouble, "SMS centre: SMPP status 0x58"),
        (2, "+393330001058", Outcome::Sent, ""),
        (3, "+393330001099", Outcome::Retry, "SMS centre: not done within 2000 ms"),
        (4, "+393330001000", Outcome::Sent, ""),
    ] {
        assert_eq!(post.deliver(number, to).await, (outcome, reason.to_owned()), "{to}");
    }
    assert_eq!(centre.noted("messages").len(), 2);
    post.close().await;
}

#[tokio::test]
async fn a_receipt_of_failure_and_one_that_comes_too_early() {
    let centre = Centre::start();
    centre.brings_receipts();
    let post = Post::open(&centre).await;
    assert_eq!(post.deliver(1, "+393330001005").await.0, Outcome::Sent);
    let failed = (ReportStatus::Failed, "SMS centre: not delivered".to_owned());
    // The receipt may overtake the report that it was sent.
    let has_both = || post.reported(1).contains(&SENT) && post.reported(1).contains(&failed);
    eventually("a receipt of failure", has_both).await;
    // Before the answer nobody knows the id: the centre is asked to come again.
    post.deliver(2, "+393330001007").await;
    eventually("a receipt", || post.reported(2).contains(&DELIVERED)).await;
    eventually("its answer", || centre.noted("done").len() == 2).await;
    let answered = centre.noted("answered");
    assert!(answered.contains(&vec!["00000002".to_owned(), "100".to_owned()]), "{answered:?}");
    post.close().await;
}

#[tokio::test]
async fn receipts_outlive_the_centre_and_the_courier() {
    let mut centre = Centre::start();
    let memory = Memory::new();
    let post = Post::open_at(centre.port, &[], &memory);
    post.is_bound().await;
    assert_eq!(post.deliver(1, "+393330001000").await.0, Outcome::Sent);
    centre.kill();
    eventually("no connection", || post.w.courier.gateway().ready(Channel::Sms).is_err()).await;
    let (outcome, reason) = post.deliver(2, "+393330001001").await;
    assert_eq!((outcome, reason.as_str()), (Outcome::Trouble, "SMS centre: not bound"));
    centre.start_again();
    post.is_bound().await;
    assert_eq!(post.deliver(2, "+393330001001").await.0, Outcome::Sent);
    post.close().await;

    centre.brings_receipts();
    let again = Post::open_at(centre.port, &[], &memory);
    let delivered = |number: u8| {
        let of = LeaseId::new([number + 100; 16]);
        again.w.script.events().iter().any(|event| {
            matches!(event, Event::Reported { lease, status: ReportStatus::Delivered, .. } if *lease == of)
        })
    };
    eventually("both receipts", || delivered(1) && delivered(2)).await;
    eventually("their answers", || centre.noted("done").len() == 2).await;
    assert_eq!(centre.noted("messages").len(), 2);
    again.close().await;
}

#[tokio::test]
async fn a_connection_is_asked_whether_it_is_alive() {
    let centre = Centre::start();
    let post = Post::open_at(centre.port, &[("tls = false", "tls = false\nenquire_s = 1")], &Memory::new());
    eventually("two questions", || centre.noted("enquired").len() >= 2).await;
    assert_eq!(centre.noted("binds").len(), 1);
    post.close().await;
}

#[tokio::test]
async fn with_a_wrong_password_nothing_is_bound_and_a_channel_without_connection_rests() {
    let centre = Centre::start();
    let post = Post::open_at(centre.port, &[("\"right\"", "\"wrong\"")], &Memory::new());
    eventually("a refusal", || !centre.noted("binds").is_empty()).await;
    assert_eq!(centre.noted("binds")[0], ["sigillo", "refused"]);
    let (outcome, reason) = post.deliver(1, "+393330001000").await;
    assert_eq!((outcome, reason.as_str()), (Outcome::Trouble, "SMS centre: not bound"));
    assert!(centre.noted("messages").is_empty());
    post.close().await;

    // Beside another channel it holds up itself alone.
    let (_dir, config) = configuration(1, &[]);
    let (engine, reader) = Memory::new().open().unwrap();
    let store = Store::start(engine, reader, store::Limits::default());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let (gateway, _link) = smpp::open(config.smpp().unwrap().unwrap(), store, Arc::clone(&clock));
    let gateways = Gateways::new(None, Some(TextGateway::Smpp(gateway)), clock);
    assert_eq!(gateways.ready(Channel::Sms), Err(Setback::Rest("the gateway for sms is down".to_owned())));
}

/// TLS in front of a centre, with a certificate of an authority of its own; answers its port and two authorities.
async fn tls_in_front(centre: u16) -> (u16, String, String) {
    let now_ms = SystemClock::new().now_ms();
    let validity = Validity { from_ms: now_ms - 3_600_000, to_ms: now_ms + 3_600_000 };
    let [ca, other] = ["SMS CA", "Other CA"].map(|name| Ca::new(name, validity).unwrap());
    let server = ca.server(&["localhost"], &[], validity).unwrap();
    let chain: Vec<_> = CertificateDer::pem_slice_iter(server.certificate_pem().as_bytes())
        .collect::<Result<_, _>>()
        .unwrap();
    let key = PrivateKeyDer::from_pem_slice(server.key_pem().as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            drop(tokio::spawn(async move {
                let mut centre = tokio::net::TcpStream::connect(("127.0.0.1", centre)).await.unwrap();
                drop(tokio::io::copy_bidirectional(&mut stream, &mut centre).await);
            }));
        }
    }));
    (port, ca.pem(), other.pem())
}

#[tokio::test]
async fn over_tls_only_a_centre_that_proves_its_name_is_told_anything() {
    let centre = Centre::start();
    let (port, ca, other) = tls_in_front(centre.port).await;
    let authorities = tempfile::tempdir().unwrap();
    let file = |name: &str, pem: &str| {
        let file = authorities.path().join(name);
        fs::write(&file, pem).unwrap();
        format!("ca_file = {file:?}")
    };
    let (right, wrong) = (file("ca.pem", &ca), file("other.pem", &other));
    let named = ("host = \"127.0.0.1\"", "host = \"localhost\"");
    for changes in
        [[named, ("tls = false", wrong.as_str())], [("port =", "port ="), ("tls = false", right.as_str())]]
    {
        let post = Post::open_at(port, &changes, &Memory::new());
        let (outcome, reason) = post.deliver(1, "+393330001000").await;
        assert_eq!((outcome, reason.as_str()), (Outcome::Trouble, "SMS centre: not bound"));
        tokio::time::sleep(Duration::from_millis(500)).await;
        post.close().await;
    }
    assert!(centre.noted("binds").is_empty());
    let post = Post::open_at(port, &[named, ("tls = false", right.as_str())], &Memory::new());
    post.is_bound().await;
    assert_eq!(post.deliver(1, "+393330001000").await.0, Outcome::Sent);
    post.close().await;
}
