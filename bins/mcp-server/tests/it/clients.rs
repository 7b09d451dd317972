//! The independent Python client, over both transports and in both lifecycles (R60, R63).

use std::path::Path;

use armor_testkit::{Home, Repository, git, require_engine};

async fn drive(transport: &str) {
    require_engine!();
    let Some(python) = armor_testkit::python() else {
        return;
    };
    let home = Home::with_base_image();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let clone = home.user().join("armor");
    let (from, to) = (root.display().to_string(), clone.display().to_string());
    git(&home.user(), &["clone", "--quiet", &from, &to]);
    let repository = Repository::at(clone);
    let before = repository.snapshot();

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/client.py");
    let mut client = home.command(python);
    client.arg(script).args([env!("CARGO_BIN_EXE_armor-mcp"), &to, transport]);
    let output = tokio::task::spawn_blocking(move || client.output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim() == "ok", "{said}\n{errors}");

    assert_eq!(repository.snapshot(), before, "nothing of the user's own has changed");
    assert_eq!(home.leftovers().await, Vec::<String>::new());
}

#[tokio::test]
async fn engine_the_python_client_works_through_all_tools_over_stdio() {
    drive("stdio").await;
}

#[tokio::test]
async fn engine_the_python_client_works_through_all_tools_over_http() {
    drive("http").await;
}
