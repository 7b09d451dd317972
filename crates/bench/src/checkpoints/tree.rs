//! A tree as a project has it, the same for the same number of files: mostly short text, some binaries,
//! a few large ones.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;

/// A tree.
pub(super) struct Tree {
    path: PathBuf,
    files: Vec<PathBuf>,
    chance: Chance,
}

/// The same numbers each time.
struct Chance(u64);

impl Chance {
    const fn next(&mut self) -> u64 {
        // SplitMix64, by Guy Steele, Doug Lea and Christine Flood.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap_or(0)
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let words = (0..count.div_ceil(8)).flat_map(|_| self.next().to_le_bytes());
        words.take(count).collect()
    }

    /// Text of so many bytes, of the words that code has.
    fn text(&mut self, count: usize) -> Vec<u8> {
        let mut text = Vec::with_capacity(count + 16);
        while text.len() < count {
            // Some words are far more frequent than others.
            let word = self.below(64) * self.below(64);
            text.extend_from_slice(format!("{word:x}_{:x} ", word * 7919).as_bytes());
            if self.below(10) == 0 {
                text.push(b'\n');
            }
        }
        text.truncate(count);
        text
    }
}

impl Tree {
    /// Makes one.
    pub(super) fn make(path: PathBuf, files: usize) -> Outcome<Self> {
        let mut chance = Chance(7);
        fs::create_dir(&path)?;
        let mut folders = vec![path.clone()];
        for number in 0..files / 12 {
            // Near those that came last, so that it is deep, too.
            let near = folders.len().saturating_sub(800);
            let within = &folders[near + chance.below(folders.len() - near)];
            let folder = within.join(format!("folder{number}"));
            fs::create_dir(&folder)?;
            folders.push(folder);
        }
        let mut made = Vec::with_capacity(files);
        for number in 0..files {
            let content = match chance.below(1000) {
                0..930 => {
                    let bytes = 600 << chance.below(6);
                    let more = chance.below(bytes);
                    chance.text(bytes + more)
                }
                930..998 => {
                    let bytes = 10_000 + chance.below(110_000);
                    chance.bytes(bytes)
                }
                _ => {
                    let bytes = 1_000_000 + chance.below(4_000_000);
                    chance.bytes(bytes)
                }
            };
            let file = folders[chance.below(folders.len())].join(format!("file{number}"));
            fs::write(&file, content)?;
            made.push(file);
        }
        Ok(Self { path, files: made, chance })
    }

    /// A copy of a real one.
    pub(super) fn copy(of: &Path, path: PathBuf) -> Outcome<Self> {
        let copied =
            Command::new("cp").args(["-a", "--reflink=auto"]).arg(of).arg(&path).status()?;
        if !copied.success() {
            return Err(format!("{} cannot be copied", of.display()).into());
        }
        let (mut files, mut waiting) = (Vec::new(), vec![path.clone()]);
        while let Some(folder) = waiting.pop() {
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                let kind = entry.file_type()?;
                if kind.is_dir() {
                    waiting.push(entry.path());
                } else if kind.is_file() {
                    files.push(entry.path());
                }
            }
        }
        files.sort();
        Ok(Self { path, files, chance: Chance(7) })
    }

    /// One that is there, and does not change.
    pub(super) const fn there(path: PathBuf) -> Self {
        Self { path, files: Vec::new(), chance: Chance(0) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Changes one in a hundred files.
    pub(super) fn change(&mut self) -> Outcome {
        for _ in 0..self.files.len() / 100 {
            let file = self.chance.below(self.files.len());
            let line = format!("changed {:x}\n", self.chance.next());
            fs::OpenOptions::new()
                .append(true)
                .open(&self.files[file])?
                .write_all(line.as_bytes())?;
        }
        Ok(())
    }
}
