//! How risky a command is that is about to run: what decides whether a checkpoint is taken first (R27).
//!
//! It is a heuristic. It looks at the words of a command, not at what programs do: a script, a build or a
//! program of the agent's own may do anything, and counts nothing. What it does say is said in parts, each
//! with its points and its reason, and the same command in the same circumstances always scores the same.
//!
//! [`Risk::of`] reads the command (`line.rs` what a shell would make of it, `call.rs` which programs are
//! called in it), looks these up in a table (`rules.rs`), and adds what the circumstances count.
//!
//! ```
//! use armor_core::execution::CommandLine;
//! use armor_core::risk::{Circumstances, Risk};
//!
//! let now = Circumstances { commands: 2, ..Circumstances::default() };
//! let risk = |line: &str| Risk::of(&CommandLine::Shell(line.to_owned()), &now).score;
//! assert!(risk("cd src && rm -rf parser") >= 50);
//! assert!(risk("cargo build | tail") < 50);
//! ```

mod call;
mod circumstances;
mod line;
mod rules;
mod score;
#[cfg(test)]
mod tests;

pub use circumstances::Circumstances;
pub use score::{Assessment, Decision, Risk, RiskKind, RiskPart};
