//! A gateway for each channel. One that is down holds up its own channel alone.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{
    Gateway, Mail, Setback,
    mail::MailGateway,
    sms::{SmppGateway, SmsGateway},
};
use crate::{clock::Clock, domain::contact::Channel};

/// How long a channel is left alone after its gateway was in trouble.
const REST: Duration = Duration::from_secs(5);

/// What carries text messages.
pub enum TextGateway {
    /// A gateway asked by HTTP.
    Http(Box<SmsGateway>),
    /// A message centre.
    Smpp(SmppGateway),
}

impl Gateway for TextGateway {
    fn ready(&self, channel: Channel) -> Result<(), Setback> {
        match self {
            Self::Http(gateway) => gateway.ready(channel),
            Self::Smpp(gateway) => gateway.ready(channel),
        }
    }

    async fn send(&self, mail: &Mail<'_>) -> Result<(), Setback> {
        match self {
            Self::Http(gateway) => gateway.send(mail).await,
            Self::Smpp(gateway) => gateway.send(mail).await,
        }
    }
}

/// The relay and the SMS gateway, as far as they are configured.
pub struct Gateways {
    mail: Option<MailGateway>,
    sms: Option<TextGateway>,
    clock: Arc<dyn Clock>,
    /// Until when e-mail and SMS rest, as uptime.
    resting: Mutex<[Duration; 2]>,
}

impl Gateways {
    /// Puts them together; a channel that has none is not carried.
    pub fn new(mail: Option<MailGateway>, sms: Option<TextGateway>, clock: Arc<dyn Clock>) -> Self {
        Self { mail, sms, clock, resting: Mutex::default() }
    }

    /// Says goodbye to the relay.
    pub async fn close(&self) {
        if let Some(mail) = &self.mail {
            mail.close().await;
        }
    }

    fn with_rest<T>(&self, channel: Channel, work: impl FnOnce(&mut Duration) -> T) -> T {
        let [email, sms] = &mut *self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        work(match channel {
            Channel::Email => email,
            Channel::Sms => sms,
        })
    }
}

fn absent(channel: Channel) -> Setback {
    Setback::Retry(format!("this courier has no gateway for {}", channel.text()))
}

impl Gateway for Gateways {
    fn ready(&self, channel: Channel) -> Result<(), Setback> {
        let ready = match channel {
            Channel::Email => self.mail.as_ref().map(|gateway| gateway.ready(channel)),
            Channel::Sms => self.sms.as_ref().map(|gateway| gateway.ready(channel)),
        };
        let ready = ready.ok_or_else(|| absent(channel))?;
        if ready.is_err() || self.clock.uptime() < self.with_rest(channel, |until| *until) {
            return Err(Setback::Rest(format!("the gateway for {} is down", channel.text())));
        }
        Ok(())
    }

    async fn send(&self, mail: &Mail<'_>) -> Result<(), Setback> {
        let channel = mail.to.channel();
        let sent = match (channel, &self.mail, &self.sms) {
            (Channel::Email, Some(gateway), _) => gateway.send(mail).await,
            (Channel::Sms, _, Some(gateway)) => gateway.send(mail).await,
            (Channel::Email, None, _) | (Channel::Sms, _, None) => Err(absent(channel)),
        };
        if matches!(sent, Err(Setback::Trouble(_) | Setback::Unknown(_))) {
            let until = self.clock.uptime().saturating_add(REST);
            self.with_rest(channel, |resting| *resting = until);
        }
        sent.map_err(|setback| match setback {
            Setback::Trouble(why) => Setback::Rest(why),
            Setback::Failed(_) | Setback::Rest(_) | Setback::Retry(_) | Setback::Unknown(_) => setback,
        })
    }
}
