//! What SQLite's failures mean to a caller.

use std::sync::Arc;

use crate::RegistryError;
use crate::error::Cause;

// Primary result codes of SQLite, https://sqlite.org/rescode.html
const BUSY: u32 = 5;
const READ_ONLY: u32 = 8;
const IO: u32 = 10;
const CORRUPT: u32 = 11;
const FULL: u32 = 13;
const CANNOT_OPEN: u32 = 14;
const TOO_BIG: u32 = 18;
const CONSTRAINT: u32 = 19;
const MISMATCH: u32 = 20;
const NOT_A_DATABASE: u32 = 26;

/// Tells the kinds of failures apart.
pub(super) fn failed(action: &'static str) -> impl FnOnce(sqlx::Error) -> RegistryError {
    move |error| {
        let code = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .and_then(|code| code.parse::<u32>().ok())
            .map(|extended| extended & 0xff);
        let source: Cause = Arc::new(error);
        match code {
            Some(FULL) => RegistryError::Full { action, source },
            Some(CORRUPT | NOT_A_DATABASE) => RegistryError::Corrupt { action, source },
            Some(BUSY) => RegistryError::Busy { action, source },
            Some(READ_ONLY) => RegistryError::ReadOnly { action, source },
            Some(IO | CANNOT_OPEN) => RegistryError::Io { action, source },
            Some(TOO_BIG | CONSTRAINT | MISMATCH) => RegistryError::Refused { action, source },
            _ => RegistryError::Failed { action, source },
        }
    }
}

/// Something that is stored cannot be read.
pub(super) fn corrupt(
    action: &'static str,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> RegistryError {
    RegistryError::Corrupt { action, source: error.into().into() }
}
