//! A counter: a workstation whose reader has an operator's smart card in it. Reader and card are virtual, pcscd is the real
//! one.

use std::{
    path::Path,
    process::{Command, Output},
    sync::mpsc::{Sender, channel},
    thread::JoinHandle,
};

use crate::{
    card::{Card, Inserted},
    reader::{Pcscd, READERS, own_network, own_run},
};

/// A command, and where its end is told.
type Task = (Command, Sender<std::io::Result<Output>>);

/// The workstation; dropped, it is taken away with card and reader.
#[derive(Debug)]
pub struct Counter {
    tasks: Option<Sender<Task>>,
    worker: Option<JoinHandle<()>>,
}

impl Counter {
    /// Sets it up: a thread whose `/run` has this pcscd and no other. Its commands are in the network of everybody, so that
    /// they reach the authority; only pcscd and the card are in one of their own.
    ///
    /// # Errors
    /// A sentence; where this process may make no namespaces, above all.
    pub fn open(card: Card, log: &Path) -> Result<Self, String> {
        let (tasks, work) = channel::<Task>();
        let (tell, told) = channel();
        let log = log.to_owned();
        let worker = std::thread::spawn(move || {
            let reader = own_run().and_then(|()| {
                let apart = std::thread::spawn(move || reader(&card, &log));
                apart.join().unwrap_or_else(|_| Err("the virtual card failed".into()))
            });
            let (said, _reader) = match reader {
                Ok(reader) => (Ok(()), Some(reader)),
                Err(why) => (Err(why), None),
            };
            if tell.send(said).is_ok() {
                for (mut command, answer) in work {
                    // Whoever asked may have gone: then there is nobody to tell.
                    let (Ok(()) | Err(_)) = answer.send(command.output());
                }
            }
        });
        let counter = Self { tasks: Some(tasks), worker: Some(worker) };
        told.recv().map_err(|e| e.to_string())??;
        Ok(counter)
    }

    /// Runs a command there, to its end, and answers what it said and how it ended.
    ///
    /// # Errors
    /// A sentence: it did not start.
    pub fn output(&self, command: Command) -> Result<Output, String> {
        let (answer, answered) = channel();
        let tasks = self.tasks.as_ref().ok_or("the counter is closed")?;
        tasks.send((command, answer)).map_err(|e| e.to_string())?;
        answered.recv().map_err(|e| e.to_string())?.map_err(|e| e.to_string())
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        drop(self.tasks.take());
        if let Some(worker) = self.worker.take() {
            // A panic of that thread has been printed.
            let (Ok(()) | Err(_)) = worker.join();
        }
    }
}

/// The card in a reader, in a network of the calling thread's own. The card is taken out first.
fn reader(card: &Card, log: &Path) -> Result<(Inserted, Pcscd), String> {
    own_network()?;
    let pcscd = Pcscd::start(log)?;
    let [port, _] = READERS;
    Ok((card.insert(port), pcscd))
}
