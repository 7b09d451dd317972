//! Archives written byte by byte, as no program would write them.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::Header;

/// The bytes of a tar archive, entry by entry.
#[derive(Clone, Default)]
pub(crate) struct Raw(pub(crate) Vec<u8>);

impl Raw {
    /// A header of that size, whatever follows it.
    pub(crate) fn header(mut self, path: &[u8], kind: u8, size: u64, target: &[u8]) -> Self {
        self.0.extend_from_slice(header(path, kind, size, target).as_bytes());
        self
    }

    pub(crate) fn entry(self, path: &[u8], kind: u8, content: &[u8]) -> Self {
        let mut raw = self.header(path, kind, content.len() as u64, b"");
        raw.0.extend_from_slice(content);
        raw.0.resize(raw.0.len().next_multiple_of(512), 0);
        raw
    }

    pub(crate) fn file(self, path: &[u8]) -> Self {
        self.entry(path, b'0', b"text")
    }

    pub(crate) fn folder(self, path: &[u8]) -> Self {
        self.entry(path, b'5', b"")
    }

    pub(crate) fn link(self, path: &[u8], target: &[u8]) -> Self {
        self.header(path, b'2', 0, target)
    }

    pub(crate) fn hard_link(self, path: &[u8], target: &[u8]) -> Self {
        self.header(path, b'1', 0, target)
    }

    pub(crate) fn record(self, key: &str, value: &[u8]) -> Self {
        let rest = key.len() + value.len() + 3;
        let digits = if rest < 9 {
            1
        } else if rest < 98 {
            2
        } else if rest < 997 {
            3
        } else {
            6
        };
        let mut record = format!("{:0digits$} {key}=", rest + digits).into_bytes();
        record.extend_from_slice(value);
        record.push(b'\n');
        self.entry(b"pax", b'x', &record)
    }

    pub(crate) fn ours(roots: &str) -> Self {
        let about = format!(r#"{{"format":1,"roots":{roots},"more":[]}}"#);
        Self::default().entry(b"armor-checkpoint.json", b'0', about.as_bytes())
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn end(self) -> Self {
        self.bytes(&[0; 1024])
    }
}

pub(crate) fn header(path: &[u8], kind: u8, size: u64, target: &[u8]) -> Header {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..path.len()].copy_from_slice(path);
    header.as_old_mut().linkname[..target.len()].copy_from_slice(target);
    header.as_old_mut().linkflag[0] = kind;
    header.set_mode(0o644);
    header.set_uid(12);
    header.set_gid(34);
    header.set_mtime(1000);
    header.set_size(size);
    header.set_cksum();
    header
}

pub(crate) fn changed(change: impl FnOnce(&mut Header)) -> Raw {
    let mut header = header(b"file", b'0', 0, b"");
    change(&mut header);
    header.set_cksum();
    Raw(header.as_bytes().to_vec()).end()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}
