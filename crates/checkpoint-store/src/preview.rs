//! What a checkpoint would have and leave out, without taking it.

use serde::Serialize;

use crate::error::{StoreError, io_error};
use crate::manifest::LeftOut;
use crate::rules::{Judge, Rules};
use crate::store::Root;
use crate::walk::{self, Walk, device, look_at};

/// What a checkpoint would have of a tree. What cannot be read shows only when one is taken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Preview {
    /// Which tree.
    pub root: String,
    /// Files that are no folders.
    pub files: u64,
    /// Folders within it.
    pub folders: u64,
    /// Bytes in its files, holes included.
    pub bytes: u64,
    /// What would be left out; by a rule, with its bytes.
    pub left_out: Vec<LeftOut>,
}

/// Lists a tree and what rules leave out of it.
pub(crate) fn preview(Root { name, path }: Root<'_>, rules: &Rules) -> Result<Preview, StoreError> {
    let root = walk::open(path)?;
    let device = device(&look_at(&root).map_err(io_error("look at", path))?);
    let judge = Judge::new(&root, rules, None)?;
    let mut preview = Preview { root: name.to_owned(), ..Preview::default() };
    for mut folder in (Walk { root: &root, path, device, judge }).list()? {
        preview.files += folder.files.len() as u64;
        preview.folders += folder.folders.len() as u64;
        preview.bytes += folder.files.iter().map(|file| walk::length(&file.stat)).sum::<u64>();
        preview.left_out.append(&mut folder.left_out);
    }
    let all = Rules::none();
    let whole = Walk { root: &root, path, device, judge: Judge::new(&root, &all, None)? };
    for out in &mut preview.left_out {
        if out.reason.is_rule() && out.bytes.is_none() {
            out.bytes = Some(whole.measure(out.exact_path().to_vec())?);
        }
    }
    preview.left_out.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(preview)
}
