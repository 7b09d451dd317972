//! What a shell makes of a line, as far as it shows without running it: commands and their words.
//!
//! Quotes, operators, substitutions, redirections, comments and documents in the line are told apart.
//! Nothing is expanded. Each character is looked at once, whatever the text is, and nothing recurses.

use std::mem::take;

/// The longest line that is read to its end, in bytes.
const LONGEST: usize = 64 * 1024;

/// A word of a command, without its quotes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    /// Whether the shell puts names of files in its place.
    pub(super) is_pattern: bool,
    /// Whether what it is shows only when the line runs.
    pub(super) is_made: bool,
}

impl Word {
    /// A word that is as it stands.
    pub(super) fn plain(text: &str) -> Self {
        Self { text: text.to_owned(), ..Self::default() }
    }
}

/// A command of a line: what stands between two operators.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) words: Vec<Word>,
    /// The files that its output replaces.
    pub(super) replaced: Vec<Word>,
    /// Whether it reads what another command writes, or a document of the line.
    pub(super) is_fed: bool,
}

/// A line that was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// Its commands. What is in a substitution comes before the command that it is in.
    pub(super) pieces: Vec<Piece>,
    /// The documents in it.
    pub(super) documents: Vec<String>,
    /// Whether all of it was understood.
    pub(super) is_whole: bool,
}

/// Reads a line.
pub(super) fn read(text: &str) -> Line {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let is_whole = end == text.len();
    let mut scanner = Scanner {
        rest: &text[..end],
        current: Frame::default(),
        outer: Vec::new(),
        due: Vec::new(),
        line: Line { is_whole, ..Line::default() },
    };
    while let Some(next) = scanner.next() {
        scanner.see(next);
    }
    scanner.finish()
}

/// What ends a part of the line that has commands of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Close {
    #[default]
    End,
    Parenthesis,
    Backtick,
}

/// What the next word is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Next {
    #[default]
    Argument,
    /// A file that is replaced.
    Replaced,
    /// A file that is read or added to, or a descriptor.
    Other,
    /// The line behind a document, with tabs in front of it or not.
    Delimiter { tabs: bool },
}

/// A part of the line that has commands of its own.
#[derive(Debug, Default)]
struct Frame {
    close: Close,
    /// Whether a double quote is open.
    is_quoted: bool,
    piece: Piece,
    word: Option<Word>,
    next: Next,
}

/// A document whose text has not come yet.
struct Due {
    delimiter: String,
    tabs: bool,
}

struct Scanner<'a> {
    rest: &'a str,
    current: Frame,
    outer: Vec<Frame>,
    due: Vec<Due>,
    line: Line,
}

