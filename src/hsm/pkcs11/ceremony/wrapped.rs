//! The file that carries the verify key: text, so that officers can read its check value to each other.

use aws_lc_rs::digest;

const FORMAT: &str = "sigillo wrapped key v1";

/// The verify key wrapped to a transport key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrapped {
    /// Check value of the key inside: six lower-case hexadecimal digits.
    pub(super) kcv: String,
    /// [`fingerprint`] of the transport key that opens it.
    pub(super) transport: [u8; 32],
    /// RSA-OAEP of the 32 bytes of the key.
    pub(super) blob: Vec<u8>,
}

/// SHA-256 of a `SubjectPublicKeyInfo`.
pub(super) fn fingerprint(der: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    let hashed = digest::digest(&digest::SHA256, der);
    for (to, from) in out.iter_mut().zip(hashed.as_ref()) {
        *to = *from;
    }
    out
}

impl Wrapped {
    pub(super) fn to_text(&self) -> String {
        format!(
            "{FORMAT}\nkey: verify\nkcv: {}\ntransport: {}\nwrapped: {}\n",
            self.kcv,
            hex::encode(self.transport),
            hex::encode(&self.blob)
        )
    }

    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let mut lines = text.lines();
        if lines.next() != Some(FORMAT) {
            return Err("first line is not \"sigillo wrapped key v1\"");
        }
        let mut field = |prefix: &str| lines.next().and_then(|line| line.strip_prefix(prefix));
        if field("key: ") != Some("verify") {
            return Err("second line is not \"key: verify\"");
        }
        let kcv = field("kcv: ").ok_or("third line has no kcv")?.to_owned();
        if kcv.len() != 6 || !kcv.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return Err("kcv is not six hexadecimal digits");
        }
        let mut transport = [0; 32];
        hex::decode_to_slice(field("transport: ").ok_or("fourth line has no transport")?, &mut transport)
            .map_err(|_| "transport is not 64 hexadecimal digits")?;
        let blob = hex::decode(field("wrapped: ").ok_or("fifth line has no wrapped key")?)
            .map_err(|_| "wrapped key is not hexadecimal")?;
        if blob.is_empty() {
            return Err("wrapped key is empty");
        }
        if lines.next().is_some() {
            return Err("text after the wrapped key");
        }
        Ok(Self { kcv, transport, blob })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let wrapped = Wrapped { kcv: "0a1b2c".into(), transport: fingerprint(b"x"), blob: vec![1, 2, 255] };
        let text = wrapped.to_text();
        assert_eq!(Wrapped::parse(&text).unwrap(), wrapped);
        for (from, to) in [
            ("v1", "v2"),
            ("key: verify", "key: print"),
            ("0a1b2c", "0a1b2"),
            ("0a1b2c", "0A1B2C"),
            ("transport: ", "transport: 00"),
            ("wrapped: 0102ff", "wrapped: "),
            ("wrapped: 0102ff", "wrapped: 0102f"),
            ("0102ff\n", "0102ff\nmore\n"),
        ] {
            let bad = text.replacen(from, to, 1);
            assert!(Wrapped::parse(&bad).is_err(), "{bad}");
        }
    }
}
