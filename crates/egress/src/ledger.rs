//! What was let through and what was not, until somebody writes it down.

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use armor_core::event::NetworkEvent;
use armor_core::network::Refusal;

/// What an entry counts, for one destination.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Entry {
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

/// How many entries can be written down at one time, and how many more each second: a task that asks
/// for ever new hosts does not fill the log. What is refused takes no place of what is let through.
#[derive(Debug, Clone, Copy)]
struct Pace {
    burst: usize,
    a_second: usize,
}

const ALLOWED: Pace = Pace { burst: 1000, a_second: 20 };
const REFUSED: Pace = Pace { burst: 100, a_second: 1 };
/// Whom the rest are counted under.
const OTHERS: &str = "others";
/// The longest name of a destination that is kept: that of a host, and its port.
const LONGEST: usize = 260;

/// Entries of one pace.
#[derive(Debug)]
struct Page {
    pace: Pace,
    entries: BTreeMap<(Entry, String), Counts>,
    /// How many more can be written down.
    left: usize,
    counted: Instant,
}

/// What was let through and what was not, by one task. Written by each of its connections, and emptied
/// by whoever writes it down.
#[derive(Debug)]
pub struct Ledger {
    /// What was let through; what was refused, or came to nothing.
    pages: Mutex<[Page; 2]>,
}

impl Default for Ledger {
    fn default() -> Self {
        let page = |pace: Pace| Page {
            pace,
            entries: BTreeMap::new(),
            left: pace.burst,
            counted: Instant::now(),
        };
        Self { pages: Mutex::new([page(ALLOWED), page(REFUSED)]) }
    }
}

impl Page {
    fn add(&mut self, entry: Entry, to: String, counts: Counts) {
        let key = (entry, to);
        let is_full = self.entries.len() >= self.pace.burst;
        let key = if is_full && !self.entries.contains_key(&key) { others(key.0) } else { key };
        self.entries.entry(key).or_default().add(counts);
    }

    fn take(&mut self) -> BTreeMap<(Entry, String), Counts> {
        let seconds = self.counted.elapsed().as_secs();
        let more =
            usize::try_from(seconds).unwrap_or(usize::MAX).saturating_mul(self.pace.a_second);
        self.left = self.left.saturating_add(more).min(self.pace.burst);
        self.counted += Duration::from_secs(seconds);
        let mut taken: BTreeMap<_, Counts> = BTreeMap::new();
        for (key, counts) in mem::take(&mut self.entries) {
            let has_place = self.left > 0;
            self.left = self.left.saturating_sub(1);
            let key = if has_place { key } else { others(key.0) };
            taken.entry(key).or_default().add(counts);
        }
        taken
    }
}

impl Counts {
    const fn add(&mut self, more: Self) {
        self.times += more.times;
        self.sent += more.sent;
        self.received += more.received;
    }
}

impl Ledger {
    pub(crate) fn began(&self, to: &str) {
        self.count(Entry::Allowed, to, Counts { times: 1, ..Counts::default() });
    }

    pub(crate) fn moved(&self, to: &str, sent: u64, received: u64) {
        if sent > 0 || received > 0 {
            self.count(Entry::Allowed, to, Counts { times: 0, sent, received });
        }
    }

    pub(crate) fn denied(&self, to: &str, reason: Refusal) {
        self.count(Entry::Denied(reason), to, Counts { times: 1, ..Counts::default() });
    }

    pub(crate) fn failed(&self, to: &str, reason: &str) {
        let entry = Entry::Failed(reason.to_owned());
        self.count(entry, to, Counts { times: 1, ..Counts::default() });
    }

    fn count(&self, entry: Entry, to: &str, counts: Counts) {
        let to: String = to.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages[usize::from(entry != Entry::Allowed)].add(entry, to, counts);
    }

    /// What has been counted since the last time, as events.
    pub fn take(&self) -> Vec<NetworkEvent> {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = pages.iter_mut().flat_map(Page::take);
        taken.map(|((entry, to), counts)| event(entry, to, counts)).collect()
    }

    /// Takes back events that could not be written down.
    pub fn put_back(&self, events: Vec<NetworkEvent>) {
        for event in events {
            match event {
                NetworkEvent::Allowed { to, connections: times, sent_bytes, received_bytes } => {
                    let counts = Counts { times, sent: sent_bytes, received: received_bytes };
                    self.count(Entry::Allowed, &to, counts);
                }
                NetworkEvent::Denied { to, reason, times } => {
                    self.count(Entry::Denied(reason), &to, Counts { times, ..Counts::default() });
                }
                NetworkEvent::Failed { to, reason, times } => {
                    self.count(Entry::Failed(reason), &to, Counts { times, ..Counts::default() });
                }
                // None of ours.
                NetworkEvent::Ruled { .. } => {}
            }
        }
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

    // A task cannot fill the log by asking for ever new hosts, nothing goes uncounted, and what was
    // let through keeps its name.
    #[test]
    fn ever_new_destinations_are_counted_together_and_hide_none_that_was_reached() {
        let ledger = Ledger::default();
        let (mut events, mut counted) = (0, 0);
        for round in 0..20 {
            for host in 0..500 {
                // On either side of where those without a place are counted.
                let first = if host % 2 == 0 { 'a' } else { 'z' };
                ledger.denied(&format!("{first}{round}-{host}:443"), Refusal::NotAllowed);
            }
            let reached = format!("h{round}:443");
            ledger.began(&reached);
            let taken = ledger.take();
            events += taken.len();
            counted += taken.iter().map(times).sum::<u64>();
            let is_reached = |event: &NetworkEvent| matches!(event, NetworkEvent::Allowed { to, .. } if *to == reached);
            assert!(taken.iter().any(is_reached), "{taken:?}");
        }
        assert_eq!(counted, 20 * 500);
        assert!(events < 170, "{events}");
    }

    #[test]
    fn what_could_not_be_written_down_is_counted_again() {
        let ledger = Ledger::default();
        ledger.began("a:443");
        ledger.moved("a:443", 1, 2);
        ledger.failed("b:443", "refused");
        ledger.denied("c:443", Refusal::Denied);
        let events = ledger.take();
        ledger.began("a:443");
        ledger.put_back(events);
        let again = ledger.take();
        assert_eq!(again.len(), 3);
        let counted = NetworkEvent::Allowed {
            to: "a:443".to_owned(),
            connections: 2,
            sent_bytes: 1,
            received_bytes: 2,
        };
        assert_eq!(again[0], counted);
    }

    fn times(event: &NetworkEvent) -> u64 {
        match event {
            NetworkEvent::Denied { times, .. } => *times,
            _ => 0,
        }
    }
}
