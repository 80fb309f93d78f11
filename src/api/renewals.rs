//! Self-renewal, at a front end for citizens.

use serde::{Deserialize, Serialize};

use super::codes::ContactTo;

/// `POST /v1/self-renewals`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenewSelf {
    /// Holder's codice fiscale: that of the certificate.
    pub tax_code: String,
    /// TEAM number of the new card, 20 digits.
    pub team_number: String,
    /// Last day of validity of the new card.
    pub expires_on: String,
    /// TEAM number of the expiring card, whose certificate is forwarded.
    pub former_team_number: String,
    /// Where the second parts go.
    pub contact: ContactTo,
    /// The data processing is agreed to; without it nothing is activated.
    #[serde(default)]
    pub data_processing: bool,
    /// Only show what would be done.
    #[serde(default)]
    pub preview: bool,
}
