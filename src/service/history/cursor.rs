//! Marks of cursors: a MAC of the index key over card, operator, query and place, so that nobody makes a cursor but the
//! authority, and none serves for another card, operator or query.

use subtle::ConstantTimeEq;

use crate::{
    domain::{
        history::{Cursor, Query},
        id::CardId,
    },
    policy::act,
    service::{Call, Error, Service, commitments},
};

impl Service {
    /// The cursor after the event `at`.
    pub(super) async fn cursor(
        &self,
        call: &Call<act::ReadHistory>,
        card: &CardId,
        query: &Query,
        at: u64,
        until: u64,
    ) -> Result<Cursor, Error> {
        let operator = call.known_operator()?.name;
        let message = commitments::history(&operator, card, query, at, until)?;
        let [mac] = self.commitments([message]).await?;
        Ok(Cursor { at, until, mark: commitments::half(&mac) })
    }

    /// Refuses a cursor that was not given to this operator for this card and query.
    pub(super) async fn check_cursor(
        &self,
        call: &Call<act::ReadHistory>,
        card: &CardId,
        query: &Query,
        given: &Cursor,
    ) -> Result<(), Error> {
        let own = self.cursor(call, card, query, given.at, given.until).await?;
        if bool::from(own.mark.ct_eq(&given.mark)) {
            return Ok(());
        }
        let detail = "not given to this operator for this card and this query";
        Err(Error::Field { field: "cursor", code: "bad_cursor", detail })
    }
}
