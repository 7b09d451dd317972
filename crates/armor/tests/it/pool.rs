//! Sandboxes that are ready before anybody asks for them.

use std::path::Path;
use std::time::{Duration, Instant};

use armor::task::Task;
use armor::{Armor, CreateTask};
use armor_core::id::TaskId;
use armor_core::sandbox::Runtime;
use armor_testkit::{Home, Repository, engine, require_engine};
use bollard::query_parameters::{
    KillContainerOptionsBuilder, RemoveImageOptions, TagImageOptionsBuilder,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{attach, attached, events, open, sh};

const LONG: Duration = Duration::from_mins(2);

/// A home whose pool is filled.
struct Filled {
    armor: Armor,
    home: Home,
    stop: CancellationToken,
    filling: JoinHandle<()>,
}

impl Filled {
    async fn open(home: Home) -> Self {
        let armor = open(&home).await;
        let stop = CancellationToken::new();
        let (lifecycle, until) = (armor.lifecycle().clone(), stop.clone());
        let filling = tokio::spawn(async move { lifecycle.keep_pool(until).await });
        Self { armor, home, stop, filling }
    }

    fn ready(&self) -> Vec<String> {
        ready(&self.home)
    }

    async fn until_ready(&self, count: usize) -> Vec<String> {
        until(|| self.ready().len() == count).await;
        self.ready()
    }

    /// Deletes the tasks and stops filling: nothing is left then.
    async fn end(self, tasks: impl IntoIterator<Item = &Task>) {
        for task in tasks {
            self.armor.lifecycle().delete(task.id.as_str(), true).await.unwrap();
        }
        self.stop.cancel();
        self.filling.await.unwrap();
        assert_eq!(ready(&self.home), Vec::<String>::new());
        self.armor.close().await;
        assert!(self.home.leftovers().await.is_empty());
    }
}

fn ready(home: &Home) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(home.path().join("pool/ready")) else { return Vec::new() };
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

async fn until(is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < LONG, "it did not come");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn create(armor: &Armor, workspace: &Path) -> Task {
    let mut request = CreateTask::named("a task".parse().unwrap());
    request.workspace = Some(workspace.to_owned());
    armor.lifecycle().create(request).await.unwrap()
}

/// The container of a task.
async fn container(armor: &Armor, task: &str) -> String {
    let task = armor.lifecycle().registry().resolve(task).await.unwrap().id;
    armor.lifecycle().runtime().find(&task).await.unwrap().unwrap().id.to_string()
}

fn size(size: usize) -> Home {
    Home::new().with("ARMOR_POOL_SIZE", size.to_string())
}

#[tokio::test]
async fn engine_a_task_gets_a_sandbox_that_ran_before_and_cannot_be_told_from_others() {
    require_engine!();
    // With git in its image.
    let home = Home::with_base_image().with("ARMOR_POOL_SIZE", "1");
    let place = Filled::open(home).await;
    let repository = place.home.repository();
    let armor = &place.armor;
    let first = attached(armor, &repository).await;
    let pooled = place.until_ready(1).await.remove(0);
    let second = create(armor, repository.path()).await;
    assert_eq!(second.id.as_str(), pooled);
    // It runs already, though nobody has attached.
    let before = container(armor, &pooled).await;
    attach(armor, &second).await.unwrap();
    assert_eq!(container(armor, &pooled).await, before);

    // Files, branch, memory and labels are those of the task.
    let told =
        sh(armor, &second, "ls; git branch --show-current; git status --short; ls -A ~").await;
    assert_eq!(told, format!("one.txt\ntwo.txt\ntask/{pooled}\n"));
    sh(armor, &second, "echo mine > file && git add file && git commit -qm mine").await;
    let branch = format!("task/{pooled}");
    armor.lifecycle().detach(second.id.as_str(), None).await.unwrap();
    assert!(repository.git(&["show", "--stat", &branch]).contains("file"));
    assert_eq!(
        events(armor, &second).await[..3],
        ["task:created", "task:beforeStart", "sandbox:created"]
    );
    place.end([&first, &second]).await;
}

// What was made ahead is not what the task is to start from any more.
#[tokio::test]
async fn engine_a_pooled_working_copy_starts_where_the_repository_stands_now() {
    require_engine!();
    let place = Filled::open(size(1)).await;
    let repository = place.home.repository();
    let armor = &place.armor;
    let first = attached(armor, &repository).await;
    let pooled = place.until_ready(1).await.remove(0);
    let base = repository.commit("three.txt", "three");
    repository.git(&["branch", "--move", "moved"]);
    let task = create(armor, repository.path()).await;
    assert_eq!(task.id.as_str(), pooled);
    attach(armor, &task).await.unwrap();
    let told = sh(armor, &task, "ls; cat .git/packed-refs .git/HEAD").await;
    let wanted = format!(
        "one.txt\nthree.txt\ntwo.txt\n{base} refs/remotes/origin/moved\nref: refs/heads/task/{pooled}\n"
    );
    assert_eq!(told, wanted);
    place.end([&first, &task]).await;
}

// R96: as if it had been killed between the row and the working copy. Once an agent has been there,
// nothing is made anew, whatever is noted.
#[tokio::test]
async fn engine_a_claim_that_broke_off_is_finished_before_the_agent_comes_and_never_after() {
    require_engine!();
    let place = Filled::open(size(1)).await;
    let repository = place.home.repository();
    let armor = &place.armor;
    let first = attached(armor, &repository).await;
    let pooled = place.until_ready(1).await.remove(0);
    let task = create(armor, repository.path()).await;
    assert_eq!(task.id.as_str(), pooled);
    let folder = place.home.path().join("tasks").join(&pooled);
    let branch = format!("task/{pooled}");
    repository.git(&["branch", "--delete", "--force", &branch]);
    std::fs::write(folder.join("workspace.expected"), "").unwrap();
    std::fs::remove_file(folder.join("workspace/one.txt")).unwrap();
    attach(armor, &task).await.unwrap();
    assert_eq!(sh(armor, &task, "ls").await, "one.txt\ntwo.txt\n");
    assert!(repository.git(&["branch", "--list", &branch]).contains(&branch));

    sh(armor, &task, "echo mine > mine").await;
    std::fs::write(folder.join("workspace.expected"), "").unwrap();
    let gone = armor.lifecycle().runtime().remove(&task.id);
    gone.await.unwrap();
    assert_eq!(sh(armor, &task, "cat mine").await, "mine\n");
    place.end([&first, &task]).await;
}

// Never handed out twice; and whoever gets none has one made.
#[tokio::test]
async fn engine_of_many_tasks_at_once_each_has_a_sandbox_of_its_own() {
    require_engine!();
    let place = Filled::open(size(2)).await;
    let repository = place.home.repository();
    let first = attached(&place.armor, &repository).await;
    let pooled = place.until_ready(2).await;
    let created = (0..6).map(|_| create(&place.armor, repository.path()));
    let created = futures_util::future::join_all(created).await;
    let claimed = created.iter().filter(|task| pooled.contains(&task.id.to_string())).count();
    assert_eq!(claimed, 2);
    let mut containers = Vec::new();
    for task in &created {
        attach(&place.armor, task).await.unwrap();
        assert!(sh(&place.armor, task, "cat .git/HEAD").await.contains(task.id.as_str()));
        containers.push(container(&place.armor, task.id.as_str()).await);
    }
    containers.sort();
    containers.dedup();
    assert_eq!(containers.len(), created.len());
    place.end(created.iter().chain([&first])).await;
}

#[tokio::test]
async fn engine_tasks_of_another_kind_get_no_sandbox_of_the_pool() {
    require_engine!();
    let place = Filled::open(size(1)).await;
    let repository = place.home.repository();
    let first = attached(&place.armor, &repository).await;
    let pooled = place.until_ready(1).await.remove(0);
    // Without a repository, of another one, with other limits.
    let other = Repository::make(place.home.user().join("other"));
    let mut requests: Vec<_> =
        (0..3).map(|_| CreateTask::named("a task".parse().unwrap())).collect();
    requests[1].workspace = Some(other.path().to_owned());
    requests[2].workspace = Some(repository.path().to_owned());
    requests[2].limits.pids = Some(100);
    for request in requests {
        let task = place.armor.lifecycle().create(request).await.unwrap();
        assert_ne!(task.id.as_str(), pooled);
        place.armor.lifecycle().delete(task.id.as_str(), true).await.unwrap();
    }
    place.end([&first]).await;
}

#[tokio::test]
async fn engine_a_pooled_sandbox_that_died_or_whose_image_changed_is_replaced() {
    require_engine!();
    // An image of the test's own, with a name that it can give to another one.
    let (name, tag) = ("agentic-armor/test-pool", ulid());
    let image = format!("{name}:{tag}");
    let docker = engine::docker();
    let tagged = TagImageOptionsBuilder::new().repo(name).tag(&tag).build();
    docker.tag_image(engine::image().as_str(), Some(tagged)).await.unwrap();
    let place = Filled::open(size(1).with("ARMOR_SANDBOX_IMAGE", image.as_str())).await;
    let repository = place.home.repository();
    let first = attached(&place.armor, &repository).await;
    let pooled = place.until_ready(1).await.remove(0);
    let filters = std::collections::HashMap::from([(
        "label".to_owned(),
        vec![format!("opencode.task.id={pooled}")],
    )]);
    let list = bollard::query_parameters::ListContainersOptionsBuilder::new().filters(&filters);
    let found = docker.list_containers(Some(list.build())).await.unwrap();
    let kill = KillContainerOptionsBuilder::new().signal("KILL").build();
    docker.kill_container(found[0].id.as_ref().unwrap(), Some(kill)).await.unwrap();
    let other = || ready(&place.home).iter().any(|task| *task != pooled);
    // A task tells whoever fills the pool to look.
    let second = create(&place.armor, repository.path()).await;
    attach(&place.armor, &second).await.unwrap();
    until(other).await;
    let pooled = place.until_ready(1).await.remove(0);

    sh(&place.armor, &second, "true").await;
    let sandbox = place.armor.lifecycle().runtime().find(&second.id).await.unwrap().unwrap();
    let runtime: &dyn Runtime = place.armor.lifecycle().runtime();
    runtime.snapshot(&sandbox.id, &image.parse().unwrap()).await.unwrap();
    // It is not handed out any more, even before it is replaced.
    let third = create(&place.armor, repository.path()).await;
    assert_ne!(third.id.as_str(), pooled);
    until(|| ready(&place.home).iter().any(|task| *task != pooled)).await;
    place.end([&first, &second, &third]).await;
    docker.remove_image(&image, None::<RemoveImageOptions>, None).await.unwrap();
}

#[tokio::test]
async fn engine_a_pooled_sandbox_that_does_not_answer_is_replaced() {
    require_engine!();
    let place = Filled::open(size(1)).await;
    let repository = place.home.repository();
    let first = attached(&place.armor, &repository).await;
    let pooled = place.until_ready(1).await.remove(0);
    let task = TaskId::parse(pooled.as_str()).unwrap();
    let sandbox = place.armor.lifecycle().runtime().find(&task).await.unwrap().unwrap();
    // It runs, as the engine sees it.
    let stand_still = KillContainerOptionsBuilder::new().signal("STOP").build();
    engine::docker().kill_container(sandbox.id.as_str(), Some(stand_still)).await.unwrap();
    until(|| ready(&place.home).iter().any(|task| *task != pooled)).await;
    let second = create(&place.armor, repository.path()).await;
    assert_ne!(second.id.as_str(), pooled);
    attach(&place.armor, &second).await.unwrap();
    assert_eq!(sh(&place.armor, &second, "echo alive").await, "alive\n");
    place.end([&first, &second]).await;
}

fn ulid() -> String {
    use armor_core::id::{IdSource, RandomIds};
    use armor_core::time::{Clock, SystemClock};
    RandomIds::default().task_id(SystemClock.now()).to_string()
}
