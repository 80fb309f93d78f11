//! The files that anybody may read: number, personal data, certificate.

use super::{CardError, Certificate, Session, apdu::Channel};
use crate::domain::{
    chip::{self, PersonalData},
    team::IdCarta,
};

/// Longest file that is read, bytes; a certificate is about 1,500.
const LONGEST: usize = 8192;

/// Bytes of one READ BINARY.
const CHUNK: u8 = 0xF0;

const ID_CARTA: [u8; 4] = [0x10, 0x00, 0x10, 0x03];
const CERTIFICATE: [u8; 4] = [0x11, 0x00, 0x11, 0x01];
const PERSONAL_DATA: [u8; 4] = [0x11, 0x00, 0x11, 0x02];

/// What a CNS card says without a PIN.
#[derive(Debug)]
pub struct Contents {
    /// EF.ID_Carta.
    pub id_carta: IdCarta,
    /// EF.Dati_personali.
    pub personal: PersonalData,
    /// EF.C_Carta.
    pub certificate: Certificate,
}

impl Session {
    /// Reads the card. Blocks.
    ///
    /// # Errors
    /// [`CardError`]: removed, or not the files of a CNS.
    pub fn contents(&mut self) -> Result<Contents, CardError> {
        let channel = self.channel()?;
        Ok(Contents {
            id_carta: chip::id_carta(&file(&channel, ID_CARTA)?)?,
            personal: PersonalData::parse(&file(&channel, PERSONAL_DATA)?)?,
            certificate: Certificate::from_file(&file(&channel, CERTIFICATE)?)?,
        })
    }

    /// Reads the certificate alone. Blocks.
    ///
    /// # Errors
    /// As for [`Session::contents`].
    pub fn certificate(&mut self) -> Result<Certificate, CardError> {
        Certificate::from_file(&file(&self.channel()?, CERTIFICATE)?)
    }
}

/// The content of a file, by its path below the master file.
fn file(channel: &Channel<'_>, path: [u8; 4]) -> Result<Vec<u8>, CardError> {
    channel.send([0x00, 0xA4, 0x08, 0x00], &path, Some(0))?.done("SELECT")?;
    let mut content = Vec::new();
    while content.len() < LONGEST {
        let [high, low] = u16::try_from(content.len()).unwrap_or(u16::MAX).to_be_bytes();
        let answer = channel.send([0x00, 0xB0, high, low], &[], Some(CHUNK))?;
        match answer.status {
            // 6282: the file ended before Le.
            0x9000 | 0x6282 => {}
            // Behind the end.
            0x6B00 | 0x6A86 => break,
            status => return Err(CardError::Refused { command: "READ BINARY", status }),
        }
        let read = answer.data.len();
        content.extend(answer.data);
        if read < usize::from(CHUNK) {
            break;
        }
    }
    Ok(content)
}
