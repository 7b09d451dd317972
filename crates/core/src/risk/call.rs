//! Which programs a command calls, and with what: behind wrappers such as `sudo`, in the lines of shells,
//! for each file that `find` and `xargs` find.

use super::line::{self, Piece, Word};
use crate::execution::CommandLine;

/// How deep lines within lines are read.
const DEEPEST: usize = 4;

/// A program that is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    /// Its name without folder and version, or one of the names below.
    pub(super) program: String,
    pub(super) arguments: Vec<Word>,
    /// Whether it is called for each of several.
    pub(super) is_repeated: bool,
}

/// The program that output is written by to a file that it replaces.
pub(super) const REPLACING: &str = ">";
/// A shell that runs what comes from elsewhere.
pub(super) const FED_SHELL: &str = "| sh";
/// A program in the command line that removes files.
pub(super) const REMOVING_CODE: &str = "-c";

/// What was read of a command.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) calls: Vec<Call>,
    /// Whether all of it was understood.
    pub(super) is_whole: bool,
}

/// Programs that call the one that is named behind their options: their options that take a value, and
/// how many words stand in front of it.
const WRAPPERS: &[(&str, &[&str], usize)] = &[
    ("sudo", &["-u", "-g", "-C", "-D", "-h", "-p"], 0),
    ("doas", &["-u", "-C"], 0),
    ("env", &["-u", "-C", "-S", "--unset", "--chdir"], 0),
    ("nice", &["-n"], 0),
    ("ionice", &["-c", "-n"], 0),
    ("nohup", &[], 0),
    ("timeout", &["-s", "-k", "--signal", "--kill-after"], 1),
    ("time", &["-f", "-o"], 0),
    ("stdbuf", &["-i", "-o", "-e"], 0),
    ("setsid", &[], 0),
    ("command", &[], 0),
    ("exec", &["-a"], 0),
    ("builtin", &[], 0),
    ("busybox", &[], 0),
    ("npx", &["-p", "--package"], 0),
    ("bunx", &[], 0),
    ("xargs", &["-I", "-n", "-P", "-L", "-d", "-s", "-a", "-E"], 0),
    ("parallel", &["-j", "-I", "-n"], 0),
];

/// Of these, those that call it again and again.
const REPEATING: &[&str] = &["xargs", "parallel"];

/// The same with a word of their own in front.
const RUNNERS: &[(&str, &str)] = &[
    ("bundle", "exec"),
    ("mise", "exec"),
    ("npm", "exec"),
    ("pipenv", "run"),
    ("pnpm", "dlx"),
    ("pnpm", "exec"),
    ("poetry", "run"),
    ("uv", "run"),
    ("yarn", "dlx"),
    ("yarn", "exec"),
];

/// Words of the shell's own that a command follows.
const BEFORE_A_COMMAND: &[&str] =
    &["!", "{", "}", "do", "done", "elif", "else", "esac", "fi", "if", "then", "until", "while"];

/// Words of the shell's own, and tests, that none follows.
const NO_COMMAND: &[&str] = &["[", "[[", "case", "for", "function", "select", "test"];

const SHELLS: &[&str] = &["ash", "bash", "dash", "ksh", "sh", "zsh"];

/// Programs that run what is written for them, and the options that have it in the command line.
const INTERPRETERS: &[(&str, &[&str])] = &[
    ("node", &["-e", "-p", "--eval", "--print"]),
    ("perl", &["-e", "-E"]),
    ("php", &["-r"]),
    ("python", &["-c"]),
    ("ruby", &["-e"]),
];

/// What such a text has in it that removes files, in the languages of these programs.
const REMOVES: &[&str] = &[
    "File.delete",
    "FileUtils.rm",
    "os.remove",
    "removedirs",
    "rm -",
    "rmSync",
    "rmdir",
    "rmtree",
    "truncate",
    "unlink",
];

/// Reads a command.
pub(super) fn read(command: &CommandLine) -> Read {
    let mut reader = Reader { read: Read { calls: Vec::new(), is_whole: true }, loops: 0 };
    match command {
        CommandLine::Shell(line) => reader.line(line, 0),
        CommandLine::Argv(argv) => {
            let words: Vec<_> = argv.iter().map(|word| Word::plain(word)).collect();
            // No shell reads it: it is one command, whatever its words are.
            reader.words(&words, How::default(), 0);
        }
    }
    reader.read
}

/// How a command is called.
#[derive(Debug, Clone, Copy, Default)]
struct How {
    is_fed: bool,
    is_repeated: bool,
}

/// What becomes of a command's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Input {
    /// It is run.
    Run,
    Other,
}

struct Reader {
    read: Read,
    /// In how many loops the next command is.
    loops: usize,
}

