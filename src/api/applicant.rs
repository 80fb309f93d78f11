//! Who asks at the counter: the holder or a proxy, and the document that was shown.

use serde::{Deserialize, Serialize};

/// Who asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Applicant {
    /// `holder` or `proxy`.
    pub is: String,
    /// The proxy, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Proxy>,
    /// Identity document of the person at the counter; the policy says for which operations there must be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<Document>,
    /// The proxy has signed the substitute declaration (DPR 445/2000, art. 46 and 47), and the office keeps it.
    #[serde(default)]
    pub declaration: bool,
    /// The holder's date of birth in full, for a holder of a hundred years or more: a C.F. has two digits of the year.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder_born_on: Option<String>,
}

/// Who acts for the holder.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proxy {
    /// `parental_authority`, `guardian`, `curator` or `health_impediment`.
    pub title: String,
    /// The proxy's codice fiscale.
    pub tax_code: String,
    /// Given name.
    pub given_name: String,
    /// Family name.
    pub family_name: String,
}

/// An identity document.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// One of the policy's.
    pub kind: String,
    /// Its number.
    pub number: String,
    /// Who issued it.
    pub issuer: String,
    /// `YYYY-MM-DD`
    pub issued_on: String,
    /// Last day of validity; absent only for kinds that the policy lists as valid for life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_on: Option<String>,
}

/// An applicant as a preview shows one: enough to compare, no more.
#[derive(Debug, Serialize, Deserialize)]
pub struct MaskedApplicant {
    /// `holder`, or `proxy:` and the title.
    pub is: String,
    /// Given and family name of a proxy, all but the first letters hidden.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Codice fiscale of a proxy, all but the letters of the names hidden.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_code: Option<String>,
    /// Kind of the document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// Its number, all but the last three characters hidden.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document_number: Option<String>,
}
