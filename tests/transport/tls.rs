//! Who is let in.

use std::sync::Arc;

use hyper::{HeaderMap, Method};
use rustls::{
    AlertDescription, ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use sigillo::{
    client::{Client, ClientError, ClientLimits},
    clock::SystemClock,
    http::Limits,
    pki::{Ca, Purpose, Validity},
    tls::{Protocols, ServerTls, TlsFiles, client_config},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::kit::{HOUR, Server, World, connect, get, now_ms, rest, validity};

/// The alert that a client gets instead of an answer.
async fn refused(client: &Client) -> AlertDescription {
    match client.call(Method::GET, "/who", HeaderMap::new(), "").await {
        Err(error @ ClientError::CertificateRefused(alert)) => {
            assert!(!error.may_have_been_carried_out());
            alert
        }
        other => panic!("{other:?}"),
    }
}

async fn counted(server: &Server, reason: &str) {
    server.metric(&format!("sigillo_handshakes_failed_total{{reason=\"{reason}\"}} 1")).await;
    server.metric("sigillo_connections_total 0").await;
}

fn as_client(world: &World, server: &Server, name: &str) -> Client {
    world.client_as(server, name, ClientLimits::default())
}

#[tokio::test]
async fn without_a_certificate() {
    let world = World::new();
    let server = world.serve(Limits::default()).await;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(world.path("ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut stream = connect(&server, config).await.unwrap();
    let error = stream.read(&mut [0; 1]).await.unwrap_err();
    assert!(format!("{error:?}").contains("CertificateRequired"), "{error:?}");
    counted(&server, "no_certificate").await;
}

#[tokio::test]
async fn from_another_authority() {
    let world = World::new();
    let server = world.serve(Limits::default()).await;
    for (authority, alert) in
        [("Other", AlertDescription::UnknownCA), ("Test authority", AlertDescription::DecryptError)]
    {
        let other = Ca::new(authority, validity()).unwrap();
        other.client("front end", validity()).unwrap().write(world.dir.path(), authority).unwrap();
        assert_eq!(refused(&as_client(&world, &server, authority)).await, alert);
    }
    server.metric("sigillo_handshakes_failed_total{reason=\"unknown_authority\"} 2").await;
    server.metric("sigillo_connections_total 0").await;
}

#[tokio::test]
async fn outside_its_dates() {
    let world = World::new();
    for (name, from_ms, to_ms) in
        [("past", now_ms() - 2 * HOUR, now_ms() - HOUR), ("future", now_ms() + HOUR, now_ms() + 2 * HOUR)]
    {
        let server = world.serve(Limits::default()).await;
        world.issue(name, Purpose::Client, Validity { from_ms, to_ms });
        let alert = refused(&as_client(&world, &server, name)).await;
        assert!(
            matches!(alert, AlertDescription::CertificateExpired | AlertDescription::BadCertificate),
            "{alert:?}"
        );
        counted(&server, "dates").await;
    }
}

#[tokio::test]
async fn not_for_clients() {
    let world = World::new();
    for (name, purpose) in [("unstated", Purpose::Unstated), ("server only", Purpose::Server)] {
        let server = world.serve(Limits::default()).await;
        world.issue(name, purpose, validity());
        let client = as_client(&world, &server, name);
        let alert = refused(&client).await;
        assert!(
            matches!(alert, AlertDescription::CertificateUnknown | AlertDescription::UnsupportedCertificate),
            "{alert:?}"
        );
        counted(&server, "purpose").await;
    }
}

#[tokio::test]
async fn revoked_once_the_list_is_loaded() {
    let world = World::new();
    let bad = world.issue("bad", Purpose::Client, validity());
    std::fs::write(world.path("ca.crl"), world.ca.crl(1, &[], validity()).unwrap()).unwrap();
    let files = TlsFiles { crls: vec![world.path("ca.crl")], ..world.tls_files() };
    let server = world.serve_with(Limits::default(), files).await;
    assert_eq!(get(&as_client(&world, &server, "bad"), "/who").await.0, 200);

    std::fs::write(world.path("ca.crl"), world.ca.crl(2, &[&bad], validity()).unwrap()).unwrap();
    server.tls.reload().unwrap();
    assert_eq!(refused(&as_client(&world, &server, "bad")).await, AlertDescription::CertificateRevoked);
    server.metric("sigillo_handshakes_failed_total{reason=\"revoked\"} 1").await;
    assert_eq!(get(&as_client(&world, &server, "client"), "/who").await.0, 200);

    // A list that cannot be read leaves the one in force.
    std::fs::write(world.path("ca.crl"), "nonsense").unwrap();
    let error = server.tls.reload().unwrap_err().to_string();
    assert!(error.contains("ca.crl: no revocation list in PEM form"), "{error}");
    assert_eq!(refused(&as_client(&world, &server, "bad")).await, AlertDescription::CertificateRevoked);

    // A list out of date tells nothing: nobody is let in.
    let past = Validity { from_ms: now_ms() - 2 * HOUR, to_ms: now_ms() - HOUR };
    std::fs::write(world.path("ca.crl"), world.ca.crl(3, &[], past).unwrap()).unwrap();
    server.tls.reload().unwrap();
    refused(&as_client(&world, &server, "client")).await;
    server.metric("sigillo_handshakes_failed_total{reason=\"revoked\"} 3").await;
}

#[tokio::test]
async fn tls_1_2_is_spoken_and_1_1_is_not() {
    let world = World::new();
    let server = world.serve(Limits::default()).await;
    for (version, number) in [
        (&rustls::version::TLS12, rustls::ProtocolVersion::TLSv1_2),
        (&rustls::version::TLS13, rustls::ProtocolVersion::TLSv1_3),
    ] {
        let mut stream = connect(&server, single_version(&world, version)).await.unwrap();
        assert_eq!(stream.get_ref().1.protocol_version(), Some(number));
        stream.write_all(b"GET /who HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        assert!(rest(&mut stream).await.starts_with("HTTP/1.1 200"));
    }
    // A ClientHello of TLS 1.1: version, random, no session, one suite, no compression, signature algorithms.
    let mut hello = vec![0x03, 0x02];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0xc0, 0x13, 1, 0, 0, 8, 0, 13, 0, 4, 0, 2, 4, 3]);
    let mut record = vec![0x16, 0x03, 0x02, 0, 55, 1, 0, 0, 51];
    record.extend(&hello);
    assert_eq!(record.len(), 5 + 55);
    let mut tcp = TcpStream::connect(server.address).await.unwrap();
    tcp.write_all(&record).await.unwrap();
    let mut alert = [0; 7];
    tcp.read_exact(&mut alert).await.unwrap();
    assert_eq!((alert[0], alert[5], alert[6]), (0x15, 2, 70), "fatal protocol_version");
    server.metric("sigillo_handshakes_failed_total{reason=\"protocol\"} 1").await;
}

/// The test client with one version of TLS.
fn single_version(world: &World, version: &'static rustls::SupportedProtocolVersion) -> ClientConfig {
    let files = world.client_files("client");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&files.server_ca).unwrap()).unwrap();
    let chain = vec![CertificateDer::from_pem_file(&files.certificate).unwrap()];
    let key = rustls::pki_types::PrivateKeyDer::from_pem_file(&files.key).unwrap();
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .unwrap()
}

#[tokio::test]
async fn no_session_is_resumed() {
    let world = World::new();
    let server = world.serve(Limits::default()).await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let config = single_version(&world, version);
        for _ in 0..2 {
            let mut stream = connect(&server, config.clone()).await.unwrap();
            stream.write_all(b"GET /who HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
            rest(&mut stream).await;
            let kind = stream.get_ref().1.handshake_kind();
            assert!(
                matches!(
                    kind,
                    Some(rustls::HandshakeKind::Full | rustls::HandshakeKind::FullWithHelloRetryRequest)
                ),
                "{kind:?}"
            );
        }
    }
}

#[tokio::test]
async fn the_client_believes_its_own_authorities_and_names_only() {
    let world = World::new();
    let mut files = world.tls_files();
    let other = Ca::new("Test authority", validity()).unwrap();
    other.server(&["localhost"], &[], validity()).unwrap().write(world.dir.path(), "impostor").unwrap();
    world.ca.server(&["elsewhere"], &[], validity()).unwrap().write(world.dir.path(), "elsewhere").unwrap();
    for name in ["impostor", "elsewhere"] {
        files.certificate = world.path(&format!("{name}.pem"));
        files.key = world.path(&format!("{name}.key"));
        let server = world.serve_with(Limits::default(), files.clone()).await;
        let called =
            world.client(&server, Protocols::Any).call(Method::GET, "/who", HeaderMap::new(), "").await;
        assert!(matches!(called, Err(ClientError::Connect(_))), "{called:?}");
        assert_eq!(server.app.calls.load(std::sync::atomic::Ordering::SeqCst), 0);
    }
}

#[test]
fn files_at_fault_are_named() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let load = |files: TlsFiles| {
        ServerTls::load(files, Arc::clone(&world.clock)).map(drop).map_err(|error| error.to_string())
    };
    load(world.tls_files()).unwrap();

    let missing = TlsFiles { client_ca: world.path("none.pem"), ..world.tls_files() };
    assert!(load(missing).unwrap_err().contains("none.pem: No such file"));

    let swapped = TlsFiles { key: world.path("client.key"), ..world.tls_files() };
    let error = load(swapped).unwrap_err();
    assert!(error.contains("client.key does not fit") && error.contains("server.pem"), "{error}");

    let no_key = TlsFiles { certificate: world.path("client.key"), ..world.tls_files() };
    assert!(load(no_key).unwrap_err().contains("client.key: no certificate in PEM form"));

    std::fs::set_permissions(world.path("server.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(load(world.tls_files()).unwrap_err().contains("server.key: mode 0644 lets others in"));

    std::fs::set_permissions(world.path("client.key"), std::fs::Permissions::from_mode(0o660)).unwrap();
    let error = client_config(&world.client_files("client"), Protocols::Any, Arc::new(SystemClock::new()));
    assert!(error.unwrap_err().to_string().contains("client.key: mode 0660"));
}