impl Reader {
    fn line(&mut self, text: &str, depth: usize) {
        if depth > DEEPEST {
            self.read.is_whole = false;
            return;
        }
        let line = line::read(text);
        self.read.is_whole &= line.is_whole;
        let outside = std::mem::take(&mut self.loops);
        let mut is_input_run = false;
        for piece in line.pieces {
            is_input_run |= self.piece(piece, depth) == Input::Run;
        }
        self.loops = outside;
        if is_input_run && line.documents.is_empty() {
            self.call(FED_SHELL, Vec::new(), How::default());
        } else if is_input_run {
            for document in line.documents {
                self.line(&document, depth + 1);
            }
        }
    }

    fn piece(&mut self, piece: Piece, depth: usize) -> Input {
        let Piece { words, replaced, is_fed } = piece;
        if !replaced.is_empty() {
            self.call(REPLACING, replaced, How::default());
        }
        self.words(&words, How { is_fed, is_repeated: false }, depth)
    }

    fn words(&mut self, words: &[Word], mut how: How, depth: usize) -> Input {
        if depth > DEEPEST {
            self.read.is_whole = false;
            return Input::Other;
        }
        let mut rest = words;
        let (program, arguments) = loop {
            let Some((first, behind)) = rest.split_first() else { return Input::Other };
            let name = name(&first.text);
            let second = behind.first().map_or("", |word| word.text.as_str());
            rest = behind;
            if BEFORE_A_COMMAND.contains(&first.text.as_str()) {
                match name {
                    "do" => self.loops += 1,
                    "done" => self.loops = self.loops.saturating_sub(1),
                    _ => {}
                }
            } else if NO_COMMAND.contains(&name) {
                return Input::Other;
            } else if let Some((_, valued, before)) = WRAPPERS.iter().find(|one| one.0 == name) {
                how.is_repeated |= REPEATING.contains(&name);
                rest = behind_options(rest, valued);
                rest = rest.get(*before..).unwrap_or_default();
            } else if RUNNERS.contains(&(name, second)) {
                rest = behind_options(&rest[1..], &[]);
            } else if !is_assignment(&first.text) {
                break (name, rest);
            }
        };
        how.is_repeated |= self.loops > 0;
        if SHELLS.contains(&program) {
            return self.shell(arguments, how, depth);
        }
        self.call(program, arguments.to_vec(), how);
        match program {
            "eval" => {
                let line: Vec<_> = arguments.iter().map(|word| word.text.as_str()).collect();
                self.line(&line.join(" "), depth + 1);
            }
            "find" => self.found(arguments, depth),
            _ => self.interpreted(program, arguments, how),
        }
        Input::Other
    }

    fn call(&mut self, program: &str, arguments: Vec<Word>, how: How) {
        let program = program.to_owned();
        self.read.calls.push(Call { program, arguments, is_repeated: how.is_repeated });
    }

    fn shell(&mut self, arguments: &[Word], how: How, depth: usize) -> Input {
        let mut has_line = false;
        let mut arguments = arguments.iter();
        while let Some(word) = arguments.next() {
            match word.text.as_str() {
                "-o" | "-O" => drop(arguments.next()),
                long if long.starts_with("--") => {}
                short if short.starts_with(['-', '+']) => has_line |= short.contains('c'),
                line if has_line => {
                    // What it is shows only when it runs.
                    self.read.is_whole &= !word.is_made || line.contains(' ');
                    let before = self.read.calls.len();
                    self.line(line, depth + 1);
                    for call in &mut self.read.calls[before..] {
                        call.is_repeated |= how.is_repeated;
                    }
                    return Input::Other;
                }
                // A script: nobody knows what it does.
                _ => return Input::Other,
            }
        }
        if how.is_fed { Input::Run } else { Input::Other }
    }

    /// What `find` calls for each that it finds.
    fn found(&mut self, arguments: &[Word], depth: usize) {
        let mut rest = arguments;
        let calls = ["-exec", "-execdir", "-ok", "-okdir"];
        while let Some(at) = rest.iter().position(|word| calls.contains(&word.text.as_str())) {
            rest = &rest[at + 1..];
            let end = rest.iter().position(|word| word.text == ";" || word.text == "+");
            let (called, behind) = rest.split_at(end.unwrap_or(rest.len()));
            self.words(called, How { is_fed: false, is_repeated: true }, depth + 1);
            rest = behind;
        }
    }

    /// A module or script that an interpreter runs is a program of its own.
    fn interpreted(&mut self, program: &str, arguments: &[Word], how: How) {
        let Some((_, code)) = INTERPRETERS.iter().find(|one| one.0 == program) else { return };
        let mut rest = arguments;
        while let Some((first, behind)) = rest.split_first() {
            rest = behind;
            let option = first.text.as_str();
            if code.contains(&option) {
                let text = behind.first().map_or("", |word| word.text.as_str());
                if REMOVES.iter().any(|removes| text.contains(removes)) {
                    self.call(REMOVING_CODE, Vec::new(), how);
                }
                return;
            }
            if program == "python" && option == "-m" {
                if let Some((module, behind)) = behind.split_first() {
                    self.call(name(&module.text), behind.to_vec(), how);
                }
                return;
            }
            if !option.starts_with('-') {
                return self.call(name(option), behind.to_vec(), how);
            }
        }
    }
}

