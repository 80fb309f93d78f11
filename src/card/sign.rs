//! Signatures by the key in the card, each proved under the card's certificate before it leaves.

use aws_lc_rs::rand;

use super::{CardError, Certificate, Session, padding};
use crate::domain::{
    officers::{Purpose, Scheme, Signature, signed_bytes},
    signed_text::{self, Context, Legible},
};

/// The authentication key of a CNS.
const KEY: u8 = 0x01;

impl Session {
    /// Signs a text of this kind: 64 spaces, the kind, a zero byte, the text (see [`signed_bytes`]), so that the signature
    /// serves for no other kind and in no TLS handshake. Needs [`Session::unlock`] before. Blocks.
    ///
    /// # Errors
    /// [`CardError`]; [`CardError::Signature`] where the card's key is not that of the certificate.
    pub fn sign(
        &mut self,
        certificate: &Certificate,
        purpose: Purpose,
        text: &str,
    ) -> Result<Signature, CardError> {
        self.sign_bytes(certificate, Scheme::RsaPss, &signed_bytes(purpose, text))
    }

    /// Signs a text for an authority, in its context: the bytes are made here ([`signed_text::signed_bytes`]), never taken
    /// from anybody. Needs [`Session::unlock`] before. Blocks.
    ///
    /// # Errors
    /// As for [`Session::sign`].
    pub fn sign_text(
        &mut self,
        certificate: &Certificate,
        context: Context,
        text: Legible<'_>,
    ) -> Result<Signature, CardError> {
        self.sign_bytes(certificate, Scheme::RsaPss, &signed_text::signed_bytes(context, text.as_str()))
    }

    /// Signs bytes, over SHA-256.
    pub(super) fn sign_bytes(
        &mut self,
        certificate: &Certificate,
        scheme: Scheme,
        bytes: &[u8],
    ) -> Result<Signature, CardError> {
        let size = certificate.modulus_bytes();
        let block = match scheme {
            Scheme::EcdsaP256 => None,
            Scheme::RsaPkcs1 => padding::pkcs1(bytes, size),
            Scheme::RsaPss => {
                let mut salt = [0; 32];
                rand::fill(&mut salt).map_err(|_| CardError::Signature)?;
                padding::pss(bytes, &salt, size)
            }
        };
        let made = self.raw(&block.ok_or(CardError::Signature)?)?;
        let signature = Signature { fingerprint: certificate.fingerprint(), scheme, bytes: made };
        if signature.holds(certificate.key(), bytes) { Ok(signature) } else { Err(CardError::Signature) }
    }

    /// RSA of one block: PSO DECIPHER, as OpenSC uses it for these keys; PSO COMPUTE DIGITAL SIGNATURE would pad itself and
    /// knows no PSS.
    fn raw(&mut self, block: &[u8]) -> Result<Vec<u8>, CardError> {
        let channel = self.channel()?;
        channel.send([0x00, 0x22, 0xF3, 0x03], &[], Some(0))?.done("MSE RESTORE")?;
        channel.send([0x00, 0x22, 0xF1, 0xB8], &[0x83, 0x01, KEY], None)?.done("MSE SET")?;
        let data = [&[0x00], block].concat();
        channel.send_chained([0x00, 0x2A, 0x80, 0x86], &data)?.done("PSO DECIPHER")
    }
}
