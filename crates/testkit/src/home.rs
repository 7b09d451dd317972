//! A temporary home.

use std::path::{Path, PathBuf};
use std::process::Command;

use armor_core::config::Environment;
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use crate::{Repository, engine};

/// A folder with a home in it, an environment that leads to it, and room for repositories. When it
/// is dropped, everything of the home goes, on the engine too.
#[derive(Debug)]
pub struct Home {
    folder: tempfile::TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Default for Home {
    fn default() -> Self {
        Self::new()
    }
}

impl Home {
    /// A new one, whose tasks run the tests' image.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let variables = vec![
            ("ARMOR_HOME", folder.path().join("home").display().to_string()),
            ("ARMOR_WORKSPACE_ALLOWED_ROOTS", folder.path().join("user").display().to_string()),
            ("ARMOR_SANDBOX_IMAGE", engine::image().to_string()),
            // What a test gives a sandbox is little, so that many fit side by side.
            ("ARMOR_SANDBOX_MEMORY_MIB", "256".to_owned()),
            // Tests count checkpoints and their events; those of risks and ends ask for them.
            ("ARMOR_CHECKPOINT_AUTOMATIC", "false".to_owned()),
            // Tests count what there is on the engine.
            ("ARMOR_POOL_SIZE", "0".to_owned()),
            // A test fails over what is done, not over a machine that is slow just then.
            ("ARMOR_ENGINE_TIMEOUT_SECONDS", "240".to_owned()),
            ("HOME", folder.path().join("user").display().to_string()),
            ("USER", "tester".to_owned()),
        ];
        std::fs::create_dir(folder.path().join("user")).unwrap();
        Self { folder, variables }
    }

    /// A new one, whose tasks run Armor's own base image.
    pub fn with_base_image() -> Self {
        let mut home = Self::new();
        home.variables.retain(|(name, _)| *name != "ARMOR_SANDBOX_IMAGE");
        home
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, value.into()));
        self
    }

    /// Armor's home.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// The user's own folder, where repositories may lie.
    pub fn user(&self) -> PathBuf {
        self.folder.path().join("user")
    }

    /// The environment that leads to it.
    pub fn environment(&self) -> Environment {
        let mut variables = self.variables.clone();
        // The engine that the tests look at from outside.
        variables.extend(crate::variable("DOCKER_HOST").map(|host| ("DOCKER_HOST", host)));
        Environment::of(variables, self.user())
    }

    /// A program that runs in that environment, standing in the user's folder.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "XDG_DATA_HOME", "ARMOR_LOG"] {
            command.env_remove(name);
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.user());
        command
    }

    /// A user's repository with two commits.
    pub fn repository(&self) -> Repository {
        Repository::make(self.user().join("project"))
    }

    /// The home's id, once it was opened.
    pub async fn id(&self) -> Option<String> {
        let database = self.path().join("armor.db");
        if !database.exists() {
            return None;
        }
        let options = SqliteConnectOptions::new().filename(database).read_only(true);
        let mut connection = options.connect().await.ok()?;
        let id = sqlx::query_scalar("SELECT value FROM home WHERE key = 'id'");
        id.fetch_optional(&mut connection).await.ok()?
    }

    /// Damages an event's row in the database, as a failing disk would.
    pub async fn damage_event(&self, seq: i64) {
        let options = SqliteConnectOptions::new().filename(self.path().join("armor.db"));
        let mut connection = options.connect().await.unwrap();
        let trigger = "DROP TRIGGER IF EXISTS events_never_change";
        sqlx::query(trigger).execute(&mut connection).await.unwrap();
        let damage = sqlx::query("UPDATE events SET name = CAST(x'ff' AS TEXT) WHERE seq = ?");
        damage.bind(seq).execute(&mut connection).await.unwrap();
    }

    /// Sets how far a consumer of the log has come, as if it had not seen the rest yet.
    pub async fn set_cursor(&self, consumer: &str, seq: i64) {
        let options = SqliteConnectOptions::new().filename(self.path().join("armor.db"));
        let mut connection = options.connect().await.unwrap();
        let set = sqlx::query("UPDATE cursors SET seq = ? WHERE consumer = ?");
        set.bind(seq).bind(consumer).execute(&mut connection).await.unwrap();
    }

    /// Gives a job up, as if it had failed too often.
    pub async fn give_job_up(&self, job: i64) {
        let options = SqliteConnectOptions::new().filename(self.path().join("armor.db"));
        let mut connection = options.connect().await.unwrap();
        let set = sqlx::query("UPDATE jobs SET status = 'dead', owner = NULL WHERE id = ?");
        set.bind(job).execute(&mut connection).await.unwrap();
    }

    /// Everything that the home has left: containers, networks, folders of tasks.
    pub async fn leftovers(&self) -> Vec<String> {
        let mut left = match self.id().await {
            Some(id) => engine::left_of(&id).await,
            None => Vec::new(),
        };
        if let Ok(entries) = std::fs::read_dir(self.path().join("tasks")) {
            left.extend(entries.map(|entry| entry.unwrap().path().display().to_string()));
        }
        left
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let this = &*self;
        let id = std::thread::scope(|scope| {
            let reading = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.unwrap().block_on(this.id())
            });
            reading.join().ok().flatten()
        });
        if let Some(id) = id {
            engine::remove_all_of_blocking(&id);
        }
    }
}
