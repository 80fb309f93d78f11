//! What a certificate must say. The files were made with OpenSSL: `openssl req -x509 -newkey ... -days 36500`.

use rustls::pki_types::{CertificateDer, pem::PemObject};
use sigillo::{
    auth::{AuthError, Peer},
    pki::{Ca, Validity},
};

use crate::kit::validity;

fn read(pem: &str) -> Result<Peer, AuthError> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    Peer::from_certificate(&der, 2_000_000_000_000)
}

#[test]
fn keys_names_and_usages() {
    for (pem, expected) in [
        (include_str!("certificates/anyusage.pem"), Err(AuthError::NoClientAuth)),
        (include_str!("certificates/ed25519.pem"), Ok("edwards")),
        (include_str!("certificates/encipher.pem"), Err(AuthError::NotForSignatures)),
        (include_str!("certificates/noname.pem"), Err(AuthError::CommonName)),
        (include_str!("certificates/rsa1024.pem"), Err(AuthError::WeakKey(1024))),
        (include_str!("certificates/rsa2048.pem"), Ok("enough")),
        (include_str!("certificates/twonames.pem"), Err(AuthError::CommonName)),
    ] {
        assert_eq!(read(pem).map(|peer| peer.common_name), expected.map(str::to_owned));
    }
}

#[test]
fn dates_to_the_millisecond_and_the_fingerprint() {
    let ca = Ca::new("Test authority", validity()).unwrap();
    let dates = Validity { from_ms: 1_800_000_000_000, to_ms: 1_800_000_001_000 };
    let issued = ca.client("front end", dates).unwrap();
    let at = |now_ms| Peer::from_certificate(issued.der(), now_ms);
    assert_eq!(at(dates.from_ms - 1), Err(AuthError::NotYetValid));
    assert_eq!(at(dates.to_ms + 1000), Err(AuthError::Expired));
    let peer = at(dates.from_ms).unwrap();
    assert_eq!(at(dates.to_ms + 999), Ok(peer.clone()));
    assert_eq!((peer.not_before_ms, peer.not_after_ms), (dates.from_ms, dates.to_ms + 999));
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, issued.der());
    assert_eq!((peer.fingerprint.as_slice(), peer.serial.len()), (digest.as_ref(), 32));
}

#[test]
fn anything_else_is_not_a_certificate() {
    let ca = Ca::new("Test authority", validity()).unwrap();
    let der = ca.client("front end", validity()).unwrap().der().to_vec();
    let now_ms = validity().from_ms + 1;
    let mut longer = der.clone();
    longer.push(0);
    for bytes in [&[][..], &[0x30, 0x80], &longer, &der[..der.len() - 1]] {
        assert_eq!(Peer::from_certificate(bytes, now_ms), Err(AuthError::NotACertificate));
    }
}
