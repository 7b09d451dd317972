//! A sandbox to work in, for a repository of a hundred files: created and attached, from the pool and
//! without one, beside the bare engine's create and start.

use std::time::{Duration, Instant};

use armor::task::Task;
use armor::{Armor, CreateTask, Lifecycle, Silent};
use armor_testkit::Repository;
use tokio_util::sync::CancellationToken;

use super::Amount;
use super::place::Place;
use crate::Outcome;
use crate::times::{Side, Times, order};

/// Files of the repository, and bytes of each.
const FILES: usize = 100;
const BYTES: usize = 4000;
/// How long the pool may take to be filled again.
const LIMIT: Duration = Duration::from_mins(1);

/// The times to a sandbox to work in.
pub(super) struct Ready {
    /// Out of the pool.
    pub(super) warm: Times,
    /// Made for the task.
    pub(super) cold: Times,
}

/// Measures both in the place's home, first without a pool.
pub(super) async fn measure(place: &Place, amount: Amount) -> Outcome<Ready> {
    let repository = Repository::make(place.home().user().join("hundred"));
    for number in 0..FILES {
        let line = format!("{number:0>width$}\n", width = BYTES - 1);
        std::fs::write(repository.path().join(format!("file{number}")), line)?;
    }
    repository.git(&["add", "--all"]);
    repository.git(&["commit", "--quiet", "--message", "a hundred files"]);
    let mut measured = Ready { warm: Times::new()?, cold: Times::new()? };
    for (size, times) in [("0", &mut measured.cold), ("1", &mut measured.warm)] {
        let environment = place.home().environment();
        let armor = Armor::builder(environment).set("pool.size", size).open().await?;
        let stop = CancellationToken::new();
        let (lifecycle, until) = (armor.lifecycle().clone(), stop.clone());
        let filling = tokio::spawn(async move { lifecycle.keep_pool(until).await });
        let done =
            Box::pin(measure_in(place, armor.lifecycle(), &repository, size != "0", times, amount));
        let done = done.await;
        stop.cancel();
        filling.await?;
        armor.close().await;
        done?;
    }
    Ok(measured)
}

async fn measure_in(
    place: &Place,
    lifecycle: &Lifecycle,
    repository: &Repository,
    has_pool: bool,
    times: &mut Times,
    amount: Amount,
) -> Outcome {
    let spec = place.spec(lifecycle.default_limits())?;
    // The pool is kept for the kinds of tasks that there are.
    let kept = if has_pool { Some(create(lifecycle, repository).await?) } else { None };
    for turn in 0..=amount.rounds * amount.sandboxes {
        for side in order(turn) {
            match side {
                Side::Ours => {
                    // What is filled again meanwhile would be charged to either side.
                    if has_pool && turn > 0 {
                        until_ready(place).await?;
                    }
                    let task = times.ours(ready(lifecycle, repository)).await?;
                    if has_pool {
                        until_ready(place).await?;
                    }
                    lifecycle.delete(task.id.as_str(), true).await?;
                }
                Side::Baseline => {
                    let bare = times.baseline(place.bare.create_and_start(&spec)).await?;
                    place.bare.remove(&bare).await?;
                }
            }
        }
        if turn == 0 {
            // That was the warm-up; the first one is never out of the pool.
            times.forget();
        }
    }
    if let Some(task) = kept {
        lifecycle.delete(task.id.as_str(), true).await?;
    }
    Ok(())
}

async fn create(lifecycle: &Lifecycle, repository: &Repository) -> Outcome<Task> {
    let mut request = CreateTask::named("a task to measure".parse()?);
    request.workspace = Some(repository.path().to_owned());
    Ok(lifecycle.create(request).await?)
}

async fn ready(lifecycle: &Lifecycle, repository: &Repository) -> Outcome<Task> {
    let task = create(lifecycle, repository).await?;
    Ok(lifecycle.attach(task.id.as_str(), "bench".parse()?, &Silent).await?)
}

/// Waits until there is a sandbox in the pool.
async fn until_ready(place: &Place) -> Outcome {
    let (folder, began) = (place.home().path().join("pool/ready"), Instant::now());
    while !std::fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some()) {
        if began.elapsed() > LIMIT {
            return Err("the pool is not filled".into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
