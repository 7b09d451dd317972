//! PAX records: what a tar archive says of the next entry where its header has no room for it. A record
//! is its own length in decimal, a space, `key=value` and a line feed; so a value may be any bytes.

/// An extended attribute's key is its name behind this, as all programs write it.
const ATTRIBUTE: &[u8] = b"SCHILY.xattr.";

/// Adds a record.
pub(crate) fn add(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    // The space, `=` and the line feed.
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    // Its own digits count.
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

/// A record that was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
}

/// Reads the first record, and gives what is behind it. None for what is no record.
pub(crate) fn first(records: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let space = records.iter().take(20).position(|byte| *byte == b' ')?;
    let length = usize::try_from(number(&records[..space])?).ok()?;
    let (record, behind) = records.split_at_checked(length)?;
    let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=').filter(|at| *at > 0)?;
    Some((Record { key: &record[..equals], value: &record[equals + 1..] }, behind))
}

/// The key of an extended attribute. What would end a key is written as GNU tar writes it.
pub(crate) fn attribute_key(name: &[u8]) -> Vec<u8> {
    let mut key = ATTRIBUTE.to_vec();
    for byte in name {
        match byte {
            b'%' => key.extend_from_slice(b"%25"),
            b'=' => key.extend_from_slice(b"%3D"),
            byte => key.push(*byte),
        }
    }
    key
}

/// The name of the extended attribute that a key is of.
pub(crate) fn attribute_name(key: &[u8]) -> Option<Vec<u8>> {
    let mut rest = key.strip_prefix(ATTRIBUTE)?;
    let mut name = Vec::new();
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        name.push(match (byte, behind) {
            (b'%', [b'2', b'5', behind @ ..]) => {
                rest = behind;
                b'%'
            }
            (b'%', [b'3', b'D', behind @ ..]) => {
                rest = behind;
                b'='
            }
            _ => *byte,
        });
    }
    Some(name)
}

/// A decimal number without a sign.
pub(crate) fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A time in seconds, as decimal text.
pub(crate) fn time(seconds: i64, nanos: u32) -> String {
    if seconds >= 0 || nanos == 0 {
        return format!("{seconds}.{nanos:09}");
    }
    // Behind the sign stands how far it is before 1970.
    format!("-{}.{:09}", (seconds + 1).unsigned_abs(), 1_000_000_000 - nanos)
}

/// The seconds and nanoseconds of such a text. Digits behind those of nanoseconds are left out.
pub(crate) fn parse_time(text: &[u8]) -> Option<(i64, u32)> {
    let (is_before, text) = match text.strip_prefix(b"-") {
        Some(text) => (true, text),
        None => (false, text),
    };
    let dot = text.iter().position(|byte| *byte == b'.');
    let (whole, fraction) = dot.map_or((text, &b""[..]), |at| (&text[..at], &text[at + 1..]));
    let seconds = i64::try_from(number(whole)?).ok()?;
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut nanos = 0;
    for at in 0..9 {
        nanos = nanos * 10 + u32::from(fraction.get(at).map_or(0, |digit| digit - b'0'));
    }
    match (is_before, nanos) {
        (false, nanos) => Some((seconds, nanos)),
        (true, 0) => Some((-seconds, 0)),
        (true, nanos) => Some(((-seconds).checked_sub(1)?, 1_000_000_000 - nanos)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_whatever_its_bytes_are() {
        for length in [0, 1, 3, 90, 91, 92, 93, 94, 95, 96, 990, 991, 992, 993, 994, 70_000] {
            let value = b"\n=5 \0\xFF".iter().copied().cycle().take(length).collect::<Vec<_>>();
            let mut records = Vec::new();
            add(&mut records, b"key", &value);
            add(&mut records, b"next", b"");
            let (read, behind) = first(&records).unwrap();
            assert_eq!(read, Record { key: b"key", value: &value });
            assert_eq!(first(behind), Some((Record { key: b"next", value: b"" }, &b""[..])));
        }
        for bad in [
            &b""[..],
            b"x",
            b"5 a=b",
            b"7 a=b\n",
            b"6 a=bc\n",
            b"+6 a=b\n",
            b"5 ab\n",
            b"4 =\n",
            b"99999999999999999999 a=b\n",
            b" a=b\n",
            b"0 a=b\n",
            b"1 a=b\n",
            b"2 a=b\n",
        ] {
            assert_eq!(first(bad), None, "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn names_of_attributes_come_back() {
        for name in [&b"user.a"[..], b"user.a=b%c%3D%25\xFF\n", b"%", b""] {
            let key = attribute_key(name);
            assert!(!key.contains(&b'='));
            assert_eq!(attribute_name(&key).unwrap(), name);
        }
        assert_eq!(attribute_name(b"path"), None);
    }

    #[test]
    fn times_come_back_before_1970_too() {
        let moments =
            [(0, 0), (1, 5), (-1, 0), (-1, 999_999_999), (-2, 500_000_000), (i64::MAX, 1)];
        for (seconds, nanos) in moments {
            let text = time(seconds, nanos);
            assert_eq!(parse_time(text.as_bytes()), Some((seconds, nanos)), "{text}");
        }
        assert_eq!(parse_time(b"-1.5"), Some((-2, 500_000_000)));
        assert_eq!(parse_time(b"7"), Some((7, 0)));
        assert_eq!(parse_time(b"7.1234567899"), Some((7, 123_456_789)));
        for bad in [&b""[..], b"-", b".5", b"1.x", b"--1", b"+1", b"1e3", b"99999999999999999999"] {
            assert_eq!(parse_time(bad), None, "{}", bad.escape_ascii());
        }
    }
}
