//! What an SMS centre may say, for fuzz targets (`fuzz/`): its PDUs and receipts, and the ids that are kept of it.

use rusmpp::{Pdu, tokio_codec::CommandCodec};
use tokio_util::{bytes::BytesMut, codec::Decoder as _};

use super::{ids::Named, receipt, session::MAX_PDU};
use crate::domain::hostile::one_form;

/// The stored record of an id.
///
/// # Errors
/// A sentence about what is read and is not the same once it is written.
pub fn records(bytes: &[u8]) -> Result<(), String> {
    one_form::<Named>(bytes).map_err(|why| format!("id of a message: {why}"))
}

/// What comes over a connection, up to what is no SMPP; answers how many receipts it has.
///
/// # Errors
/// A sentence about a receipt that is taken and should not be.
pub fn stream(bytes: &[u8]) -> Result<usize, String> {
    let (mut codec, mut from) = (CommandCodec::new().with_max_length(MAX_PDU), BytesMut::from(bytes));
    let mut receipts = 0_usize;
    while let Ok(Some(command)) = codec.decode(&mut from) {
        if let Some(Pdu::DeliverSm(message)) = command.pdu()
            && let Some(receipt) = receipt::read(message)
        {
            if !(1..=64).contains(&receipt.id.len()) {
                return Err(format!("an id of {} bytes", receipt.id.len()));
            }
            receipts = receipts.saturating_add(1);
        }
    }
    Ok(receipts)
}
