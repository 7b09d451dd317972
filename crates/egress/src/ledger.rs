//! What was let through and what was not, until somebody writes it down.

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use armor_core::event::NetworkEvent;
use armor_core::network::Refusal;

/// What an entry counts, for one destination.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entry {
    /// Connections and bytes that were let through.
    Allowed,
    /// Connections that were refused.
    Denied(Refusal),
    /// Connections that came to nothing.
    Failed(String),
}

/// What was counted.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    times: u64,
    sent: u64,
    received: u64,
}

/// How many entries can be written down at once, and how fast there may be more: a task that asks for
/// ever new hosts does not fill the log.
const BURST: u32 = 100;
const A_SECOND: u32 = 1;
/// Whom the rest are counted under.
const OTHERS: &str = "others";
/// The longest name of a destination that is kept: that of a host, and its port.
const LONGEST: usize = 260;

#[derive(Debug)]
struct Inner {
    entries: BTreeMap<(Entry, String), Counts>,
    /// How many more can be written down.
    left: u32,
    counted: Instant,
}

/// What was let through and what was not, by one task. Written by each of its connections, and emptied
/// by whoever writes it down.
#[derive(Debug)]
pub struct Ledger {
    inner: Mutex<Inner>,
}

impl Default for Ledger {
    fn default() -> Self {
        let inner = Inner { entries: BTreeMap::new(), left: BURST, counted: Instant::now() };
        Self { inner: Mutex::new(inner) }
    }
}

impl Ledger {
    pub(crate) fn began(&self, to: &str) {
        self.count(Entry::Allowed, to, |counts| counts.times += 1);
    }

    pub(crate) fn moved(&self, to: &str, sent: u64, received: u64) {
        if sent > 0 || received > 0 {
            self.count(Entry::Allowed, to, |counts| {
                counts.sent += sent;
                counts.received += received;
            });
        }
    }

    pub(crate) fn denied(&self, to: &str, reason: Refusal) {
        self.count(Entry::Denied(reason), to, |counts| counts.times += 1);
    }

    pub(crate) fn failed(&self, to: &str, reason: &str) {
        self.count(Entry::Failed(reason.to_owned()), to, |counts| counts.times += 1);
    }

    fn count(&self, entry: Entry, to: &str, add: impl FnOnce(&mut Counts)) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let to: String = to.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
        let key = (entry, to);
        let is_full = inner.entries.len() >= BURST as usize;
        let key = if is_full && !inner.entries.contains_key(&key) { others(key.0) } else { key };
        add(inner.entries.entry(key).or_default());
    }

    /// What has been counted since the last time, as events.
    pub fn take(&self) -> Vec<NetworkEvent> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = inner.counted.elapsed().as_secs();
        if seconds > 0 {
            let more = u32::try_from(seconds).unwrap_or(BURST).saturating_mul(A_SECOND);
            inner.left = inner.left.saturating_add(more).min(BURST);
            inner.counted += Duration::from_secs(seconds);
        }
        let entries = mem::take(&mut inner.entries);
        let (mut kept, mut rest) = (BTreeMap::new(), BTreeMap::<_, Counts>::new());
        for (key, counts) in entries {
            if inner.left > 0 {
                inner.left -= 1;
                kept.insert(key, counts);
            } else {
                let sum = rest.entry(others(key.0)).or_default();
                sum.times += counts.times;
                sum.sent += counts.sent;
                sum.received += counts.received;
            }
        }
        // What finds no place waits for the next time, as one.
        if kept.is_empty() {
            inner.entries = rest;
        } else {
            kept.extend(rest);
        }
        kept.into_iter().map(|((entry, to), counts)| event(entry, to, counts)).collect()
    }

    /// All that has been counted, however much it is: for the end.
    pub fn take_all(&self) -> Vec<NetworkEvent> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).left = BURST;
        self.take()
    }
}

/// Where what finds no place of its own is counted. Reasons of the system's would be ever new ones.
fn others(entry: Entry) -> (Entry, String) {
    let entry = match entry {
        Entry::Failed(_) => Entry::Failed("several reasons".to_owned()),
        entry => entry,
    };
    (entry, OTHERS.to_owned())
}

fn event(entry: Entry, to: String, counts: Counts) -> NetworkEvent {
    let Counts { times, sent, received } = counts;
    match entry {
        Entry::Allowed => NetworkEvent::Allowed {
            to,
            connections: times,
            sent_bytes: sent,
            received_bytes: received,
        },
        Entry::Denied(reason) => NetworkEvent::Denied { to, reason, times },
        Entry::Failed(reason) => NetworkEvent::Failed { to, reason, times },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_to_one_destination_is_one_event() {
        let ledger = Ledger::default();
        for _ in 0..3 {
            ledger.began("a:443");
            ledger.denied("b:443", Refusal::NotAllowed);
        }
        ledger.moved("a:443", 10, 20);
        let events = ledger.take();
        assert_eq!(
            events,
            [
                NetworkEvent::Allowed {
                    to: "a:443".to_owned(),
                    connections: 3,
                    sent_bytes: 10,
                    received_bytes: 20,
                },
                NetworkEvent::Denied {
                    to: "b:443".to_owned(),
                    reason: Refusal::NotAllowed,
                    times: 3,
                },
            ]
        );
        assert_eq!(ledger.take(), []);
    }

    // A task cannot fill the log by asking for ever new hosts, and nothing goes uncounted.
    #[test]
    fn ever_new_destinations_are_counted_together() {
        let ledger = Ledger::default();
        let (mut events, mut counted) = (0, 0);
        for round in 0..20 {
            for host in 0..500 {
                ledger.denied(&format!("h{round}-{host}:443"), Refusal::NotAllowed);
            }
            let taken = ledger.take();
            events += taken.len();
            counted += taken.iter().map(times).sum::<u64>();
        }
        counted += ledger.take_all().iter().map(times).sum::<u64>();
        assert_eq!(counted, 20 * 500);
        assert!(events < 150, "{events}");
    }

    fn times(event: &NetworkEvent) -> u64 {
        match event {
            NetworkEvent::Denied { times, .. } => *times,
            _ => 0,
        }
    }
}
