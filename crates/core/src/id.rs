//! Ids: one type each, parsed at the edge, made by an [`IdSource`].
//!
//! Generated ids are ULIDs in lower case: 26 characters that sort by time of creation and fit a
//! branch name, a container name and a folder name.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::error::{Code, Diagnostic};
use crate::time::Timestamp;

/// A text that cannot be the id it is meant for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a valid {kind} id", .text.escape_debug())]
pub struct InvalidId {
    kind: &'static str,
    form: &'static str,
    text: String,
}

impl Diagnostic for InvalidId {
    fn code(&self) -> Code {
        Code::IdInvalid
    }

    fn next_step(&self) -> Option<String> {
        Some(format!("A valid {} id is {}.", self.kind, self.form))
    }
}

/// The form of ids that become part of names of folders, branches and containers.
const SLUG_FORM: &str = "1 to 63 of the characters a-z, 0-9 and -, and does not begin with -";
/// The form of ids that only ever appear in text.
const LABEL_FORM: &str = "1 to 64 of the characters A-Z, a-z, 0-9, `.`, `_`, `@`, `:` and `-`, and begins with a letter or digit";

fn is_slug(text: &str) -> bool {
    let bytes = text.as_bytes();
    (1..=63).contains(&bytes.len())
        && bytes[0] != b'-'
        && bytes.iter().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    (1..=64).contains(&bytes.len())
        && bytes[0].is_ascii_alphanumeric()
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"._@:-".contains(b))
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $check:ident, $form:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Takes `text` if it has the form of such an id.
            ///
            /// # Errors
            /// [`InvalidId`] when it has not.
            pub fn parse(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                if $check(&text) {
                    Ok(Self(text))
                } else {
                    Err(InvalidId { kind: $kind, form: $form, text })
                }
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

id_type!(
    /// Names a task.
    TaskId, "task", is_slug, SLUG_FORM
);
id_type!(
    /// Names one command run in a sandbox.
    ExecutionId, "execution", is_slug, SLUG_FORM
);
id_type!(
    /// Names a checkpoint of a task.
    CheckpointId, "checkpoint", is_slug, SLUG_FORM
);
id_type!(
    /// Names an event, once and for all: what makes a consumer idempotent.
    EventId, "event", is_slug, SLUG_FORM
);
id_type!(
    /// Names one process that has a home open; its executions are lost when it dies.
    InstanceId, "instance", is_slug, SLUG_FORM
);
id_type!(
    /// Names a home, so that two homes on one engine never touch each other's sandboxes.
    HomeId, "home", is_slug, SLUG_FORM
);
id_type!(
    /// Names who works in a task. Chosen by the agent, or by the program that starts it.
    AgentId, "agent", is_label, LABEL_FORM
);
id_type!(
    /// The runtime's own name for a sandbox, such as a container's id.
    SandboxId, "sandbox", is_label, LABEL_FORM
);

impl AgentId {
    /// A person whose name is not known.
    pub fn person() -> Self {
        Self("person".to_owned())
    }
}

/// Makes new ids (R5). Ids of one source rise strictly, also when the clock goes back.
pub trait IdSource: Send + Sync + fmt::Debug {
    /// The next ULID for the moment `now`, in lower case.
    fn next(&self, now: Timestamp) -> String;

    /// A new task id.
    fn task_id(&self, now: Timestamp) -> TaskId {
        TaskId(self.next(now))
    }

    /// A new execution id.
    fn execution_id(&self, now: Timestamp) -> ExecutionId {
        ExecutionId(self.next(now))
    }

    /// A new checkpoint id.
    fn checkpoint_id(&self, now: Timestamp) -> CheckpointId {
        CheckpointId(self.next(now))
    }

    /// A new event id.
    fn event_id(&self, now: Timestamp) -> EventId {
        EventId(self.next(now))
    }

    /// A new instance id.
    fn instance_id(&self, now: Timestamp) -> InstanceId {
        InstanceId(self.next(now))
    }

    /// A new home id.
    fn home_id(&self, now: Timestamp) -> HomeId {
        HomeId(self.next(now))
    }
}

/// ULIDs with random bits from the operating system.
#[derive(Debug)]
pub struct RandomIds {
    // Shared by every caller of the process: ids have to rise across them.
    generator: Mutex<ulid::Generator>,
}

impl Default for RandomIds {
    fn default() -> Self {
        Self { generator: Mutex::new(ulid::Generator::new()) }
    }
}

impl IdSource for RandomIds {
    fn next(&self, now: Timestamp) -> String {
        let moment = SystemTime::UNIX_EPOCH + Duration::from_millis(now.as_millis_unsigned());
        let mut generator =
            self.generator.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let ulid = match generator.generate_from_datetime(moment) {
            Ok(ulid) => ulid,
            // The 80 random bits of one millisecond ran over: take the next millisecond's first.
            Err(overflow) => overflow.commit_overflow_increment(),
        };
        ulid.to_string().to_ascii_lowercase()
    }
}

/// ULIDs whose random part counts up from one: for tests whose output must not change.
#[derive(Debug, Default)]
pub struct SequentialIds(AtomicU64);

impl IdSource for SequentialIds {
    fn next(&self, now: Timestamp) -> String {
        let count = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        Ulid::from_parts(now.as_millis_unsigned(), u128::from(count))
            .to_string()
            .to_ascii_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        // R1
        #[test]
        fn a_task_id_is_taken_exactly_when_it_fits_the_pattern(text in "\\PC{0,70}|[a-z0-9-]{0,70}") {
            let fits = !text.is_empty()
                && text.len() <= 63
                && !text.starts_with('-')
                && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
            prop_assert_eq!(TaskId::parse(text).is_ok(), fits);
        }

        // R1: generated ids sort by time of creation, whatever the clock does.
        #[test]
        fn generated_ids_rise_when_the_clock_jumps(millis in prop::collection::vec(0_i64..4_000_000_000_000, 2..40)) {
            let ids = RandomIds::default();
            let made: Vec<TaskId> =
                millis.into_iter().map(|ms| ids.task_id(Timestamp::from_millis(ms))).collect();
            prop_assert!(made.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", made);
            for id in made {
                prop_assert!(TaskId::parse(id.as_str()).is_ok());
            }
        }
    }

    #[test]
    fn an_invalid_id_says_what_a_valid_one_is() {
        let error = TaskId::parse("Not valid\n").unwrap_err();
        assert_eq!(error.to_string(), "`Not valid\\n` is not a valid task id");
        assert!(error.next_step().unwrap().contains("a-z, 0-9 and -"));
    }
}
