//! The entrance for operators' cards: the path decides, and who is trusted may change while it is open.

use std::sync::{Arc, Mutex};

use hyper::{HeaderMap, Method};
use rustls::{
    AlertDescription, ClientConfig, RootCertStore, SignatureScheme,
    client::ResolvesClientCert,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use sigillo::{
    auth::cns::{Authority, Rules, Trust},
    client::{Client, ClientError, ClientLimits},
    http::Limits,
    pki::{Ca, Issued, Purpose, Validity},
    tls::{CardTls, Protocols, ServerTls},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::kit::{HOUR, Server, World, connect, get, happened, now_ms, rest, until, validity};

type Shared = Arc<Mutex<Arc<Trust>>>;

fn trust(authorities: &[(&str, &Ca)]) -> Arc<Trust> {
    let rules = Rules {
        policies: vec!["1.3.76.16.2.1".parse().unwrap()],
        crl_max_age_ms: HOUR,
        stale_crl_for_ms: 0,
        remember: 8,
    };
    let of = |(name, ca): &(&str, &Ca)| {
        let der = CertificateDer::from_pem_slice(ca.pem().as_bytes()).unwrap();
        Authority::new(name, &der, Vec::new()).unwrap()
    };
    Arc::new(Trust::new(authorities.iter().map(of).collect(), rules))
}

async fn serve(world: &World, trust: Arc<Trust>) -> (Server, Shared) {
    serve_with(world, trust, Limits::default()).await
}

async fn serve_with(world: &World, trust: Arc<Trust>, limits: Limits) -> (Server, Shared) {
    let shared = Arc::new(Mutex::new(trust));
    let told = Arc::clone(&shared);
    let tls = Arc::new(ServerTls::load(world.tls_files(), Arc::clone(&world.clock)).unwrap());
    let cards = CardTls::new(Arc::clone(&tls), move || Arc::clone(&told.lock().unwrap()));
    (world.serve_at(limits, Arc::new(cards), tls).await, shared)
}

fn card(world: &World, ca: &Ca, name: &str, validity: Validity) -> Issued {
    let common_name = format!("RSSMRA75C22H501I/6090010024925003.{name}");
    let card = ca.card(&common_name, validity).unwrap();
    card.write(world.dir.path(), name).unwrap();
    card
}

fn client(world: &World, server: &Server, name: &str, protocols: Protocols) -> Client {
    world.client_as(server, name, ClientLimits { protocols, ..ClientLimits::default() })
}

async fn refused(world: &World, server: &Server, name: &str) -> AlertDescription {
    let client = client(world, server, name, Protocols::Any);
    match client.call(Method::GET, "/who", HeaderMap::new(), "").await {
        Err(ClientError::CertificateRefused(alert)) => alert,
        other => panic!("{other:?}"),
    }
}

fn fingerprint(card: &Issued) -> String {
    hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, card.der()))
}

#[tokio::test]
async fn whoever_a_trusted_authority_vouches_for_comes_in_and_says_so_with_the_certificate() {
    let world = World::new();
    let cards = Ca::new("CA cards", validity()).unwrap();
    let (server, _) = serve(&world, trust(&[("cards", &cards)])).await;
    let past = Validity { from_ms: now_ms() - HOUR / 2, to_ms: now_ms() - HOUR / 4 };
    let future = Validity { from_ms: now_ms() + HOUR / 4, to_ms: now_ms() + HOUR / 2 };
    // What is wrong with its dates is told with each request, not by an alert.
    for (name, dates) in [("good", validity()), ("expired", past), ("future", future)] {
        let card = card(&world, &cards, name, dates);
        for protocols in [Protocols::Http1, Protocols::Http2] {
            let said = get(&client(&world, &server, name, protocols), "/who").await.2;
            assert!(said.contains(&fingerprint(&card)), "{name}: {said}");
        }
    }

    // A front end, one of the same authority without the use, and a forged one.
    world.issue("desk", Purpose::Client, validity());
    assert_eq!(refused(&world, &server, "desk").await, AlertDescription::UnknownCA);
    let forged = Ca::new("CA cards", validity()).unwrap();
    card(&world, &forged, "forged", validity());
    assert_eq!(refused(&world, &server, "forged").await, AlertDescription::DecryptError);
    server.metric("sigillo_handshakes_failed_total{reason=\"unknown_authority\"} 2").await;
    let profile = sigillo::pki::Profile {
        common_name: "server",
        names: &[],
        ips: &[],
        purpose: Purpose::Server,
        validity: validity(),
    };
    cards.issue(&profile).unwrap().write(world.dir.path(), "no-client").unwrap();
    refused(&world, &server, "no-client").await;
    server.metric("sigillo_handshakes_failed_total{reason=\"purpose\"} 1").await;
    // And nobody comes in with a card's certificate and another key.
    std::fs::remove_file(world.path("good.key")).unwrap();
    std::fs::copy(world.path("expired.key"), world.path("good.key")).unwrap();
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots(&world))
        .with_client_cert_resolver(Arc::new(Shows::new(&world, "good", "expired")));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let mut stream = connect(&server, config).await.unwrap();
    assert!(stream.read(&mut [0; 1]).await.is_err());
    server.metric("sigillo_handshakes_failed_total{reason=\"unknown_authority\"} 3").await;
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn roots(world: &World) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(world.path("ca.pem")).unwrap()).unwrap();
    roots
}

