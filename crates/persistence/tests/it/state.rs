//! Layer 1: state.json.

use armor_core::event::{Consumer, TaskEvent};
use armor_core::time::{Clock, SystemClock};
use armor_persistence::{StateMirror, state};

use crate::support::Home;

// R20
#[tokio::test]
async fn state_json_is_the_registrys_row() {
    let home = Home::new().await;
    let task = home.task("mirrored").await;
    let mirror = StateMirror::new(home.folders.clone(), home.registry.clone());
    mirror.apply(&home.events().await).await.unwrap();
    assert_eq!(state::load(&home.folders.of(&task.id)).unwrap(), task);

    let change = task.cancel(Some("enough".to_owned()), SystemClock.now()).unwrap();
    home.registry.commit(&change).await.unwrap();
    mirror.apply(&home.events().await).await.unwrap();
    assert_eq!(state::load(&home.folders.of(&task.id)).unwrap(), change.after);
}

// R20
#[tokio::test]
async fn a_state_json_that_was_changed_is_found_damaged() {
    let home = Home::new().await;
    let task = home.task("mirrored").await;
    StateMirror::new(home.folders.clone(), home.registry.clone())
        .apply(&home.events().await)
        .await
        .unwrap();
    let folder = home.folders.of(&task.id);
    let text = std::fs::read_to_string(folder.state_file()).unwrap();
    for damaged in [
        text.replace("mirrored", "tampered"),
        text[..text.len() / 2].to_owned(),
        text.replace("\"format\": 1", "\"format\": 2"),
    ] {
        assert_ne!(damaged, text);
        std::fs::write(folder.state_file(), damaged).unwrap();
        let error = state::load(&folder).unwrap_err();
        assert!(error.to_string().contains("damaged"), "{error}");
    }
}

#[tokio::test]
async fn a_deleted_task_gets_no_folder_again() {
    let home = Home::new().await;
    let task = home.task("gone").await;
    let deleted = TaskEvent::Deleted { name: "gone".to_owned() };
    home.registry.delete(&task.id, 1, deleted.into()).await.unwrap();
    StateMirror::new(home.folders.clone(), home.registry.clone())
        .apply(&home.events().await)
        .await
        .unwrap();
    assert!(!home.folders.of(&task.id).exists());
}
