//! Why a certificate makes nobody an operator: one closed list, each with a code that does not change.

macro_rules! refusals {
    ($($name:ident = $code:literal $text:literal)*) => {
        /// Why there is no operator. The text names no person and nothing out of the certificate.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
        pub enum Refusal { $(
            #[doc = $text]
            #[error($text)]
            $name,
        )* }

        impl Refusal {
            /// All of them, for tables.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Stable code.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The code as that of a problem: `operator_` before it.
            pub const fn problem_code(self) -> &'static str {
                match self { $(Self::$name => concat!("operator_", $code),)* }
            }
        }
    };
}

refusals! {
    BadCommonName = "bad_common_name" "the common name is not one `C.F./ID_Carta.hash` of a CNS card"
    BadIssuer = "bad_issuer" "a certificate of the chain is not that of an authority"
    BadSignature = "bad_signature" "a signature of the chain does not hold"
    BadTaxCode = "bad_tax_code" "the tax code in the common name is not valid"
    CaNotValid = "ca_not_valid" "an authority of the chain is out of date"
    CaRevoked = "ca_revoked" "an authority of the chain is revoked"
    ChainTooLong = "chain_too_long" "more certificates than a chain may have"
    CrlBadSignature = "crl_bad_signature" "the authority's revocation list is not signed by it"
    CrlMalformed = "crl_malformed" "the authority's revocation list cannot be read"
    CrlMissing = "crl_missing" "there is no revocation list of the authority"
    CrlNotYetValid = "crl_not_yet_valid" "the authority's revocation list is from the future"
    CrlOtherScope = "crl_other_scope" "the authority's revocation list is for other certificates"
    CrlStale = "crl_stale" "the authority's revocation list is out of date"
    CrlUnsupported = "crl_unsupported" "the authority's revocation list is of a kind that is not supported"
    CrlWrongIssuer = "crl_wrong_issuer" "the revocation list is that of another authority"
    DuplicateExtension = "duplicate_extension" "an extension is there twice"
    Expired = "expired" "the certificate has expired"
    IsCa = "is_ca" "the certificate is that of an authority"
    Malformed = "malformed" "not one X.509 certificate of version 3"
    MissingPolicy = "missing_policy" "the certificate has none of the policies of operators' cards"
    NameConstraint = "name_constraint" "an authority may not issue certificates for this name"
    NotYetValid = "not_yet_valid" "the certificate is not yet valid"
    OnHold = "on_hold" "the certificate is on hold"
    PathLength = "path_length" "an authority may not have so many authorities below it"
    Revoked = "revoked" "the certificate is revoked"
    TooLarge = "too_large" "a certificate is larger than any card's"
    UnknownCa = "unknown_ca" "no trusted authority issued the certificate"
    UnknownCriticalExtension = "unknown_critical_extension" "a critical extension is not understood"
    WeakKey = "weak_key" "the key is neither RSA of 2048 to 8192 bits nor on P-256 or P-384"
    WeakSignature = "weak_signature" "a signature of the chain is of a kind that is not accepted"
    WrongExtendedKeyUsage = "wrong_extended_key_usage" "the certificate is not for client authentication"
    WrongKeyUsage = "wrong_key_usage" "the certificate's key is not for authentication alone"
}
