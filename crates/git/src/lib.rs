//! The user's repository, and a task's working copy of it; or a plain copy of a folder.
//!
//! A working copy is a repository of its own (`working_copy.rs`). It reads the objects of the user's
//! repository and can write nothing of it. What an agent commits comes back as a bundle, that is,
//! as data: [`SourceRepository::take_in`] checks it into the user's repository, and
//! [`SourceRepository::move_branch`] moves the task's branch. Once an agent has worked in a working copy, git never runs in it on the host, because
//! its configuration would be the agent's.

mod bundle;
mod command;
mod error;
mod example;
mod import;
mod layout;
mod plain_copy;
mod rename;
mod source;
mod working_copy;

pub use bundle::is_object_id;
pub use command::{Git, GitVersion};
pub use error::GitError;
pub use example::{diff, make_example};
pub use import::Imported;
pub use plain_copy::copy_from;
pub use rename::rename_branch;
pub use source::{Allowed, SourceRepository};
pub use working_copy::{WorkingCopy, fill_from, hand_over, make_empty, make_from};