impl Scanner<'_> {
    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next();
        self.rest = chars.as_str();
        next
    }

    fn eat(&mut self, text: &str) -> bool {
        let behind = self.rest.strip_prefix(text);
        self.rest = behind.unwrap_or(self.rest);
        behind.is_some()
    }

    /// The word that is being read.
    fn word(&mut self) -> &mut Word {
        self.current.word.get_or_insert_default()
    }

    fn see(&mut self, next: char) {
        let is_quoted = self.current.is_quoted;
        match (next, is_quoted) {
            ('\\', _) => self.escaped(),
            ('`', _) => self.backtick(),
            ('$', _) => self.dollar(is_quoted),
            ('"', _) => {
                self.word();
                self.current.is_quoted = !is_quoted;
            }
            ('\'', false) => self.literal(false),
            ('(', false) => {
                self.end_piece(false);
                self.open(Close::Parenthesis);
            }
            (')', false) if self.current.close == Close::Parenthesis => self.close(),
            ('&', false) if self.rest.starts_with('>') => {
                self.eat(">");
                self.output();
            }
            // A parenthesis is the pattern of a `case` here, or a mistake.
            (')' | ';' | '&', false) => self.end_piece(false),
            ('\n', false) => {
                self.end_piece(false);
                self.documents();
            }
            ('|', false) => {
                let is_or = self.eat("|");
                self.end_piece(!is_or);
            }
            ('<', false) => self.input(),
            ('>', false) => self.output(),
            ('#', false) if self.current.word.is_none() => {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                self.rest = &self.rest[end..];
            }
            (pattern @ ('*' | '?' | '['), false) => {
                let word = self.word();
                word.is_pattern = true;
                word.text.push(pattern);
            }
            (space, false) if space.is_ascii_whitespace() => self.end_word(),
            (other, _) => self.word().text.push(other),
        }
    }

    fn escaped(&mut self) {
        match self.next() {
            // The line goes on behind it.
            Some('\n') => {}
            Some(other) => self.word().text.push(other),
            None => self.line.is_whole = false,
        }
    }

    /// Up to the next single quote; with `escapes`, as `$'…'` has it.
    fn literal(&mut self, escapes: bool) {
        self.word();
        while let Some(next) = self.next() {
            match next {
                '\'' => return,
                '\\' if escapes => self.escaped(),
                other => self.word().text.push(other),
            }
        }
        self.line.is_whole = false;
    }

    fn dollar(&mut self, is_quoted: bool) {
        if !is_quoted && self.eat("'") {
            return self.literal(true);
        }
        let word = self.word();
        word.is_made = true;
        word.text.push('$');
        if self.eat("(") {
            self.open(Close::Parenthesis);
        } else if self.eat("{") {
            let mut depth = 1_usize;
            while depth > 0 {
                match self.next() {
                    Some('{') => depth += 1,
                    Some('}') => depth -= 1,
                    // What runs in there is not read.
                    Some('`' | '(') => self.line.is_whole = false,
                    Some(_) => {}
                    None => {
                        self.line.is_whole = false;
                        return;
                    }
                }
            }
        }
    }

    fn backtick(&mut self) {
        if self.current.close == Close::Backtick && !self.current.is_quoted {
            return self.close();
        }
        self.word().is_made = true;
        self.open(Close::Backtick);
    }

    fn open(&mut self, close: Close) {
        let inner = Frame { close, ..Frame::default() };
        self.outer.push(std::mem::replace(&mut self.current, inner));
    }

    fn close(&mut self) {
        self.end_piece(false);
        if let Some(outer) = self.outer.pop() {
            self.current = outer;
        }
    }

    /// Before a redirection: a number in front of it is the descriptor.
    fn end_word_or_descriptor(&mut self) {
        let is_number = |word: &Word| word.text.bytes().all(|byte| byte.is_ascii_digit());
        if self.current.word.as_ref().is_some_and(is_number) {
            self.current.word = None;
        }
        self.end_word();
    }

    fn input(&mut self) {
        self.end_word_or_descriptor();
        self.current.piece.is_fed = true;
        if self.eat("(") {
            return self.process();
        }
        self.current.next = if self.eat("<<") {
            // What is fed to the command is a word of the line.
            Next::Other
        } else if self.eat("<") {
            Next::Delimiter { tabs: self.eat("-") }
        } else {
            self.eat("&");
            Next::Other
        };
    }

    fn output(&mut self) {
        self.end_word_or_descriptor();
        if self.eat("(") {
            return self.process();
        }
        self.current.next = if self.eat(">") || self.eat("&") {
            Next::Other
        } else {
            self.eat("|");
            Next::Replaced
        };
    }

    /// A command in the place of a file.
    fn process(&mut self) {
        self.word().is_made = true;
        self.open(Close::Parenthesis);
    }

    fn end_word(&mut self) {
        let Some(word) = self.current.word.take() else { return };
        match take(&mut self.current.next) {
            Next::Argument => self.current.piece.words.push(word),
            Next::Replaced => self.current.piece.replaced.push(word),
            Next::Other => {}
            Next::Delimiter { tabs } => self.due.push(Due { delimiter: word.text, tabs }),
        }
    }

    fn end_piece(&mut self, feeds_the_next: bool) {
        self.end_word();
        self.current.next = Next::default();
        let next = Piece { is_fed: feeds_the_next, ..Piece::default() };
        let piece = std::mem::replace(&mut self.current.piece, next);
        if !(piece.words.is_empty() && piece.replaced.is_empty()) {
            self.line.pieces.push(piece);
        }
    }

    /// Takes the documents that begin behind the end of a line.
    fn documents(&mut self) {
        for Due { delimiter, tabs } in take(&mut self.due) {
            let mut document = String::new();
            loop {
                if self.rest.is_empty() {
                    self.line.is_whole = false;
                    break;
                }
                let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
                self.rest = rest;
                let line = if tabs { line.trim_start_matches('\t') } else { line };
                if line == delimiter {
                    break;
                }
                document.push_str(line);
                document.push('\n');
            }
            self.line.documents.push(document);
        }
    }

    fn finish(mut self) -> Line {
        let is_open = self.current.is_quoted || !self.outer.is_empty();
        self.end_piece(false);
        while let Some(outer) = self.outer.pop() {
            self.current = outer;
            self.end_piece(false);
        }
        self.line.is_whole &= !is_open && self.due.is_empty();
        self.line
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(piece: &Piece) -> Vec<&str> {
        piece.words.iter().map(|word| word.text.as_str()).collect()
    }

    fn words(line: &Line) -> Vec<Vec<&str>> {
        line.pieces.iter().map(of).collect()
    }

    #[test]
    fn a_line_is_read_as_a_shell_reads_it() {
        let cases: &[(&str, &[&[&str]])] = &[
            ("", &[]),
            ("ls -l", &[&["ls", "-l"]]),
            ("a; b && c || d & e", &[&["a"], &["b"], &["c"], &["d"], &["e"]]),
            ("echo 'a; b' \"c && d\" e\\;f", &[&["echo", "a; b", "c && d", "e;f"]]),
            ("a # b; rm c", &[&["a"]]),
            ("a#b", &[&["a#b"]]),
            ("a \\\n b", &[&["a", "b"]]),
            ("echo \"$(rm x) y\" z", &[&["rm", "x"], &["echo", "$ y", "z"]]),
            ("echo `rm x`", &[&["rm", "x"], &["echo", ""]]),
            ("(cd a; rm b) | c", &[&["cd", "a"], &["rm", "b"], &["c"]]),
            ("a >b 2>&1 >>c <d 2>/dev/null e", &[&["a", "e"]]),
            ("a &>b", &[&["a"]]),
            ("a 3 >b", &[&["a", "3"]]),
            ("echo ${a:-{x}} $'it\\'s'", &[&["echo", "$", "it's"]]),
            ("diff <(a) <(b c)", &[&["a"], &["b", "c"], &["diff", "", ""]]),
            ("case $x in a) rm b;; esac", &[&["case", "$x", "in", "a"], &["rm", "b"], &["esac"]]),
            ("cat <<E > f\nrm -rf x\nE\nls", &[&["cat"], &["ls"]]),
            ("m \"$(cat <<'E'\nrm 'x\nE\n)\" n", &[&["cat"], &["m", "$", "n"]]),
        ];
        for (text, expected) in cases {
            let line = read(text);
            assert_eq!(words(&line), *expected, "{text:?}");
            assert!(line.is_whole, "{text:?}");
        }
        let line = read("cat <<-'E F' | sh\n\trm x\n\tE F\n");
        assert_eq!(line.documents, ["rm x\n"]);
        assert_eq!(line.pieces.iter().map(|piece| piece.is_fed).collect::<Vec<_>>(), [true, true]);
    }

    #[test]
    fn what_the_shell_makes_of_a_word_and_what_it_replaces_is_known() {
        let line = read("rm *.rs '*' $x > a 2>b >|c >>d >&2");
        let [piece] = &line.pieces[..] else { panic!("{line:?}") };
        let of = |word: &Word| (word.is_pattern, word.is_made);
        let kinds: Vec<_> = piece.words.iter().map(of).collect();
        assert_eq!(kinds, [(false, false), (true, false), (false, false), (false, true)]);
        let replaced: Vec<_> = piece.replaced.iter().map(|word| word.text.as_str()).collect();
        assert_eq!(replaced, ["a", "b", "c"]);
    }

    #[test]
    fn a_line_that_is_not_whole_is_told_and_read_as_far_as_it_goes() {
        for text in [
            "rm x; echo 'a",
            "rm x; echo \"a",
            "rm x $(",
            "rm x; b `",
            "rm x ${",
            "rm x \\",
            "rm x ${y:-$(z)}",
        ] {
            let line = read(text);
            assert!(!line.is_whole, "{text:?}");
            assert_eq!(words(&line)[0][..2], ["rm", "x"], "{text:?}");
        }
        assert!(!read("cat <<E\nno end").is_whole);
        assert!(!read(&"ä".repeat(LONGEST)).is_whole);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in ".{0,200}") {
            read(&text);
        }

        #[test]
        fn any_mix_of_what_means_something_is_read(
            parts in proptest::collection::vec(
                proptest::sample::select(&[
                    "'", "\"", "`", "$(", "${", "(", ")", "}", "<<E", "\n", "E", ";", "|", "&", ">",
                    ">>", "<(", "\\", "#", " ", "*", "rm", "ü", "do", "done", "\t",
                ][..]),
                0..60,
            ),
        ) {
            read(&parts.concat());
        }
    }
}
