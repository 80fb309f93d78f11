//! The alarm for keys of codes that were used without a durable intent.

use super::{Error, Service};
use crate::domain::{
    audit::{Kind, Outcome},
    operations::Operations,
};

impl Service {
    /// Operations with keys of codes that the pool has sent and no intent accounts for. Anything but zero is an alarm.
    pub fn unaccounted(&self) -> Operations {
        self.accounted.unaccounted(&self.hsm)
    }

    /// Raises the alarm once for every surplus: the log of the process and an event.
    pub async fn reconcile(&self) -> Result<(), Error> {
        let Some(surplus) = self.accounted.news(&self.hsm) else { return Ok(()) };
        tracing::error!(%surplus, "keys of codes were used without an intent");
        let event = self.own_event(Kind::OperationsUnaccounted, Outcome::Done)?;
        self.record(event.with("surplus", surplus.to_string())).await?;
        self.accounted.reported(surplus);
        Ok(())
    }
}
