//! Texts as quotations of Markdown, each line behind a `>`.
//!
//! A quotation ends where the lines with `>` end, so nothing in a text can look like a part of the
//! file. Its Markdown stays Markdown, but for what would not be seen any more:
//!
//! - Spaces at the end of a line, carriage returns and other characters that show nothing are
//!   written as numbers, such as `&#32;`; and so is the `&` of a text that has such a thing itself.
//! - What begins a tag, a comment or a definition of a link gets a backslash: `\<!--`. Backslashes
//!   that stand before such a character already are doubled.

/// Writes a text as a quotation. The first line comes behind `first`, the others behind `rest`.
pub(super) fn quote(text: &str, first: &str, rest: &str, into: &mut String) {
    for (number, line) in text.split('\n').enumerate() {
        into.push_str(if number == 0 { first } else { rest });
        into.push('>');
        if !line.is_empty() {
            into.push(' ');
            escape(line, into);
        }
        into.push('\n');
    }
}

/// The text of a line that begins with `>`; none when that does not begin it.
pub(super) fn unquote(line: &str) -> Option<String> {
    let line = line.strip_prefix('>')?;
    if line.is_empty() { Some(String::new()) } else { unescape(line.strip_prefix(' ')?) }
}

fn escape(line: &str, into: &mut String) {
    let trailing = line.trim_end().len();
    // A definition of a link shows nothing.
    let defines = line.trim_start().starts_with('[') && line.contains("]:");
    let is_first_bracket = |place: usize| defines && line[..place].trim_start().is_empty();
    let mut backslashes = 0_usize;
    let mut in_code = false;
    for (place, c) in line.char_indices() {
        let next = line[place + c.len_utf8()..].chars().next();
        match c {
            '<' | '[' => {
                let hides = match (c, next) {
                    ('<', Some('!' | '?')) => true,
                    ('<', Some(next)) => !in_code && (next == '/' || next.is_ascii_alphabetic()),
                    _ => is_first_bracket(place),
                };
                into.extend(std::iter::repeat_n('\\', backslashes + usize::from(hides)));
                into.push(c);
            }
            '&' if next == Some('#') => push_number(c, into),
            c if place >= trailing || shows_nothing(c) => push_number(c, into),
            c => into.push(c),
        }
        backslashes = if c == '\\' { backslashes + 1 } else { 0 };
        in_code ^= c == '`';
    }
}

fn push_number(c: char, into: &mut String) {
    into.push_str("&#");
    into.push_str(&u32::from(c).to_string());
    into.push(';');
}

/// Characters that a reader or an editor would not show, or that would turn the text around.
fn shows_nothing(c: char) -> bool {
    (c.is_control() && c != '\t')
        || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn unescape(line: &str) -> Option<String> {
    let mut text = String::with_capacity(line.len());
    let mut backslashes = 0_usize;
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        if let Some(number) = rest.strip_prefix("&#") {
            let (number, behind) = number.split_once(';')?;
            text.push(char::from_u32(number.parse().ok()?)?);
            (rest, backslashes) = (behind, 0);
            continue;
        }
        if matches!(c, '<' | '[') {
            // As many as there are too many: half of them, and the one that hides the character.
            text.truncate(text.len() - backslashes.div_ceil(2));
        }
        text.push(c);
        backslashes = if c == '\\' { backslashes + 1 } else { 0 };
        rest = &rest[c.len_utf8()..];
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quoted(text: &str) -> String {
        let mut quoted = String::new();
        quote(text, "", "", &mut quoted);
        quoted
    }

    fn read_back(quoted: &str) -> String {
        let lines: Vec<_> = quoted.lines().map(|line| unquote(line).unwrap()).collect();
        lines.join("\n")
    }

    // R22
    #[test]
    fn plain_text_and_its_markdown_stay_as_they_are() {
        for (text, expected) in [
            ("Use zstd.", "> Use zstd.\n"),
            ("", ">\n"),
            ("a\n\nb\n", "> a\n>\n> b\n>\n"),
            (
                "  - `Vec<T>` & *more*\n# not a heading",
                ">   - `Vec<T>` & *more*\n> # not a heading\n",
            ),
            ("a < b && c <= d [1]", "> a < b && c <= d [1]\n"),
            ("<!-- hidden -->", "> \\<!-- hidden -->\n"),
            ("\\<b>", "> \\\\\\<b>\n"),
            ("[//]: # (hidden)", "> \\[//]: # (hidden)\n"),
            ("a  \r\nb", "> a&#32;&#32;&#13;\n> b\n"),
            ("&#32; &amp;", "> &#38;#32; &amp;\n"),
        ] {
            assert_eq!(quoted(text), expected);
            assert_eq!(read_back(&quoted(text)), text);
        }
    }

    proptest! {
        #[test]
        fn every_text_is_read_back_and_no_line_ends_in_space(
            text in prop_oneof![any::<String>(), "[ \t\r\n\\\\<>\\[\\]:!&#;0-9`a/\u{a0}\u{2028}\0]{0,40}"]
        ) {
            let quoted = quoted(&text);
            prop_assert!(quoted.lines().all(|line| line.starts_with('>') && line.trim_end() == line));
            prop_assert_eq!(read_back(&quoted), text);
        }
    }
}