/// A program's name without the folder that it is in, and without a version at its end.
pub(super) fn name(word: &str) -> &str {
    let name = word.rsplit('/').next().unwrap_or(word);
    let bare = name.trim_end_matches(|last: char| last.is_ascii_digit() || last == '.');
    if bare.is_empty() { name } else { bare }
}

fn is_assignment(word: &str) -> bool {
    let Some((name, _)) = word.split_once('=') else { return false };
    let name = name.strip_suffix('+').unwrap_or(name);
    !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

fn behind_options<'a>(words: &'a [Word], valued: &[&str]) -> &'a [Word] {
    let mut rest = words;
    while let Some((first, behind)) = rest.split_first() {
        let option = first.text.as_str();
        if option == "--" {
            return behind;
        }
        if !option.starts_with('-') {
            break;
        }
        let values = usize::from(valued.contains(&option));
        rest = behind.get(values..).unwrap_or_default();
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(line: &str) -> Vec<String> {
        let read = read(&CommandLine::Shell(line.to_owned()));
        let text = |call: Call| {
            let each = if call.is_repeated { "each " } else { "" };
            let words: Vec<_> = call.arguments.into_iter().map(|word| word.text).collect();
            format!("{each}{} {}", call.program, words.join(" ")).trim_end().to_owned()
        };
        let mut called: Vec<_> = read.calls.into_iter().map(text).collect();
        if !read.is_whole {
            called.push("?".to_owned());
        }
        called
    }

    #[test]
    fn programs_are_found_behind_what_calls_them() {
        let cases: &[(&str, &[&str])] = &[
            ("/bin/rm x", &["rm x"]),
            ("A=b C+=d rm x", &["rm x"]),
            ("sudo -u me env -u A B=c nice -n 5 timeout -k 1 5 rm x", &["rm x"]),
            ("ls | xargs -0 -n 1 rm -f", &["ls", "each rm -f"]),
            ("bash -o pipefail -ec 'cd a; rm b' c", &["cd a", "rm b"]),
            ("sh -c \"sh -c 'rm x'\"", &["rm x"]),
            ("sh -c \"$x\"", &["$x", "?"]),
            ("sh script.sh rm", &[]),
            ("curl x | sh", &["curl x", "| sh"]),
            ("sh <<E\nrm x\nE", &["rm x"]),
            ("cat <<E\nrm x\nE", &["cat"]),
            ("eval \"rm x\"", &["eval rm x", "rm x"]),
            ("for f in a b; do rm $f; done; rm x", &["each rm $f", "rm x"]),
            ("if [ -d x ]; then rm x; fi", &["rm x"]),
            ("{ rm x; }", &["rm x"]),
            (
                "find . -exec rm {} + -ok mv {} y ;",
                &["find . -exec rm {} + -ok mv {} y", "each rm {}", "each mv {} y"],
            ),
            ("python3.12 -m pip install x", &["python -m pip install x", "pip install x"]),
            ("python -u manage.py migrate", &["python -u manage.py migrate", "manage.py migrate"]),
            ("node -e 'fs.rmSync(x)'", &["node -e fs.rmSync(x)", "-c"]),
            ("python -c 'print(1)'", &["python -c print(1)"]),
            ("uv run ruff check --fix", &["ruff check --fix"]),
            ("npx prettier -w .", &["prettier -w ."]),
            ("echo x > y", &["> y", "echo x"]),
            ("sudo", &[]),
            ("timeout", &[]),
            ("7z x", &["7z x"]),
        ];
        for (line, expected) in cases {
            assert_eq!(called(line), *expected, "{line:?}");
        }
    }

    #[test]
    fn lines_within_lines_are_read_to_a_depth() {
        let mut line = "rm x".to_owned();
        for _ in 0..DEEPEST {
            line = format!("eval {line}");
        }
        assert!(!called(&line).contains(&"?".to_owned()));
        assert!(called(&format!("eval {line}")).contains(&"?".to_owned()));
        assert!(called(&"find -exec ".repeat(5000)).contains(&"?".to_owned()));
    }

    #[test]
    fn the_words_of_an_array_are_what_they_are() {
        let argv = ["echo", "a; rm -rf x", ">", "$(rm y)"].map(str::to_owned).to_vec();
        let read = read(&CommandLine::Argv(argv));
        assert_eq!(read.calls.len(), 1);
        assert!(read.is_whole && read.calls[0].arguments.iter().all(|word| !word.is_made));
    }
}
