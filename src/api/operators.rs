//! Operators: the registration of their cards, and what a front end is told of them.

use serde::{Deserialize, Serialize};

/// `POST /v1/operator-registrations`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenRegistration {}

/// Answer to [`OpenRegistration`].
#[derive(Debug, Serialize, Deserialize)]
pub struct OpenedRegistration {
    /// Names the registration.
    pub id: String,
    /// What the card signs, after 64 spaces, `Sigillo, operator registration v1` and a zero byte.
    pub text: String,
    /// RFC 3339: last moment for the signature.
    pub expires_at: String,
}

/// `POST /v1/operator-registrations/{id}/sign`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignRegistration {
    /// The card's signature, base64.
    pub signature: String,
}

/// Answer to [`SignRegistration`].
#[derive(Debug, Serialize, Deserialize)]
pub struct SignedRegistration {
    /// RFC 3339.
    pub registered_at: String,
    /// Whether another card was registered before, which is refused from now on.
    pub replaced: bool,
}

/// `POST /v1/operator-registrations/end`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deregister {
    /// The operator's codice fiscale.
    pub tax_code: String,
}

/// Answer to [`Deregister`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Deregistered {
    /// Whether a card was registered.
    pub deregistered: bool,
}

/// Answer to `GET /v1/session`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Session {
    /// Who acts.
    pub operator: SessionOperator,
    /// How the card stands: `registered`, `none`, `other` or `former`.
    pub registration: String,
    /// The front end's name in the policy.
    pub front_end: String,
    /// What is allowed now; nothing unless `registration` is `registered`.
    pub actions: Vec<SessionAction>,
    /// SHA-256 of the policy set in force.
    pub policy: String,
    /// Its sequence number.
    pub sequence: u64,
}

/// Who acts, by certificate and list.
#[derive(Debug, Serialize, Deserialize)]
pub struct SessionOperator {
    /// Given name and surname, where the certificate has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// ID_Carta of the card, 16 digits.
    pub id_carta: String,
    /// RFC 3339: last moment of the certificate.
    pub certificate_until: String,
    /// Where they work.
    pub office: String,
    /// What they are.
    pub roles: Vec<String>,
    /// Whose cards they serve: three digits each.
    pub regions: Vec<String>,
}

/// An action that is allowed now.
#[derive(Debug, Serialize, Deserialize)]
pub struct SessionAction {
    /// As in the policy.
    pub action: String,
    /// On cards of these regions; absent for `verify`, which looks at no card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regions: Option<Vec<String>>,
}
