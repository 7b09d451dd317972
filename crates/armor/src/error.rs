//! What can keep a home from being opened.

use armor_checkpoint_store::StoreError;
use armor_core::config::ConfigError;
use armor_core::error::{Code, Diagnostic};
use armor_core::event::LogError;
use armor_docker::EndpointError;
use armor_lifecycle::LifecycleError;
use armor_persistence::StorageError;
use armor_registry::RegistryError;

/// A home could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The home's folders cannot be made.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The folder of checkpoints cannot be made.
    #[error(transparent)]
    Checkpoints(#[from] StoreError),
    /// The database cannot be opened.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The event log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The engine's address cannot be told.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// What a dead process left could not be put right.
    #[error(transparent)]
    Recovery(#[from] LifecycleError),
}

impl Diagnostic for OpenError {
    fn code(&self) -> Code {
        match self {
            Self::Config(error) => error.code(),
            Self::Storage(error) => error.code(),
            Self::Checkpoints(error) => error.code(),
            Self::Registry(error) => error.code(),
            Self::Log(error) => error.code(),
            Self::Endpoint(error) => error.code(),
            Self::Recovery(error) => error.code(),
        }
    }

    fn next_step(&self) -> Option<String> {
        match self {
            Self::Config(error) => error.next_step(),
            Self::Storage(error) => error.next_step(),
            Self::Checkpoints(error) => error.next_step(),
            Self::Registry(error) => error.next_step(),
            Self::Log(error) => error.next_step(),
            Self::Endpoint(error) => error.next_step(),
            Self::Recovery(error) => error.next_step(),
        }
    }
}
