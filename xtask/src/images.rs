//! `cargo xtask images build`: Armor's own images, by the program itself.

use crate::process::{self, Outcome, cargo, root};

/// Builds the images anew: `base`, `developer`, or `all`.
pub(crate) fn build(which: &str) -> Outcome {
    armor(&["image", "build", which])
}

/// Builds those that the engine has not got.
pub(crate) fn ensure() -> Outcome {
    armor(&["image", "build", "all", "--if-missing"])
}

fn armor(arguments: &[&str]) -> Outcome {
    process::run(
        cargo()
            .args(["run", "--quiet", "--locked", "--bin", "armor", "--"])
            .args(arguments)
            // The user's own home has nothing to do with it.
            .env("ARMOR_HOME", root().join("target/xtask-home")),
    )
}
