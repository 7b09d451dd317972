//! How the command line program ends: documented exit codes.

use armor_core::error::Code;

/// An exit code and what it says. `armor exec` ends with the exit code of its command instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// 0: it went well.
    Success,
    /// 1: it failed in a way that no other code says.
    Failure,
    /// 2: the command line is wrong.
    Usage,
    /// 3: something that was named does not exist, or is not the only one of that name.
    NotFound,
    /// 4: the state of the task does not allow it, or somebody else was faster.
    Refused,
    /// 5: something outside Armor is missing: engine, git, disk space.
    Unavailable,
    /// The exit code of a command that ran in a sandbox.
    OfCommand(u8),
}

impl ExitStatus {
    /// The number.
    pub const fn number(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Refused => 4,
            Self::Unavailable => 5,
            Self::OfCommand(code) => code,
        }
    }

    /// How the program ends on an error.
    pub const fn of(code: Code) -> Self {
        match code {
            Code::ArgumentInvalid
            | Code::ArgumentMissing
            | Code::ArgumentUnknown
            | Code::ConfigInvalid
            | Code::ConfigUnknownKey
            | Code::ConfigUnreadable
            | Code::CursorInvalid
            | Code::IdInvalid
            | Code::NetworkInvalidRule
            | Code::PathInvalid
            | Code::PathOutside
            | Code::TaskInvalidMetadata
            | Code::TaskInvalidName => Self::Usage,
            Code::CheckpointAmbiguous
            | Code::CheckpointNotFound
            | Code::DeadLetterNotFound
            | Code::JobNotFound
            | Code::ExecutionNotFound
            | Code::ImageNotFound
            | Code::RecoveryNoOption
            | Code::SandboxNotFound
            | Code::TaskAmbiguous
            | Code::TaskNotFound
            | Code::WorkspaceMissing
            | Code::WorkspaceNoCommit
            | Code::WorkspaceTooLarge
            | Code::WorkspaceNotADirectory
            | Code::WorkspaceNotARepository => Self::NotFound,
            Code::BackupOtherHome
            | Code::CheckpointElsewhere
            | Code::CheckpointNameTaken
            | Code::CheckpointNeeded
            | Code::CheckpointOccupied
            | Code::CheckpointUnsafe
            | Code::DatabaseInUse
            | Code::ExecutionNotRunning
            | Code::HookRefused
            | Code::JobState
            | Code::LeaseHeld
            | Code::LeaseLost
            | Code::NetworkNoRules
            | Code::NetworkRefused
            | Code::SandboxRefused
            | Code::TaskAttachedElsewhere
            | Code::TaskConflict
            | Code::TaskIllegalTransition
            | Code::TaskNotAttached
            | Code::TaskNotRunning
            | Code::TaskUnsavedWork
            | Code::WorkspaceBranchConflict
            | Code::WorkspaceNotAllowed
            | Code::WorkspaceRefused => Self::Refused,
            Code::DatabaseBusy
            | Code::DatabaseFull
            | Code::DatabaseIo
            | Code::DatabaseReadOnly
            | Code::EngineTimeout
            | Code::EngineTooOld
            | Code::ImageOtherPlatform
            | Code::EngineUnavailable
            | Code::EngineUnsupported
            | Code::GitMissing => Self::Unavailable,
            Code::CheckpointBadArchive
            | Code::CheckpointDamaged
            | Code::CheckpointTooLarge
            | Code::DatabaseCorrupt
            | Code::DatabaseFailed
            | Code::DatabaseTooNew
            | Code::DeadLetterFailed
            | Code::EngineFailed
            | Code::ExecutionInterrupted
            | Code::ExecutionNotExecutable
            | Code::ExecutionCommandNotFound
            | Code::ExecutionNoBackground
            | Code::ExecutionOutOfMemory
            | Code::ExecutionTimedOut
            | Code::GitFailed
            | Code::ImageBuildFailed
            | Code::Internal
            | Code::NetworkNoCarrier
            | Code::SandboxUnreachable
            | Code::SandboxWeaker
            | Code::StorageFailed => Self::Failure,
        }
    }
}