/// Shows a certificate, signs with some key, and keeps whom the server would believe.
#[derive(Debug)]
struct Shows {
    identity: Arc<CertifiedKey>,
    believed: Mutex<Vec<Vec<u8>>>,
}

impl Shows {
    fn new(world: &World, certificate: &str, key: &str) -> Self {
        let chain = vec![CertificateDer::from_pem_file(world.path(&format!("{certificate}.pem"))).unwrap()];
        let key = PrivateKeyDer::from_pem_file(world.path(&format!("{key}.key"))).unwrap();
        let key = provider().key_provider.load_private_key(key).unwrap();
        Self { identity: Arc::new(CertifiedKey::new(chain, key)), believed: Mutex::default() }
    }
}

impl ResolvesClientCert for Shows {
    fn resolve(&self, hints: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        *self.believed.lock().unwrap() = hints.iter().map(|hint| hint.to_vec()).collect();
        Some(Arc::clone(&self.identity))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn who_is_trusted_changes_with_the_policy_and_browsers_are_told() {
    let world = World::new();
    let (former, later) =
        (Ca::new("CA former", validity()).unwrap(), Ca::new("CA later", validity()).unwrap());
    let (server, shared) = serve(&world, trust(&[("former", &former)])).await;
    card(&world, &former, "one", validity());
    card(&world, &later, "two", validity());
    let told = async |name: &str| {
        let shows = Arc::new(Shows::new(&world, name, name));
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots(&world))
            .with_client_cert_resolver(Arc::<Shows>::clone(&shows));
        drop(connect(&server, config).await);
        let believed = shows.believed.lock().unwrap().clone();
        believed.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect::<Vec<_>>()
    };
    let [hint] = &told("one").await[..] else { panic!("one authority") };
    assert!(hint.ends_with("CA former"), "{hint}");
    assert_eq!(refused(&world, &server, "two").await, AlertDescription::UnknownCA);

    let open = client(&world, &server, "one", Protocols::Http2);
    get(&open, "/who").await;
    *shared.lock().unwrap() = trust(&[("later", &later)]);
    get(&client(&world, &server, "two", Protocols::Any), "/who").await;
    assert_eq!(refused(&world, &server, "one").await, AlertDescription::UnknownCA);
    let [hint] = &told("two").await[..] else { panic!("one authority") };
    assert!(hint.ends_with("CA later"), "{hint}");
    // A connection that is there stays: each of its requests is judged by itself.
    get(&open, "/who").await;

    // Another server certificate is shown here too.
    world.ca.server(&["elsewhere"], &[], validity()).unwrap().write(world.dir.path(), "new").unwrap();
    for kind in ["pem", "key"] {
        std::fs::rename(world.path(&format!("new.{kind}")), world.path(&format!("server.{kind}"))).unwrap();
    }
    server.tls.reload().unwrap();
    let other = client(&world, &server, "two", Protocols::Any);
    let called = other.call(Method::GET, "/who", HeaderMap::new(), "").await;
    assert!(matches!(called, Err(ClientError::Connect(_))), "{called:?}");
}

#[tokio::test]
async fn a_card_that_is_sent_away_is_answered_first() {
    let world = World::new();
    let cards = Ca::new("CA cards", validity()).unwrap();
    let (server, _) = serve(&world, trust(&[("cards", &cards)])).await;
    card(&world, &cards, "card", validity());
    let config = |protocols| {
        let clock = Arc::new(sigillo::clock::SystemClock::new());
        sigillo::tls::client_config(&world.client_files("card"), protocols, clock).unwrap()
    };
    let mut stream = connect(&server, config(Protocols::Http1)).await.unwrap();
    stream
        .write_all(b"GET /who HTTP/1.1\r\nhost: x\r\n\r\nGET /dismiss HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let said = rest(&mut stream).await;
    assert_eq!(said.matches("HTTP/1.1 200").count(), 2, "{said}");
    assert!(said.ends_with("\"dismissed\""));
    // Over HTTP/2 as well; the client then makes a connection of its own accord.
    let http2 = client(&world, &server, "card", Protocols::Http2);
    get(&http2, "/dismiss").await;
    until(|| server.metrics.render().lines().any(|line| line == "sigillo_connections_open 0")).await;
    get(&http2, "/who").await;
}

#[tokio::test]
async fn a_card_that_is_sent_away_does_not_linger_over_what_it_has_in_hand() {
    let world = World::new();
    let cards = Ca::new("CA cards", validity()).unwrap();
    let limits = Limits { drain_ms: 600_000, ..Limits::default() };
    let (server, _) = serve_with(&world, trust(&[("cards", &cards)]), limits).await;
    card(&world, &cards, "card", validity());
    let http2 = Arc::new(client(&world, &server, "card", Protocols::Http2));
    let waiting = Arc::clone(&http2);
    let waiting =
        tokio::spawn(async move { waiting.call(Method::GET, "/wait", HeaderMap::new(), "").await.is_err() });
    happened(&server.app.entered, 1).await;
    get(&http2, "/dismiss").await;
    until(|| server.metrics.render().lines().any(|line| line == "sigillo_connections_open 0")).await;
    assert!(waiting.await.unwrap(), "what was in hand has no answer");
}
