//! A folder that nothing opened through it can leave.

use std::io;
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, File, OpenOptions};

use crate::error::{Code, Diagnostic};
use crate::path::{InvalidPath, RelativePath};

/// A path that could not be opened below its root.
#[derive(Debug, thiserror::Error)]
pub enum PathError {
    /// Its form is refused.
    #[error(transparent)]
    Invalid(#[from] InvalidPath),
    /// It could not be opened, among other reasons because a link leads out of the root.
    #[error("`{path}` could not be opened below {root}", path = path.escape_debug(), root = root.display())]
    Open {
        /// The path.
        path: String,
        /// The root.
        root: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Diagnostic for PathError {
    fn code(&self) -> Code {
        match self {
            Self::Invalid(error) => error.code(),
            Self::Open { .. } => Code::PathOutside,
        }
    }
}

/// A folder that paths are resolved under. A link inside it is followed only to a place inside.
#[derive(Debug)]
pub struct Root {
    dir: Dir,
    path: PathBuf,
}

impl Root {
    /// Opens the folder `path`.
    ///
    /// # Errors
    /// When it is not there, is no folder, or may not be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let dir = Dir::open_ambient_dir(path, ambient_authority())?;
        Ok(Self { dir, path: path.to_owned() })
    }

    /// Opens a file below the root.
    ///
    /// # Errors
    /// When the path's form is refused, a link leads out, or the file cannot be opened.
    pub fn open_file(&self, path: &str, options: &OpenOptions) -> Result<File, PathError> {
        let relative: RelativePath = path.parse()?;
        self.dir.open_with(relative.as_path(), options).map_err(|source| PathError::Open {
            path: path.to_owned(),
            root: self.path.clone(),
            source,
        })
    }

    /// Opens a folder below the root, as a root of its own.
    ///
    /// # Errors
    /// As for [`Self::open_file`].
    pub fn open_dir(&self, path: &str) -> Result<Self, PathError> {
        let relative: RelativePath = path.parse()?;
        let dir = self.dir.open_dir(relative.as_path()).map_err(|source| PathError::Open {
            path: path.to_owned(),
            root: self.path.clone(),
            source,
        })?;
        Ok(Self { dir, path: self.path.join(relative.as_path()) })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use proptest::prelude::*;

    use super::*;

    fn read(root: &Root, path: &str) -> Result<String, PathError> {
        let mut text = String::new();
        root.open_file(path, OpenOptions::new().read(true))?.read_to_string(&mut text).unwrap();
        Ok(text)
    }

    // R6
    #[test]
    fn links_are_followed_inside_the_root_and_never_out_of_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("secret"), "outside").unwrap();
        let inside = folder.path().join("root");
        fs::create_dir_all(inside.join("sub")).unwrap();
        fs::write(inside.join("sub/file"), "inside").unwrap();
        symlink("sub/file", inside.join("good")).unwrap();
        symlink("../secret", inside.join("relative")).unwrap();
        symlink(folder.path().join("secret"), inside.join("absolute")).unwrap();
        symlink("..", inside.join("up")).unwrap();
        symlink("../../secret", inside.join("sub/deep")).unwrap();

        let root = Root::open(&inside).unwrap();
        assert_eq!(read(&root, "good").unwrap(), "inside");
        for path in ["relative", "absolute", "up/secret", "sub/deep", "../secret"] {
            assert_eq!(read(&root, path).unwrap_err().code(), Code::PathOutside, "{path}");
        }
        assert!(root.open_dir("up").is_err());
        assert_eq!(read(&root.open_dir("sub").unwrap(), "file").unwrap(), "inside");
    }

    proptest! {
        // R6: no path, however it is made up, reads the file beside the root.
        #[test]
        fn no_path_reads_what_lies_beside_the_root(path in "(up/|deep/|\\.\\./|\\./|/|back/){0,8}secret") {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("secret"), "outside").unwrap();
            let inside = folder.path().join("root");
            fs::create_dir_all(inside.join("deep")).unwrap();
            symlink("..", inside.join("up")).unwrap();
            symlink("../../root", inside.join("deep/back")).unwrap();
            symlink("deep/../..", inside.join("back")).unwrap();
            let root = Root::open(&inside).unwrap();
            prop_assert!(read(&root, &path).is_err());
        }
    }
}
